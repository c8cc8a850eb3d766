"""A demo begun, moved on, and told.

What is wanted is kept as runs with the tag `demo`, and what was done as their jobs: there is nothing else to remember,
so a service that was killed goes on where it was, and of two services beside each other neither does a thing twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import any_, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.auth.service import Caller
from app.config import Settings
from app.demo.plan import STUDIES, TAG, Demo, PartName, Size, Study, queue_of
from app.demo.problems import Made
from app.errors import InvalidRequest
from app.jobs.schemas import JobResponse
from app.jobs.service import submit
from app.jobs.specs import offer
from app.jobs.stored import described_all
from app.jobs.training_checks import in_training
from app.models import Job, ProblemSet, Run
from app.problem_sets.service import put_problem_set, record_problems

LOCK: Final = 0x64656D6F  # whoever moves demos on holds this advisory lock
TAGGED: Final = literal(TAG) == any_(Run.tags)
ROWS: Final = 2_000  # problems stored at once
NOTES: Final[dict[PartName, str]] = {
    "taught": "A model of characters, made on the spot and taught to answer countdown: where the others start.",
    "k1": "Trained for pass@1 from the taught model.",
    "k8": "Trained for pass@8 from the taught model.",
    "8-to-1": "Trained from the taught model for pass@8 at first, for pass@1 at last.",
}


@dataclass(frozen=True)
class Part:
    """A part of a demo, and its job once there is one."""

    name: PartName
    run: str
    job: JobResponse | None


@dataclass(frozen=True)
class Wanted:
    """A run of a demo, as the database has it."""

    run: Run
    demo: Demo
    part: PartName


@dataclass(frozen=True)
class Left:
    """What is still to be done."""

    any: bool
    """Whether a part has no job yet."""
    without_problems: frozenset[tuple[int, Size]] = frozenset()
    """The sets to be filled, by project and size."""


def begin(session: Session, project_id: int, demo: Demo, study: Study) -> None:
    """Want the parts of a study; those that are wanted already stay as they are.

    Raises:
      InvalidRequest: somebody has a run of his own under one of their names.
    """
    for part in STUDIES[study]:
        row = {"project_id": project_id, "name": demo.run(part), "tags": [TAG], "notes": NOTES[part]}
        session.execute(insert(Run).values(row).on_conflict_do_nothing())
    names = [demo.run(part) for part in STUDIES[study]]
    again = update(Run).where(Run.project_id == project_id, Run.name.in_(names), TAGGED, Run.archived_at.is_not(None))
    session.execute(again.values(archived_at=None))
    found = select(Run.name).where(Run.project_id == project_id, Run.name.in_(names), ~TAGGED)
    if taken := session.scalars(found).all():
        raise InvalidRequest(
            f"The demo names its runs so, and {len(taken)} of them are there without the tag {TAG}: delete them, or "
            "choose another seed.",
            [("/seed", "names of runs that are there")],
        )


def any_wanted(session: Session) -> bool:
    """Whether any project has a demo."""
    return bool(_wanted(session))


def demos(session: Session, project_id: int) -> tuple[Demo, ...]:
    """Those of the project, the newest first."""
    found = [each for each in _wanted(session) if each.run.project_id == project_id]
    return tuple(dict.fromkeys(each.demo for each in reversed(found)))


def parts(session: Session, project_id: int, demo: Demo) -> tuple[Part, ...]:
    """The parts that are wanted of a demo, each with its job."""
    found = [each for each in _wanted(session) if each.run.project_id == project_id and each.demo == demo]
    jobs = [_job(session, each.run) for each in found]
    told = iter(described_all(session, [each for each in jobs if each is not None]))
    known = [
        Part(each.part, each.run.name, None if job is None else next(told))
        for each, job in zip(found, jobs, strict=True)
    ]
    order = [*dict.fromkeys(part for study in STUDIES.values() for part in study)]
    return tuple(sorted(known, key=lambda each: order.index(each.name)))


def problems_are_there(session: Session, project_id: int, demo: Demo) -> bool:
    """Whether both sets are filled: they are closed then."""
    names = {each.partition("@")[0] for each in (demo.problem_set, demo.held_out)}
    filled = select(func.count()).where(
        ProblemSet.project_id == project_id, ProblemSet.name.in_(names), ProblemSet.version == "1", ProblemSet.closed
    )
    return session.scalar(filled) == len(names)


def move_on(session: Session, settings: Settings) -> Left:
    """Submit every job that waits for nothing any more; what is left."""
    wanted = _wanted(session)
    if not wanted or not session.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
        return Left(any=bool(wanted))
    waiting = [each for each in wanted if _job(session, each.run) is None]
    lacking = {
        (each.run.project_id, each.demo.size)
        for each in waiting
        if not problems_are_there(session, each.run.project_id, each.demo)
    }
    for each in waiting:
        there = (each.run.project_id, each.demo.size) not in lacking
        if in_training(session, each.run.project_id, {each.run.name}):
            continue  # by a job from before this run was made: it comes to its end first
        if there and (each.part == "taught" or _is_taught(session, wanted, each)):
            _submit(session, settings, each)
    return Left(bool(waiting), frozenset(lacking))


def store(session: Session, project_id: int, size: Size, made: Made) -> None:
    """Fill both sets, and close them."""
    demo = Demo(size)
    for name, problems in ((demo.problem_set, made.training), (demo.held_out, made.held_out)):
        put_problem_set(session, project_id, name, {})
        for first in range(0, len(problems), ROWS):
            rows: Any = problems[first : first + ROWS]
            record_problems(session, project_id, name, rows)
        put_problem_set(session, project_id, name, {"closed": True})


def _wanted(session: Session) -> list[Wanted]:
    found = select(Run).where(TAGGED, Run.name.startswith("demo-"), Run.archived_at.is_(None))
    named = ((run, Demo.of_run(run.name)) for run in session.scalars(found.order_by(Run.id)))
    return [Wanted(run, *known) for run, known in named if known is not None]


def _job(session: Session, run: Run) -> Job | None:
    """The last one that trained the run; of a run of this name that was deleted, none."""
    told = select(Job).filter_by(project_id=run.project_id, kind="training").where(Job.created_at >= run.created_at)
    return session.scalar(told.where(Job.spec.contains({"run": run.name})).order_by(Job.id.desc()).limit(1))


def _is_taught(session: Session, wanted: Sequence[Wanted], part: Wanted) -> bool:
    """Whether the model that the part starts from is there."""
    taught = (each for each in wanted if (each.part, each.demo) == ("taught", part.demo))
    jobs = (_job(session, each.run) for each in taught if each.run.project_id == part.run.project_id)
    return any(job is not None and job.state == "succeeded" for job in jobs)


def _submit(session: Session, settings: Settings, part: Wanted) -> None:
    project_id = part.run.project_id
    spec = part.demo.spec(part.part, settings.checkpoints / str(project_id))
    wanted = offer("training").request.validate_python({"kind": "training", "spec": spec})
    submit(session, Caller(project_id, None, frozenset()), settings, wanted, queue_of(part.part))
