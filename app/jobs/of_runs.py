"""Which training jobs belong to a run, by the names in their specs."""

from sqlalchemy import Select, or_, select

from app.models import Job, Run


def jobs_of_run(project_id: int, run: str) -> Select[Job]:
    """Training jobs that may have trained the run that has this name now, or are to.

    A job with several seeds names its runs by them: whether this one is of them, its spec says.
    """
    bare, _, seed = run.rpartition("-seed-")
    names = [run, bare] if seed.isdecimal() else [run]
    # What ended before the run was made trained another of its name, which was deleted.
    made = select(Run.created_at).filter_by(project_id=project_id, name=run).scalar_subquery()
    of_it = or_(made.is_(None), Job.finished_at.is_(None), Job.finished_at >= made)
    named = select(Job).where(Job.project_id == project_id, Job.kind == "training", Job.spec["run"].astext.in_(names))
    return named.where(of_it)
