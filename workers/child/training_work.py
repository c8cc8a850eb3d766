"""What a training job does: the problems are read, each seed is trained, and refusals become sentences."""

import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import torch
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.ingest.evaluations import problem_set_id
from app.jobs import service
from app.jobs.options.models import ModelRefused
from app.jobs.specs.training import TrainingSpec
from app.models import Problem as StoredProblem
from app.models import Run
from app.problem_sets.service import put_problem_set, record_problems
from app.training.checkpoint import folder_of_run, identity
from pkpo.problems import Problem
from workers.child.training_log import JobFollower, Stop
from workers.child.verifier import at_hand
from workers.child.work import JobFailed, Work
from workers.sampling import SamplingFailed
from workers.training import launch
from workers.training.beginnings import is_of_run, leave_deleted, problems_kept, problems_to_train
from workers.training.checkpoints import NoRoom, OtherTraining
from workers.training.follower import Silent
from workers.training.launch import UnsuitableProcesses
from workers.training.loop import Training, train
from workers.training.memory import TooLittleMemory
from workers.training.plans import UnsuitableRewards
from workers.training.problems import Problems, UnsuitableProblems, check, split
from workers.training.ranks import DoesNotDivide
from workers.training.rewards import Rewards
from workers.training.teaching import Stopped
from workers.training.vllm_colocated import OtherWeights

NOT_FINITE: Final = "probability tensor contains"  # how torch begins to say so
MORE_TO_DO: Final = 75  # EX_TEMPFAIL
REFUSALS: Final = (
    ModelRefused,
    UnsuitableProblems,
    UnsuitableRewards,
    UnsuitableProcesses,
    TooLittleMemory,
    NoRoom,
    OtherTraining,
    DoesNotDivide,
)
FAILURES: Final = (SamplingFailed, OtherWeights)


def train_all(work: Work, spec: TrainingSpec) -> None:
    """Train one seed after the other, in as many processes as the spec says or there are GPUs."""
    stop = Stop()
    with _told():
        spec = spec.model_copy(update={"processes": launch.processes(spec)})
        with work.fenced() as session:
            problems = _begun(session, work, spec)
            if isinstance(spec.held_out, float):
                _record_held_out(session, work.project_id, spec.held_out_name, problems)
        work.progress.total = None if spec.steps is None else spec.steps * len(spec.seeds)
        rank = [sys.executable, "-m", "workers.child.training_rank", str(work.attempt.job_id), str(spec.processes)]
        with launch.beside(rank, spec.processes or 1, work.say, partial(_fail, work)):
            _train(work, spec, problems, stop)
            if stop.asked:  # the others, who wait for this process, are ended with the block
                work.say("stopped; it goes on from its last checkpoint")
                sys.exit(MORE_TO_DO)


def train_beside(settings: Settings, project_id: int, spec: TrainingSpec, found: Problems) -> None:
    """What every process but the first does."""
    problems = problems_kept(_folder(settings, project_id, spec, spec.seeds[0]), found)
    with _told(), closing(_trainings(settings, project_id, spec, problems)) as trainings:
        for training in trainings:
            train(training, Silent())


def problems_of(session: Session, project_id: int, spec: TrainingSpec) -> Problems:
    """The problems to train on, and those that are held out."""
    training = _set(session, project_id, spec.problem_set)
    if spec.held_out is None:
        return Problems(training)
    if isinstance(spec.held_out, str):
        return Problems(training, _set(session, project_id, spec.held_out))
    return split(training, spec.held_out)


@contextmanager
def _told() -> Iterator[None]:
    """Refusals as sentences of a job."""
    try:
        yield
    except (*REFUSALS, *FAILURES) as error:
        raise JobFailed(f"{str(error).removesuffix('.')}.") from error
    except torch.OutOfMemoryError as error:
        raise JobFailed(
            "The accelerator has too little memory for a step: make micro_batch smaller, which computes the same, or "
            "train an adapter with lora."
        ) from error
    except RuntimeError as error:
        if NOT_FINITE not in str(error):
            raise
        raise JobFailed(
            "The policy has come to weights that are not finite, and can draw no token: lower the learning rate, or "
            "go on from an earlier checkpoint, which `pkpo export` copies."
        ) from error


def _fail(work: Work, sentence: str) -> None:
    with service.fenced(work.sessions, work.attempt) as session:
        service.fail(session, work.attempt, sentence)


def _train(work: Work, spec: TrainingSpec, problems: Problems, stop: Stop) -> None:
    held_out = None if spec.held_out is None else spec.held_out_name
    with closing(_trainings(work.settings, work.project_id, spec, problems)) as trainings:
        for begun, training in enumerate(trainings):
            name = spec.run_of(training.seed)
            work.say(
                f"run {name}: {spec.method} on {len(problems.training)} problems, checkpoints in {training.folder}"
            )
            follower = JobFollower(work, spec, name, held_out, training.rewards, stop, begun=begun)
            with work.fenced() as session:
                is_of_run(training.folder, str(_identity(session, work.project_id, name)))
            try:
                train(training, follower)
            except Stopped:
                work.say("stopped while the model was taught, which begins again")
            if stop.asked:
                return


def _trainings(
    settings: Settings, project_id: int, spec: TrainingSpec, problems: Problems
) -> Generator[Training, None, None]:
    """One for each seed, with a verifier that all have in common."""
    check(problems, spec.problems_per_step)
    with at_hand(spec.verifier, spec.verifier_options) as judge:
        rewards = Rewards(judge, {each.name: each for each in (*problems.training, *problems.held_out)})
        try:
            for seed in spec.seeds:
                folder = _folder(settings, project_id, spec, seed)
                yield Training(spec, seed, problems, rewards, folder, settings.roots_of_models)
        finally:
            rewards.close()


def _begun(session: Session, work: Work, spec: TrainingSpec) -> Problems:
    """The problems to train on: as the training began, where it goes on."""
    folders = [_folder(work.settings, work.project_id, spec, seed) for seed in spec.seeds]
    for folder in folders:
        leave_deleted(folder, _identity(session, work.project_id, folder.name), work.say)
    return problems_to_train(folders, problems_of(session, work.project_id, spec), work.say)


def _folder(settings: Settings, project_id: int, spec: TrainingSpec, seed: int) -> Path:
    return folder_of_run(settings.checkpoints, project_id, spec.run_of(seed))


def _identity(session: Session, project_id: int, name: str) -> str | None:
    """That of the run of a name; None where there is none."""
    found = session.execute(select(Run.id, Run.created_at).filter_by(project_id=project_id, name=name)).one_or_none()
    return None if found is None else identity(*found)


def _record_held_out(session: Session, project_id: int, name: str, problems: Problems) -> None:
    put_problem_set(session, project_id, name, {})
    record_problems(session, project_id, name, [each.sent() for each in problems.held_out])  # type: ignore[misc]
    before = {each.name for each in _set(session, project_id, name)} - {each.name for each in problems.held_out}
    if before:
        raise UnsuitableProblems(
            f"{name} was held out when the problem set had other problems, and {len(before)} of it would be trained on "
            "now: train on a new version of the problem set, or name what is held out"
        )


def _set(session: Session, project_id: int, name: str) -> list[Problem]:
    set_id = problem_set_id(session, project_id, name)
    stored = session.scalars(select(StoredProblem).filter_by(problem_set_id=set_id).order_by(StoredProblem.name))
    return [Problem(each.name, each.prompt or "", each.answer, each.tests, each.fields) for each in stored]
