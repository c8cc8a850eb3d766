"""The playground of the transforms: rewards in a form, their credits, and the weight of each rank in max_g@k."""

from dataclasses import dataclass
from math import isnan
from types import MappingProxyType

from dashboards.figures import weights_figure
from dashboards.numerals import span
from dashboards.pages import rendered, with_query

URL = "/transform"
TRANSFORMS = MappingProxyType(
    {
        "sloo_minus_one": "what the maximum gains by holding each completion; k up to n",
        "sloo": "less the paper’s leave-one-out baseline; k up to n − 1",
        "s": "the estimator without a baseline; k up to n",
        "centered": "less a leave-one-out baseline of its own scale; k up to n − 1",
        "plugin": "less the V-statistic’s leave-one-out baseline; k up to n",
        "mixed": "less λ of centered’s baseline and 1 − λ of sloo_minus_one’s; k up to n − 1, at λ = 0 to n",
        "alpha_loo": "leave-one-out Pass@K-GRPO: plugin, for rewards of 0 and 1 alone; k up to n",
    }
)
SCALES = MappingProxyType(
    {
        "sum": "for a loss that sums over a group",
        "mean": "times n, for a loss that averages over a group",
        "rms": "one positive factor for all groups, so that their root mean square is 1",
    }
)


@dataclass(frozen=True)
class Group:
    """The rewards of one problem's completions, and their credits; nan where a reward is missing."""

    rewards: tuple[float, ...]
    credits: tuple[float, ...]
    max_at_k: float

    @property
    def n(self) -> int:
        """The rewards that are there."""
        return sum(not isnan(each) for each in self.rewards)


@dataclass(frozen=True)
class Credited:
    """What the rewards became."""

    k: int
    groups: tuple[Group, ...]

    @property
    def largest_n(self) -> int:
        """The n of the largest group."""
        return max(each.n for each in self.groups)

    @property
    def sizes(self) -> str:
        """n, or the smallest and the largest."""
        return span(min(each.n for each in self.groups), self.largest_n)

    @property
    def largest_credit(self) -> float:
        """The largest |credit|, of all groups."""
        return max((abs(each) for group in self.groups for each in group.credits if not isnan(each)), default=0.0)


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a field, a sentence."""

    field: str
    reason: str


@dataclass(frozen=True)
class TransformPage:
    """What was typed and chosen, and what came of it."""

    rewards: str
    k: str
    transform: str
    lam: str  # of mixed
    scale: str
    outcome: Credited | Wrong

    @property
    def file(self) -> str:
        """The URL of the credits in full precision."""
        lam = {"lam": self.lam} if self.transform == "mixed" else {}
        choices = {"rewards": self.rewards, "k": self.k, "transform": self.transform, **lam, "scale": self.scale}
        return with_query(f"{URL}/credits.csv", choices)


def render_transform(page: TransformPage) -> str:
    """The form, and either the credits and weights or what is wrong."""
    credited = page.outcome if isinstance(page.outcome, Credited) else None
    return rendered(
        "transform.html",
        page=page,
        url=URL,
        transforms=TRANSFORMS,
        scales=SCALES,
        credited=credited,
        wrong=page.outcome if isinstance(page.outcome, Wrong) else None,
        figure=weights_figure(credited.largest_n, credited.k) if credited else None,
        bar=credit_bar,
    )


def credit_bar(credit: float, largest: float) -> tuple[str, float, float] | None:
    """A credit as a bar from the middle outwards: (sign, left and width in percent); None where it has no length."""
    if isnan(credit) or credit == 0:
        return None
    width = 50 * abs(credit / largest)
    return ("plus", 50.0, width) if credit > 0 else ("minus", 50 - width, width)
