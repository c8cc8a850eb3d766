"""What can be known at submission to be wrong with a training job."""

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from app.errors import InvalidRequest
from app.estimates.errors import ProblemSetNotFound
from app.estimates.runs import find_problem_set
from app.jobs.errors import RunInTraining, RunInUse, RunMadeAnew
from app.jobs.judging import TO_ADD, check_judged
from app.jobs.specs.training import TrainingSpec, name_of_run
from app.models import Job, Problem, Run

LOCK: Final = 0x706B7472  # whoever is to queue a training job of a project holds this advisory lock


def check_runs(session: Session, project_id: int, spec: TrainingSpec) -> None:
    """Raise InvalidRequest where a job that has not ended trains one of the runs: both would write its checkpoints."""
    _one_after_another(session, project_id)
    if found := in_training(session, project_id, {spec.run_of(seed) for seed in spec.seeds}):
        uuid, run = found
        raise InvalidRequest(
            f"Job {uuid} trains {run} already: wait for its end, cancel it, or give this training another name.",
            [("/spec/run", "a job trains it")],
        )


def check_retried(session: Session, job: Job) -> None:
    """Raise where a job that has ended may not go on.

    Raises:
      RunInTraining: another job, which has not ended, trains a run of it.
      RunMadeAnew: a run of this name was made since it ended, by somebody else.
    """
    _one_after_another(session, job.project_id)
    runs = runs_of(job.spec)
    if found := in_training(session, job.project_id, runs):
        raise RunInTraining(*found)
    since = select(Run.name).where(
        Run.project_id == job.project_id, Run.name.in_(runs), Run.created_at > job.finished_at
    )
    if made := session.scalar(since.order_by(Run.name).limit(1)):
        raise RunMadeAnew(made)


def check_left(session: Session, project_id: int, run: str, checkpoints: Path) -> None:
    """Raise where a job that has not ended needs the run, whose checkpoints lie in this folder.

    Raises:
      RunInTraining: it trains the run, which it would bring back.
      RunInUse: a checkpoint of the run is its model.
    """
    _one_after_another(session, project_id)
    if found := in_training(session, project_id, {run}):
        raise RunInTraining(*found)
    its_model = Job.spec["model"].astext
    using = _going_on(project_id).where(its_model.startswith(f"{checkpoints}/", autoescape=True))
    if user := session.scalar(using.order_by(Job.id).limit(1)):
        raise RunInUse(user.uuid, user.kind)


def in_training(session: Session, project_id: int, runs: Set[str]) -> tuple[UUID, str] | None:
    """A job that has not ended and trains one of the runs, and that run; None where there is none."""
    for job in session.scalars(_going_on(project_id).where(Job.kind == "training")):
        if both := runs & runs_of(job.spec):
            return job.uuid, min(both)
    return None


def _going_on(project_id: int) -> Select[Job]:
    return select(Job).where(Job.project_id == project_id, Job.state.in_(("queued", "running")))


def runs_of(spec: Mapping[str, Any]) -> set[str]:
    """The names of the runs that a training job with this spec trains."""
    return {name_of_run(spec["run"], spec["seeds"], seed) for seed in spec["seeds"]}


def _one_after_another(session: Session, project_id: int) -> None:
    """Wait for whoever else is to queue a training job: until it commits, nobody would see that job."""
    session.execute(select(func.pg_advisory_xact_lock(LOCK, project_id % 2**31)))


def check_problems(session: Session, project_id: int, spec: TrainingSpec) -> None:
    """Raise InvalidRequest where a set is not there, too small or not to be judged, or where the two sets meet."""
    training = _usable(session, project_id, spec, spec.problem_set, "/spec/problem_set")
    problems = _count(session, training)
    if isinstance(spec.held_out, float):
        held_out = round(spec.held_out * problems)
        if held_out == 0:
            raise InvalidRequest(
                f"held_out = {spec.held_out:g} of {problems} problems is less than one.",
                [("/spec/held_out", "no problem is held out")],
            )
        problems -= held_out
    if problems < spec.problems_per_step:
        raise InvalidRequest(
            f"A step takes problems_per_step = {spec.problems_per_step} different problems; there are {problems} to "
            "train on.",
            [("/spec/problems_per_step", "more than there are problems")],
        )
    if isinstance(spec.held_out, str):
        held_out_set = _usable(session, project_id, spec, spec.held_out, "/spec/held_out")
        _check_apart(session, training, held_out_set)


def _usable(session: Session, project_id: int, spec: TrainingSpec, name: str, pointer: str) -> int:
    """The id of a set with problems, each with a prompt, of which the verifier can judge some."""
    try:
        set_id = find_problem_set(session, project_id, name)
    except ProblemSetNotFound:
        raise InvalidRequest(
            "This project has no problem set of this name and version; `pkpo problems import` brings one.",
            [(pointer, "no such problem set")],
        ) from None
    problems = _count(session, set_id)
    prompts = session.scalar(select(func.count()).where(Problem.problem_set_id == set_id, Problem.prompt != "")) or 0
    if problems == 0:
        raise InvalidRequest("This problem set has no problems.", [(pointer, "no problems")])
    if prompts < problems:
        raise InvalidRequest(
            f"{problems - prompts} of the {problems} problems have no prompt. {TO_ADD}",
            [(pointer, "without prompts")],
        )
    check_judged(session, set_id, spec.verifier, spec.verifier_options, pointer)
    return set_id


def _count(session: Session, set_id: int) -> int:
    return session.scalar(select(func.count()).where(Problem.problem_set_id == set_id)) or 0


def _check_apart(session: Session, training: int, held_out: int) -> None:
    """Raise InvalidRequest where a held-out problem is trained on, under its name or by its prompt."""
    other = aliased(Problem)
    both = select(func.count(func.distinct(Problem.id))).where(
        Problem.problem_set_id == held_out, other.problem_set_id == training
    )
    by_name = _counted(session, both.where(other.name == Problem.name))
    by_prompt = _counted(session, both.where(other.prompt == Problem.prompt))
    if by_name or by_prompt:
        raise InvalidRequest(
            f"Of the held-out problems {by_name} are trained on by their name and {by_prompt} by their prompt: what "
            "they measure would be learned by heart. Hold out other problems, or a fraction of problem_set.",
            [("/spec/held_out", "problems that are trained on")],
        )


def _counted(session: Session, wanted: Select[int]) -> int:
    return session.scalar(wanted) or 0
