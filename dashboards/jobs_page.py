"""The pages of jobs: the list with the workers there are, one job with its log, and the form for a new one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from dashboards.numerals import count, duration, pace
from dashboards.pages import rendered, with_query
from dashboards.training_form import TrainingForm

URL = "/jobs"
NEW_URL = "/jobs/new"
FORMS = ("import", "verification", "sampling", "training")
OVER = ("succeeded", "failed", "dead", "cancelled")
DOING = MappingProxyType(
    {"import": "importing", "verification": "verifying", "sampling": "sampling", "training": "training"}
)
# What each capability is for, and what to do where no worker has it.
REMEDIES = MappingProxyType(
    {
        "import": ("results files", "any worker does"),
        "verify": ("exact-match, numeric-match, arc-grid, format, length, weighted", "any worker does"),
        "verify:math": ("math-verify", "make worker installs what it needs, and starts a worker"),
        "verify:reasoning-gym": ("reasoning-gym", "make worker installs what it needs, and starts a worker"),
        "verify:python": (
            "python-tests",
            "the sandbox needs bubblewrap (apt install bubblewrap); python -m workers.sandbox says what is in its way",
        ),
        "train": ("training by a verifier that needs nothing", "make worker installs TRL, and starts a worker"),
        "train:math": ("training by math-verify", "make worker installs what it needs, and starts a worker"),
        "train:reasoning-gym": ("training by reasoning-gym", "make worker installs what it needs, and starts a worker"),
        "train:python": ("training by python-tests", "the sandbox, as for verify:python"),
        "sampling:vllm": ("the engine vllm", "make worker installs vLLM, and starts a worker"),
        "sampling:openai": ("the engine openai", "any worker of this version does"),
        "sampling:transformers": ("the engine transformers", "make worker installs it, and starts a worker"),
    }
)


@dataclass(frozen=True)
class About:
    """What a job is about; the addresses are there where the thing is."""

    run: str | None = None
    run_url: str | None = None
    step: int | None = None
    problem_set: str | None = None
    evaluation_url: str | None = None
    verifier: str | None = None
    """As its verdicts are stored: with options that are not the usual ones, a hash of these is in the name."""
    filename: str | None = None
    told: Mapping[str, object] = field(default_factory=dict)
    """The options of the verifier that are not the usual ones."""


@dataclass(frozen=True)
class JobRow:
    """A job as it stands."""

    id: str
    kind: str
    state: str
    attempt: int
    done: int
    total: int | None
    rate: float | None
    remaining: float | None
    queue: str
    capability: str
    workers: int
    """Live workers that could take it."""
    priority: int
    created: datetime
    started: datetime | None
    finished: datetime | None
    error: str | None
    about: About
    stopping: bool = False
    """Whether it was asked to stop, and has not yet."""

    @property
    def url(self) -> str:
        """Its page."""
        return f"{URL}/{self.id}"

    @property
    def over(self) -> bool:
        """Whether it has come to an end."""
        return self.state in OVER

    @property
    def waits_in_vain(self) -> bool:
        """Whether it is queued, and nobody is there who could take it."""
        return self.state == "queued" and self.workers == 0

    @property
    def progress(self) -> str:
        """How far it is, and while it runs how fast: 412 of 1,024, 12/s, 50 s left; nothing of what has no steps."""
        if self.total == 0:
            return ""
        unit = " steps" if self.kind == "training" else ""
        said = [
            f"{count(self.done)} of {count(self.total)}{unit}"
            if self.total is not None
            else f"{count(self.done)}{unit} done"
        ]
        if self.state == "running" and self.rate:
            said.append(pace(self.rate))
            if self.remaining is not None:
                said.append(f"{duration(self.remaining)} left")
        return ", ".join(said)

    @property
    def share(self) -> float | None:
        """The part that is done, from 0 to 1; None while nobody knows how much there is."""
        return min(self.done / self.total, 1.0) if self.total else None


@dataclass(frozen=True)
class WorkerRow:
    """A worker that has not said that it stopped."""

    host: str
    pid: int
    queues: tuple[str, ...]
    capabilities: tuple[str, ...]
    live: bool
    heard: datetime
    started: datetime
    jobs: tuple[str, ...]
    """The ids of those it works on."""


@dataclass(frozen=True)
class JobsPage:
    """The jobs that match the filters, newest first, and the workers."""

    now: datetime
    server: str
    jobs: tuple[JobRow, ...]
    workers: tuple[WorkerRow, ...]
    wanted: tuple[tuple[str, str], ...]
    """The (queue, capability) that jobs of this version may ask for."""
    kinds: tuple[str, ...]
    states: tuple[str, ...]
    state: str | None = None
    kind: str | None = None
    cursor: str | None = None
    next_cursor: str | None = None
    running: int = 0

    def link(self, **changes: str | None) -> str:
        """The URL of this list but for the changes, from its first page."""
        return with_query(URL, {"state": self.state, "kind": self.kind} | changes)

    @property
    def not_offered(self) -> dict[str, tuple[str, str]]:
        """What no live worker takes: what it is for, and what to do."""
        live = [worker for worker in self.workers if worker.live]
        found = {}
        for queue, capability in self.wanted:
            able = [worker for worker in live if capability in worker.capabilities]
            if not any(queue in worker.queues for worker in able):
                purpose, remedy = REMEDIES.get(capability, ("", "make worker"))
                on_queue = f"python -m workers --queue cpu --queue {queue}, for its jobs wait in the queue {queue}"
                found[capability] = (purpose, on_queue if able else remedy)
        return found

    @property
    def any_live(self) -> bool:
        """Whether somebody is there to work."""
        return any(worker.live for worker in self.workers)


@dataclass(frozen=True)
class Change:
    """A state that a job came into, and why where there is a reason."""

    at: datetime
    state: str
    attempt: int
    why: str | None = None


@dataclass(frozen=True)
class JobPage:
    """One job."""

    now: datetime
    job: JobRow
    spec: Mapping[str, Any]
    worker: WorkerRow | None
    history: tuple[Change, ...]
    lines: tuple[str, ...]
    older: str | None
    """Where lines before these can be read."""
    is_tail: bool
    """Whether these are the newest lines."""
    running: int = 0

    @property
    def remedy(self) -> str:
        """What to do where no worker can take it."""
        return REMEDIES.get(self.job.capability, ("", "make worker starts one"))[1]


@dataclass(frozen=True)
class NewJobPage:
    """The form of one kind of job, with what an address may have filled in."""

    kind: str
    kinds: tuple[str, ...]
    given: Mapping[str, str]
    verifiers: tuple[str, ...]
    engines: tuple[str, ...]
    formats: tuple[str, ...]
    problem_sets: tuple[str, ...]
    most_bytes: int
    running: int = 0
    without_options: tuple[str, ...] = ()
    """The verifiers that can be named alone."""
    runs: tuple[str, ...] = ()
    evaluations: Mapping[str, str] = field(default_factory=dict)
    """By id, what each is of."""
    training: TrainingForm | None = None
    server: str = ""


def render_jobs(page: JobsPage) -> str:
    """The list, and the workers."""
    return rendered("jobs.html", page=page)


def render_job(page: JobPage) -> str:
    """A job, its log and its history."""
    return rendered("job.html", page=page, job=page.job)


def render_new_job(page: NewJobPage) -> str:
    """The form for a new job."""
    return rendered("new_job.html", page=page)
