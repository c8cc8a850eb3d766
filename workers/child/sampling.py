"""Sampling jobs: what an evaluation lacks of n completions per problem is drawn, and verifiers are given work."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Self
from uuid import UUID

from app.ingest.canonical import canonical_json
from app.ingest.columns import CompletionColumns
from app.ingest.evaluations import (
    SampledModel,
    create_evaluation,
    raise_n,
    record_model,
)
from app.ingest.schemas import NewEvaluation
from app.ingest.service import Kept, record_absent_completions
from app.ingest.undrawn import Undrawn, undrawn
from app.jobs import service
from app.jobs.specs import SamplingSpec
from app.models import Job
from workers.child.evaluations import evaluation_of
from workers.child.work import JobFailed, Work, storable
from workers.child.writer import Writer
from workers.sampling import Engine, Request, Sample, SamplingFailed, SamplingRefused, completion_seed, sampling_engine
from workers.sampling.models import Files, fingerprint

TOLD_EVERY: Final = 10.0  # seconds between two lines of the log
LARGEST: Final = 2**31 - 1
LONGEST_REASON: Final = 200


def run(work: Work) -> None:
    """Draw what the spec of the job names."""
    spec = SamplingSpec.model_validate(work.spec)
    drawing = _drawing(work, spec)
    lacking = drawing.lacking
    work.say(f"evaluation {drawing.evaluation_id}: {lacking} of {work.progress.total} completions are to be drawn")
    try:
        if lacking:
            _draw(drawing)
    except (SamplingRefused, SamplingFailed) as error:
        raise JobFailed(f"{str(error).removesuffix('.')}.") from error
    work.say(drawing.summary())


@dataclass
class Drawing:
    """The completions of one job, and what became of them."""

    work: Work
    spec: SamplingSpec
    evaluation_id: UUID
    problems: Sequence[Undrawn]
    began: float = field(default_factory=time.monotonic)
    tokens: int = 0
    kept: Kept = field(default_factory=lambda: Kept(0, 0, 0))
    _told: float = field(default_factory=time.monotonic)
    _judged: float = field(default_factory=time.monotonic)

    @property
    def lacking(self) -> int:
        """How many are to be drawn."""
        return sum(len(each.sample_indexes) for each in self.problems)

    def requests(self) -> Iterator[Request]:
        """Every completion that is lacking, with its seed."""
        seed = self.spec.sampling.seed
        for each in self.problems:
            assert each.prompt is not None
            for index in each.sample_indexes:
                own = completion_seed(self.evaluation_id, seed, each.problem, index)
                yield Request(each.problem, each.prompt, index, own)

    def record(self, samples: Sequence[Sample]) -> None:
        """Store them, those that are there already excepted; now and then give the verifiers work."""
        author = (self.work.attempt.job_id, self.work.attempt.number)
        with self.work.fenced(done=len(samples)) as session:
            evaluation = evaluation_of(session, self.work, self.evaluation_id, for_writing=True)
            kept = record_absent_completions(session, evaluation, _columns(samples), author)
            if time.monotonic() - self._judged > self.work.settings.judged_every:
                service.have_judged(session, session.get_one(Job, self.work.attempt.job_id), self.evaluation_id)
                self._judged = time.monotonic()
        self.kept = Kept(*map(sum, zip(self.kept, kept, strict=True)))
        self.tokens += sum(each.completion_tokens or 0 for each in samples)
        if time.monotonic() - self._told > TOLD_EVERY:
            self._told = time.monotonic()
            progress = self.work.progress
            self.work.say(f"{progress.done} of {progress.total} completions, {self._speed()}")

    def _speed(self) -> str:
        seconds = time.monotonic() - self.began
        return f"{sum(self.kept) / seconds:.1f} completions and {self.tokens / seconds:.0f} tokens a second"

    def summary(self) -> str:
        """What was done, in a line."""
        there = self.kept.replayed + self.kept.differing
        if not sum(self.kept):
            return "nothing was to be drawn"
        return f"{self.kept.accepted} completions new, {there} there already and left as they were; {self._speed()}"


def _drawing(work: Work, spec: SamplingSpec) -> Drawing:
    """The evaluation, made where there is none, with n declared; AppError where it is of another model."""
    wanted = NewEvaluation(
        run=spec.run, step=spec.step, problem_set=spec.problem_set, sampling=spec.identity(), model=spec.model
    )
    with work.fenced() as session:
        evaluation_id, _ = create_evaluation(session, work.project_id, wanted)
        evaluation = evaluation_of(session, work, evaluation_id)
        raise_n(session, evaluation, spec.n)
        drawing = Drawing(work, spec, evaluation_id, undrawn(session, evaluation, spec.n, spec.limit))
        # Here, so that a job which fails before it writes anything says of how many.
        work.progress.total = len(drawing.problems) * spec.n
        work.progress.done = work.progress.total - drawing.lacking
    if not drawing.problems:
        raise JobFailed(f"The problem set {spec.problem_set} has no problems.")
    if silent := next((each.problem for each in drawing.problems if each.sample_indexes and each.prompt is None), None):
        raise JobFailed(f"Problem {silent!r} has no prompt, so nothing can be drawn for it.")
    return drawing


def _draw(drawing: Drawing) -> None:
    with _loaded(drawing.work, drawing.spec) as engine:
        _record_model(drawing, engine)
        drawing.began = drawing._told = drawing._judged = time.monotonic()
        with Writer[Sample](drawing.record) as writer:
            for sample in engine.sample(drawing.requests(), drawing.spec.settings()):
                writer.put(sample)


def _record_model(drawing: Drawing, engine: Engine) -> None:
    if (model := engine.model) is None:
        return
    sampled = SampledModel(model.name, str(model.folder), model.revision, bytes.fromhex(model.sha256))
    with drawing.work.fenced() as session:
        evaluation = evaluation_of(session, drawing.work, drawing.evaluation_id)
        record_model(session, evaluation, sampled)


@dataclass(frozen=True)
class Loaded:
    """An engine, and the files of its model as they were when it was loaded."""

    engine: Engine
    files: Files | None

    @classmethod
    def of(cls, work: Work, spec: SamplingSpec) -> Self:
        """Loaded now."""
        began = time.monotonic()
        engine = sampling_engine(spec.engine, spec.model, spec.engine_options, work.settings.roots_of_models)
        if engine.model is None:
            return cls(engine, None)
        work.say(f"{spec.model}, sha256 {engine.model.sha256}, was loaded in {time.monotonic() - began:.1f} s")
        return cls(engine, fingerprint(engine.model.folder))

    @property
    def is_current(self) -> bool:
        """Whether the files are still those that were loaded."""
        model = self.engine.model
        try:
            return model is not None and fingerprint(model.folder) == self.files
        except OSError:
            return False

    def close(self) -> None:
        """Let go of the model."""
        self.engine.close()


@contextmanager
def _loaded(work: Work, spec: SamplingSpec) -> Iterator[Engine]:
    """The engine: of the job before in this process where the model is the same; left to the next if all goes well."""
    key = (spec.engine, spec.model, canonical_json(spec.engine_options))
    loaded = work.shelf.take(key, Loaded)
    if loaded is not None and not loaded.is_current:
        loaded.close()
        loaded = None
    if loaded is not None:
        work.say(f"{spec.model} is still loaded")
    else:
        loaded = Loaded.of(work, spec)
    try:
        yield loaded.engine
    except BaseException:
        loaded.close()
        raise
    if loaded.files is None:
        loaded.close()  # it asks a server, which keeps the model itself
    else:
        work.shelf.keep(key, loaded)


def _columns(samples: Sequence[Sample]) -> CompletionColumns:
    """As they can be stored: models write the character NUL, and servers say what they like."""
    return CompletionColumns(
        [each.problem for each in samples],
        [each.sample_index for each in samples],
        [storable(each.text) for each in samples],
        [storable(each.finish_reason)[:LONGEST_REASON] for each in samples],
        [_count(each.prompt_tokens) for each in samples],
        [_count(each.completion_tokens) for each in samples],
        [each.logprob if each.logprob is not None and math.isfinite(each.logprob) else None for each in samples],
        [each.seed for each in samples],
        [()] * len(samples),
    )


def _count(tokens: int | None) -> int | None:
    return tokens if tokens is not None and 0 <= tokens <= LARGEST else None
