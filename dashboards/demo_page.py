"""The walk through the demo: how far each part is, both ends of the curve, and what the intervals support."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from dashboards.compare_figures import curves_figure
from dashboards.compare_page import verdict
from dashboards.figures import CheckpointCurve
from dashboards.jobs_page import JobRow
from dashboards.numerals import duration
from dashboards.pages import rendered
from dashboards.training_figures import trajectory_figure
from pkpo.comparisons import Comparison
from pkpo.curves import PassAtKCurve

# Of each part its title, what is shown in figures, and what happens in it.
WORDS = MappingProxyType(
    {
        "taught": (
            "A model is made and taught",
            "taught",
            "It has random weights at first, and learns from answers that are given. Its curve on the held-out "
            "problems is where the trainings start.",
        ),
        "k1": (
            "Trained for pass@1",
            "k = 1",
            "Reinforcement learning as usual: each completion earns its own reward, less the mean of its group.",
        ),
        "k8": (
            "Trained for pass@8",
            "k = 8",
            "The same model, problems and settings, only that a completion earns what it adds to the best of 8.",
        ),
        "8-to-1": (
            "Trained from pass@8 to pass@1",
            "8 → 1",
            "The same once more, with k falling from 8 to 1 along the steps.",
        ),
    }
)
LOW_K, HIGH_K = 1, 16
SHOWN = (1, 8, 16)


@dataclass(frozen=True)
class DemoPart:
    """A run of the demo, the job that trains it once there is one, and the curves of its checkpoints so far."""

    name: str
    run: str
    run_url: str
    job: JobRow | None
    curves: tuple[tuple[int, PassAtKCurve], ...] = ()

    @property
    def title(self) -> str:
        """What it is."""
        return WORDS[self.name][0]

    @property
    def label(self) -> str:
        """What figures call it."""
        return WORDS[self.name][1]

    @property
    def words(self) -> str:
        """What happens in it."""
        return WORDS[self.name][2]

    @property
    def took(self) -> str:
        """How long it took, or nothing before it is over."""
        if self.job is None or self.job.started is None or self.job.finished is None:
            return ""
        return duration((self.job.finished - self.job.started).total_seconds())

    @property
    def stopped(self) -> bool:
        """Whether it ended without success."""
        return self.job is not None and self.job.over and self.job.state != "succeeded"


@dataclass(frozen=True)
class Held:
    """Two checkpoints held against each other: b − a."""

    a: str
    b: str
    url: str
    """Of the page that compares them."""
    found: Comparison

    @property
    def sentence(self) -> str:
        """What the intervals support."""
        return verdict(self.found, f"“{self.b}”")


@dataclass(frozen=True)
class DemoPage:
    """A demo as it stands; without parts nobody has begun it."""

    server: str
    size: str
    seed: int
    minutes: int
    problem_set: str
    held_out: str
    problems_ready: bool
    parts: tuple[DemoPart, ...]
    held: tuple[Held, ...]
    trouble: str | None
    """Why it goes no further, a sentence."""
    compare_url: str
    """Of the page of both trainings side by side."""
    others: tuple[tuple[str, str], ...] = ()
    """Other demos: what they are called, and their addresses."""
    running: int = 0

    @property
    def annealed(self) -> bool:
        """Whether the second study was begun."""
        return any(part.name == "8-to-1" for part in self.parts)

    @property
    def live(self) -> bool:
        """Whether something may still change."""
        return any(part.job is None or not part.job.over for part in self.parts)


def render_demo(page: DemoPage) -> str:
    """The walk through the demo."""
    drawn = [part for part in page.parts if part.curves]
    latest = {_name(part): part.curves[-1][1] for part in drawn}
    return rendered(
        "demo.html",
        page=page,
        curves=curves_figure(latest) if latest else None,
        trajectory=trajectory_figure(
            [[CheckpointCurve(*each) for each in part.curves] for part in drawn],
            LOW_K,
            HIGH_K,
            [part.label for part in drawn],
        )
        if any(len(part.curves) > 1 for part in drawn)
        else None,
        shown=SHOWN,
        problems=_problems(drawn),
    )


def _name(part: DemoPart) -> str:
    step = part.curves[-1][0]
    return part.label if part.name == "taught" else f"{part.label}, step {step}"


def _problems(parts: Sequence[DemoPart]) -> int:
    return max((curve.problems for part in parts for _, curve in part.curves), default=0)
