"""What a training job writes: the groups and figures of its steps, and the evaluations of its checkpoints."""

import math
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar
from uuid import UUID

import numpy as np
import psycopg
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.ingest.columns import CompletionColumns
from app.ingest.errors import EvaluationConflict
from app.ingest.evaluations import SampledModel, create_evaluation, find_evaluation, record_model
from app.ingest.schemas import NewEvaluation
from app.ingest.service import record_absent_completions
from app.ingest.undrawn import undrawn
from app.ingest.verdicts import Verdict
from app.ingest.verifiers import record_options
from app.jobs.options.engines import SamplingSettings
from app.jobs.specs.training import TrainingSpec
from app.models import GroupStatistics
from app.training.schemas import NewMetric
from app.training.service import LogRow, group_content, next_segment, record_group_rows, record_metrics
from pkpo.estimators import max_at_ks
from workers.child.work import Work, storable
from workers.sampling import Request, Sample, completion_seed
from workers.sampling.models import model_sha256
from workers.training.checkpoints import Checkpoint
from workers.training.drawing import drawn
from workers.training.follower import Follower
from workers.training.missing import nothing_said
from workers.training.models import Policy
from workers.training.records import StepRecord
from workers.training.rewards import Rewards, reasons
from workers.verifiers import Verification

PAUSE: Final = 0.5  # seconds before a database that is away is tried again
PAGE: Final = 512  # completions of an evaluation between two transactions
TOLD_EVERY: Final = 10.0  # seconds between two lines of the log
T = TypeVar("T")


class Stop:
    """Notes that the process was asked to end: the step that is being made comes to its end, and is kept."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_: Any) -> None:
        self.asked = True


class JobFollower(Follower):
    """Writes through the job's fence. While the database is away steps are kept, and no checkpoint is made."""

    def __init__(
        self,
        work: Work,
        spec: TrainingSpec,
        run: str,
        held_out: str | None,
        rewards: Rewards,
        stop: Stop,
        begun: int,
    ) -> None:
        self._work, self._spec, self._run, self._held_out = work, spec, run, held_out
        self._rewards, self._stop, self._begun = rewards, stop, begun
        self._waiting: deque[StepRecord] = deque()
        self._told = 0.0
        with work.fenced() as session:
            self._segment = next_segment(session, work.project_id, run)

    def say(self, line: str) -> None:
        """A line of the job's log."""
        self._work.say(line)

    def begins(self, step: int) -> None:
        """Show how far the training is, before it makes a step or where it makes none."""
        self._work.progress.done = self._begun * (self._spec.steps or 0) + step
        self._patiently(self._show)

    def _show(self) -> None:
        with self._work.fenced():
            pass

    def stops(self) -> bool:
        """Whether the worker asked for it."""
        return self._stop.asked

    def recorded(self, record: StepRecord) -> None:
        """Store the step, and those that wait; keep them where the database does not answer."""
        self._waiting.append(record)
        try:
            self._flush()
        except (DBAPIError, psycopg.Error) as error:
            if not _passes(error):
                raise
            self.say(f"the database does not answer: {len(self._waiting)} steps wait to be stored")
        if time.monotonic() - self._told > TOLD_EVERY:
            self._told = time.monotonic()
            self.say(_line(record))

    def _flush(self) -> None:
        while self._waiting:
            record = self._waiting[0]
            begun = time.perf_counter()
            self._work.progress.done = self._begun * (self._spec.steps or 0) + record.step - 1
            with self._work.fenced(done=1) as session:
                record_group_rows(session, self._work.project_id, self._run, _group_rows(record, self._segment))
                record_metrics(session, self._work.project_id, self._run, _metrics(record, self._segment))
            self._waiting.popleft()
            self._seconds = time.perf_counter() - begun

    @contextmanager
    def commit(self, step: int) -> Iterator[None]:
        """The fence, once all steps before the checkpoint are stored: whoever goes on from it makes them no more."""
        self._patiently(self._flush)
        with self._work.fenced():
            yield

    def evaluate(self, checkpoint: Checkpoint, policy: Policy) -> float | None:
        """Draw and judge what the evaluation lacks; the mean of max_g@k at the objective's largest k, or so."""
        if self._held_out is None:
            return None
        evaluation, requests = self._patiently(partial(self._begin, checkpoint))
        if requests:
            self.say(f"step {checkpoint.step}: {len(requests)} completions of held-out problems")
        begun, samples, unsaid = time.monotonic(), drawn(policy, self._spec.generation, requests), Counter[str]()
        while page := [replace(each, text=storable(each.text)) for each in islice(samples, PAGE)]:
            verdicts = self._rewards.verifications([each.text for each in page], [each.problem for each in page])
            unsaid.update(reasons(verdicts))
            self._patiently(partial(self._store, evaluation, page, verdicts))
            if self._stop.asked:
                return None
        value = self._patiently(partial(self._value, evaluation))
        if requests:
            self.say(f"step {checkpoint.step}: evaluated in {time.monotonic() - begun:.1f} s")
        if value is None and unsaid:
            asked = f"{unsaid.total()} completions of held-out problems at step {checkpoint.step}"
            raise nothing_said(self._rewards.verifier.full_name, unsaid, asked)
        return value

    def _begin(self, checkpoint: Checkpoint) -> tuple[UUID, list[Request]]:
        """The evaluation, with its weights noted, and what it lacks."""
        spec, folder = self._spec, checkpoint.folder
        settings = SamplingSettings(
            temperature=spec.generation.temperature,
            max_tokens=spec.generation.max_tokens,
            prompt=spec.generation.prompt,
        )
        assert self._held_out is not None
        wanted = NewEvaluation(
            run=self._run,
            step=checkpoint.step,
            problem_set=self._held_out,
            sampling=settings.model_dump(mode="json", exclude={"n"}, exclude_none=True),
            n=spec.n,
        )
        with self._work.fenced() as session:
            id_, _ = create_evaluation(session, self._work.project_id, wanted)
            evaluation = find_evaluation(session, self._work.project_id, id_)
            sha256 = bytes.fromhex(model_sha256(folder))
            if evaluation.model not in (None, str(folder)) and evaluation.model_sha256 != sha256:
                raise EvaluationConflict(["model"])
            evaluation.model = str(folder)  # where the data folder has been moved, the same weights lie elsewhere
            record_model(session, evaluation, SampledModel(str(folder), str(folder), None, sha256))
            self._record_verifier(session)
            lacking = undrawn(session, evaluation, spec.n, None)
        requests = [
            Request(each.problem, each.prompt or "", index, completion_seed(id_, settings.seed, each.problem, index))
            for each in lacking
            for index in each.sample_indexes
        ]
        return id_, requests

    def _store(self, evaluation_id: UUID, samples: Sequence[Sample], verdicts: Sequence[Verification]) -> None:
        author = (self._work.attempt.job_id, self._work.attempt.number)
        with self._work.fenced() as session:
            evaluation = find_evaluation(session, self._work.project_id, evaluation_id, for_writing=True)
            record_absent_completions(session, evaluation, self._columns(samples, verdicts), author)

    def _columns(self, samples: Sequence[Sample], verdicts: Sequence[Verification]) -> CompletionColumns:
        name = self._rewards.verifier.full_name
        return CompletionColumns(
            [each.problem for each in samples],
            [each.sample_index for each in samples],
            [each.text for each in samples],
            [each.finish_reason for each in samples],
            [each.prompt_tokens for each in samples],
            [each.completion_tokens for each in samples],
            [each.logprob for each in samples],
            [each.seed for each in samples],
            [
                [Verdict.of(name, said.reward, said.passed, said.status, said.answer, dict(said.detail) or None)]
                for said in verdicts
            ],
        )

    def _value(self, evaluation_id: UUID) -> float | None:
        with self._work.fenced() as session:
            evaluation = find_evaluation(session, self._work.project_id, evaluation_id)
            stored = select(GroupStatistics.rewards).filter_by(
                evaluation_id=evaluation.id, verifier_id=self._record_verifier(session)
            )
            rewards = [each for each in session.scalars(stored) if each]
        if not rewards:
            return None
        k = min(math.ceil(self._spec.schedule.largest), *map(len, rewards))
        return float(np.mean([max_at_ks(each, [k])[..., 0] for each in rewards]))

    def _record_verifier(self, session: Session) -> int:
        judge = self._rewards.verifier
        return record_options(session, self._work.project_id, judge.full_name, judge.told)

    def _patiently(self, write: Callable[[], T]) -> T:
        """What the function gives once the database answers; the worker ends us where that takes too long."""
        told = False
        while True:
            try:
                return write()
            except (DBAPIError, psycopg.Error) as error:
                if not _passes(error):
                    raise
                if not told:
                    self.say(f"the database does not answer ({type(_of_psycopg(error)).__name__}): waiting")
                told = True
                time.sleep(PAUSE)


def _passes(error: DBAPIError | psycopg.Error) -> bool:
    """Whether the database may answer later; what it says of the statement itself, it would say again."""
    return isinstance(_of_psycopg(error), psycopg.OperationalError | psycopg.InterfaceError)


def _of_psycopg(error: DBAPIError | psycopg.Error) -> BaseException | None:
    """The error of psycopg, which COPY raises as it is."""
    return error.orig if isinstance(error, DBAPIError) else error


def _group_rows(record: StepRecord, segment: int) -> list[LogRow]:
    return [
        LogRow(
            segment,
            record.step,
            index,
            group_content(
                each.problem, list(each.rewards), list(each.credits), None, each.k, record.transform, record.scale
            ),
            f"/groups/{index}",
        )
        for index, each in enumerate(record.groups)
    ]


def _metrics(record: StepRecord, segment: int) -> list[NewMetric]:
    return [
        NewMetric.model_validate({"step": record.step, "segment": segment, "name": name, "value": _in_json(value)})
        for name, value in record.metrics.items()
    ]


def _in_json(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _line(record: StepRecord) -> str:
    shown = ("reward/mean", "cumulative_solve_rate", "entropy", "k")
    told = ", ".join(f"{name} {record.metrics[name]:.3f}" for name in shown if name in record.metrics)
    spent = sum(value for name, value in record.metrics.items() if name.startswith("seconds/"))
    return f"step {record.step}: {told}, {spent:.2f} s"
