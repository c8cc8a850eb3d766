"""What a training job does: the problems are read, each seed is trained, and refusals become sentences."""

import sys
from typing import Final

import torch
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.ingest.evaluations import problem_set_id
from app.jobs.options.models import ModelRefused
from app.jobs.specs.training import TrainingSpec
from app.models import Problem as StoredProblem
from app.problem_sets.service import put_problem_set, record_problems
from pkpo.problems import Problem
from workers.child_training_log import JobFollower, Stop
from workers.child_verifier import at_hand
from workers.child_work import JobFailed, Work
from workers.sampling import SamplingFailed
from workers.training.checkpoints import NoRoom, OtherTraining
from workers.training.loop import Training, train
from workers.training.plans import UnsuitableRewards
from workers.training.problems import Problems, UnsuitableProblems, check, split
from workers.training.ranks import DoesNotDivide
from workers.training.rewards import Rewards
from workers.training.vllm_colocated import OtherWeights
from workers.verifiers import Verifier

MORE_TO_DO: Final = 75  # EX_TEMPFAIL
REFUSALS: Final = (ModelRefused, UnsuitableProblems, UnsuitableRewards, NoRoom, OtherTraining, DoesNotDivide)
FAILURES: Final = (SamplingFailed, OtherWeights)


def train_all(work: Work, spec: TrainingSpec) -> None:
    """Train one seed after the other."""
    stop = Stop()
    try:
        problems, held_out = _problems(work, spec)
        check(problems, spec.problems_per_step)
        with at_hand(spec.verifier, spec.verifier_options) as judge:
            _train(work, spec, problems, held_out, judge, stop)
    except (*REFUSALS, *FAILURES) as error:
        raise JobFailed(f"{str(error).removesuffix('.')}.") from error
    except torch.OutOfMemoryError as error:
        raise JobFailed(
            "The accelerator has too little memory for a step: make micro_batch smaller, which computes the same, or "
            "train an adapter with lora."
        ) from error
    if stop.asked:
        work.say("stopped; it goes on from its last checkpoint")
        sys.exit(MORE_TO_DO)


def _train(
    work: Work, spec: TrainingSpec, problems: Problems, held_out: str | None, judge: Verifier, stop: Stop
) -> None:
    rewards = Rewards(judge, {each.name: each for each in (*problems.training, *problems.held_out)})
    work.progress.total = None if spec.steps is None else spec.steps * len(spec.seeds)
    try:
        for seed in spec.seeds:
            name = spec.run_of(seed)
            folder = work.settings.checkpoints / str(work.project_id) / name
            work.say(f"run {name}: {spec.method} on {len(problems.training)} problems, checkpoints in {folder}")
            follower = JobFollower(work, spec, name, held_out, rewards, stop, begun=spec.seeds.index(seed))
            train(Training(spec, seed, problems, rewards, folder, work.settings.roots_of_models), follower)
            if stop.asked:
                return
    finally:
        rewards.close()


def _problems(work: Work, spec: TrainingSpec) -> tuple[Problems, str | None]:
    """The problems of the spec, and the set that those held out are in."""
    with work.fenced() as session:
        training = _set(session, work, spec.problem_set)
        if spec.held_out is None:
            return Problems(training), None
        if isinstance(spec.held_out, str):
            return Problems(training, _set(session, work, spec.held_out)), spec.held_out
        parts = split(training, spec.held_out)
        name = spec.held_out_name
        put_problem_set(session, work.project_id, name, {})
        record_problems(session, work.project_id, name, [each.sent() for each in parts.held_out])  # type: ignore[misc]
        return parts, name


def _set(session: Session, work: Work, name: str) -> list[Problem]:
    set_id = problem_set_id(session, work.project_id, name)
    stored = session.scalars(select(StoredProblem).filter_by(problem_set_id=set_id).order_by(StoredProblem.name))
    return [Problem(each.name, each.prompt or "", each.answer, each.tests, each.fields) for each in stored]
