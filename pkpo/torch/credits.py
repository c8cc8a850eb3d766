"""The arithmetic of pkpo.torch: credits of sorted groups on a tensor's own device, which is never asked for a value.

It is the linear form of pkpo.credits, with two differences. Running sums are taken by a tree, which every device adds
up alike. And where a mask makes groups of several sizes, the weights of each row are chosen on the device.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pkpo import credits
from pkpo.byte_cache import ByteCache
from pkpo.credits import Name, Parts
from pkpo.weights import LIFT, binomials, order_weights


@dataclass(frozen=True)
class Arithmetic:
    """A floating type to calculate in, and the powers of two that keep what is calculated within its range."""

    dtype: torch.dtype
    lift: int  # weights are kept times 2^lift, for the reason in pkpo.weights
    large: float  # groups whose largest |reward| reaches this are first multiplied by 2^shrink
    shrink: int
    integer: torch.dtype  # as wide; holds the type's exponent plus bias from bit mantissa upwards
    bias: int
    mantissa: int


DOUBLE = Arithmetic(torch.float64, LIFT, 2.0**500, -524, torch.int64, 1023, 52)
SINGLE = Arithmetic(torch.float32, 40, 2.0**60, -68, torch.int32, 127, 23)
_ARITHMETICS = {each.dtype: each for each in (DOUBLE, SINGLE)}

LARGEST = 2**21  # rewards in a group that pkpo.torch.fused takes; here because that imports triton


def arithmetic_of(device: torch.device) -> Arithmetic:
    """The widest that the device has: float64, but float32 on Apple's MPS."""
    return SINGLE if device.type == "mps" else DOUBLE


@dataclass(frozen=True)
class Ranked:
    """Groups sorted ascending. Masked entries come last and equal the largest reward, so that no gap leads to them."""

    rewards: Tensor  # (P, n), divided by scale
    order: Tensor  # (P, n), the places that they came from
    scale: Tensor  # (P, 1), a power of two, or NaN where a group has no credits


def rank(g: Tensor, valid: Tensor | None, sizes: Tensor | None, needed: int, arithmetic: Arithmetic) -> Ranked:
    """The groups of g, shape (P, n), sorted. Without credits are those not finite, and those of fewer than needed."""
    if valid is not None:
        g = torch.where(valid, g, g.masked_fill(~valid, -math.inf).amax(dim=1, keepdim=True))
    rewards, order = torch.sort(g, dim=1)
    rewards = rewards.to(arithmetic.dtype)
    scale = rewards.new_ones((len(rewards), 1))
    if torch.finfo(g.dtype).max >= arithmetic.large:
        large = torch.maximum(-rewards[:, :1], rewards[:, -1:]) >= arithmetic.large
        rewards = rewards * scale.masked_fill(large, 2.0**arithmetic.shrink)
        scale = scale.masked_fill(large, 2.0**-arithmetic.shrink)
    scale = scale + 0 * (rewards[:, -1:] - rewards[:, :1])  # 0 times a range that is not finite is NaN
    if sizes is not None:
        scale = scale.masked_fill(sizes[:, None] < needed, math.nan)
    return Ranked(rewards, order, scale)


class Form(NamedTuple):
    """Weights times 2^lift as in pkpo.credits.Form, each part one row for all groups or a row for each."""

    below: Tensor | None = None  # (n - 1,) or (P, n - 1)
    middle: Tensor | None = None  # like below
    level: Tensor | None = None  # (n,) or (P, n)

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return sum(part.nbytes for part in self if part is not None)


def credits_of(ranked: Ranked, form: Form, arithmetic: Arithmetic) -> Tensor:
    """The credits of ranked groups, shape (P, n), in the places that the rewards came from."""
    assert form.below is not None
    rewards = ranked.rewards
    gaps = rewards[:, 1:] - rewards[:, :-1]
    total = running_sums(gaps * form.below)
    if form.middle is not None:
        total = total - (gaps * form.middle).sum(dim=1, keepdim=True)
    if form.level is not None:
        total = total + (rewards * form.level).sum(dim=1, keepdim=True)
    total = total * (ranked.scale * 2.0**-arithmetic.lift)
    return torch.empty_like(rewards).scatter_(1, ranked.order, total)


def means_of(ranked: Ranked, form: Form, arithmetic: Arithmetic) -> Tensor:
    """The weighted mean of each ranked group, shape (P,), within the range of its rewards."""
    assert form.level is not None
    means = (ranked.rewards * form.level).sum(dim=1) * 2.0**-arithmetic.lift
    return means.clamp(ranked.rewards[:, 0], ranked.rewards[:, -1]) * ranked.scale[:, 0]


def running_sums(terms: Tensor) -> Tensor:
    """0 and the running sums of each row of terms, shape (P, n - 1): shape (P, n).

    Each half of a block is summed by itself, then the second is raised by the sum of the first. No sum passes through
    more than log2(n) additions where a loop has n, and a term of 0 changes none, so ties stay equal. Scans on
    accelerators promise neither that nor the same order of additions each time: torch.cumsum is refused there under
    torch.use_deterministic_algorithms.
    """
    groups, n = len(terms), terms.shape[1] + 1
    width = 1 << (n - 1).bit_length()
    sums = terms.new_zeros((groups, width))
    sums[:, 1:n] = terms
    half = 1
    while half < width:
        blocks = sums.view(groups, width // (2 * half), 2, half)
        blocks[:, :, 1] += blocks[:, :, 0, -1:]
        half *= 2
    return sums[:, :n]


# Up to this width the forms of every size are made at once, at most 0.5 MiB a part, and a call picks its rows.
TABLED = 256


class _Binomials(NamedTuple):
    """pkpo.weights.Binomials on a device."""

    mantissa: Tensor  # (n,)
    exponent: Tensor  # (n,), integers

    @property
    def nbytes(self) -> int:
        """Bytes of both."""
        return self.mantissa.nbytes + self.exponent.nbytes


Made = TypeVar("Made", bound=Callable[..., Form | _Binomials])

_forms: ByteCache[Form] = ByteCache(64 * 2**20)
_binomials: ByteCache[_Binomials] = ByteCache(32 * 2**20)


def _constant(function: Made) -> Made:
    """The function, the results of which torch.compile is to take for constants of the graph.

    torch.compiler.assume_constant_result does no more, but it imports the compiler, which takes as long as torch does.
    Its arguments are to be ones that torch 2.11 takes for constants, a dtype and not an Arithmetic.
    """
    vars(function)["_dynamo_marked_constant"] = True
    return function


def form_of(parts: Parts, g: Tensor, sizes: Tensor | None, arithmetic: Arithmetic) -> Form:
    """The form of the named transform, or of max_at_k, for groups g, shape (P, n), of these sizes, shape (P,).

    Whatever depends on n alone is made once and kept, 96 MiB in all: only the first call at an n copies to the device.
    """
    n = len(range(g.shape[1]))  # a plain number, where torch.compile would trace a symbol
    keep = type(g) is Tensor  # what is made under a fake tensor is fake itself, of no use to the next call
    if sizes is None:
        return _full_form(parts, n, g.device, arithmetic.dtype, keep)
    if n > TABLED:
        return _ragged_form(parts, n, sizes, arithmetic, keep)
    table = _table(parts, n, g.device, arithmetic.dtype, keep)
    return Form(*(None if part is None else part[sizes] for part in table))


@_constant
def _full_form(parts: Parts, n: int, device: torch.device, dtype: torch.dtype, keep: bool) -> Form:
    """The weights that pkpo.credits uses for groups of n, each within 0.5 ulp, shape (n - 1,) or (n,)."""
    arithmetic = _ARITHMETICS[dtype]

    def tensor(part: NDArray[np.float64] | None) -> Tensor | None:
        if part is None:
            return None
        return torch.tensor(part * 2.0 ** (arithmetic.lift - LIFT), dtype=arithmetic.dtype, device=device)

    def make() -> Form:
        if parts[0][0] == "max_at_k":
            return Form(level=tensor(order_weights(n, parts[0][1])))
        made = credits.form(parts, n)
        return Form(tensor(made.below), tensor(made.middle), tensor(made.level))

    return _forms.get((parts, n, device, dtype), make) if keep else make()


@_constant
def _table(parts: Parts, n: int, device: torch.device, dtype: torch.dtype, keep: bool) -> Form:
    """The forms of groups of 0..n completions among n places, shape (n + 1, n - 1) or (n + 1, n)."""
    arithmetic = _ARITHMETICS[dtype]

    def make() -> Form:
        return _ragged_form(parts, n, torch.arange(n + 1, device=device), arithmetic, keep)

    return _forms.get((parts, n, device, dtype, "by size"), make) if keep else make()


@_constant
def _binomials_of(a: int, n: int, device: torch.device, dtype: torch.dtype, keep: bool) -> _Binomials:
    """C(t, a) for t = 0..n-1."""
    arithmetic = _ARITHMETICS[dtype]

    def make() -> _Binomials:
        exact = binomials(a, n)
        return _Binomials(
            torch.tensor(exact.mantissa, dtype=arithmetic.dtype, device=device),
            torch.tensor(exact.exponent, dtype=arithmetic.integer, device=device),
        )

    return _binomials.get((a, n, device, dtype), make) if keep else make()


def _ragged_form(parts: Parts, width: int, sizes: Tensor, arithmetic: Arithmetic, keep: bool) -> Form:
    """The weights of each row for its size, shape (P, n - 1) or (P, n)."""
    ranks = torch.arange(1, width + 1, device=sizes.device)
    n = sizes[:, None]
    gaps = gap_form(parts, ranks[:-1], n, width, arithmetic, keep)
    return Form(gaps.below, gaps.middle, level_form(parts, ranks, n, width, arithmetic, keep))


def gap_form(parts: Parts, m: Tensor, n: Tensor, width: int, arithmetic: Arithmetic, keep: bool) -> Form:
    """The weights of the gaps above the m-th of groups of n <= width, within 4 ulp, of the shape that m and n have.

    As pkpo.credits makes them for one n. Finite for m >= n, where there is no gap.
    """
    total = Form()
    for name, k, weight in parts:
        form = _gap_form_at(name, k, m, n, width, arithmetic, keep)
        total = Form(*(_plus(*parts, weight) for parts in zip(total, form, strict=True)))
    return total


def level_form(parts: Parts, i: Tensor, n: Tensor, width: int, arithmetic: Arithmetic, keep: bool) -> Tensor | None:
    """The weights of the i-th rewards themselves, else as gap_form; None where no part has any."""
    total = None
    for name, k, weight in parts:
        if name not in ("max_at_k", "s", "sloo"):
            continue
        w = order_weights_of(k, i, n, width, arithmetic, keep)
        below, size = (i - 1).clamp(min=1).to(w.dtype), n.to(w.dtype)  # torch divides whole numbers in float32
        if name == "s":
            w = w * (i == 1) if k == 1 else w * ((k - 1) / below)
        if name == "sloo":
            w = -k / ((size - 1) * (size - k)) * w * ((i - k) / below)
        total = _plus(total, w, weight)
    return total


def _plus(total: Tensor | None, part: Tensor | None, weight: float) -> Tensor | None:
    if part is None:
        return total
    return part * weight if total is None else total + part * weight


def _gap_form_at(name: Name, k: int, m: Tensor, n: Tensor, width: int, arithmetic: Arithmetic, keep: bool) -> Form:
    if isinstance(name, tuple):
        return _l_statistic(name, m, n, width, arithmetic, keep)
    if name == "max_at_k":
        return Form()
    if name == "sloo_minus_one" and k > 1:
        return Form(order_weights_of(k, m + 1, n, width, arithmetic, keep))
    lower = order_weights_of(k, m, n, width, arithmetic, keep)
    if name == "s":
        return Form(lower)
    above, size = (n - m).to(lower.dtype), n.to(lower.dtype)
    if name == "plugin" and k > 1:
        upper = order_weights_of(k, m + 1, n, width, arithmetic, keep)
        return Form((m * upper + above * lower) / (size - 1), above * lower / (size - 1))
    below, middle = lower * (size / (size - k)), above * lower / (size - k)
    return Form(below + k / ((size - 1) * (size - k)) * lower if name == "sloo" else below, middle)


def _l_statistic(v: tuple[float, ...], m: Tensor, n: Tensor, width: int, arithmetic: Arithmetic, keep: bool) -> Form:
    """As in pkpo.credits."""
    k = len(v)
    if k == 1:
        one = _gap_form_at("centered", 1, m, n, width, arithmetic, keep)
        return Form(*(_plus(None, part, v[0]) for part in one))
    whole = _binomials_of(k - 1, width, m.device, arithmetic.dtype, keep)

    def weights(t: Tensor, ranks: Callable[[int], int]) -> Tensor:
        top, beneath = (n - 1).clamp(min=0), (n - 1 - t).clamp(min=0)
        total = torch.zeros_like(t * n, dtype=arithmetic.dtype)
        for j, weight in enumerate(v, 1):
            if weight * ranks(j):
                low = _binomials_of(j - 1, width, m.device, arithmetic.dtype, keep)
                high = _binomials_of(k - j, width, m.device, arithmetic.dtype, keep)
                share = low.mantissa[t] * high.mantissa[beneath] / whole.mantissa[top]
                power = power_of_two(low.exponent[t] + high.exponent[beneath] - whole.exponent[top], arithmetic)
                total = total + share * power * (ranks(j) * weight / (k - 1))
        return (total * (k / n.to(arithmetic.dtype))).masked_fill(m >= n, 0)

    middle = weights((m - 1).clamp(min=0), lambda j: k - j)
    return Form(weights(m, lambda j: j - 1) + middle, middle)


def order_weights_of(k: int, i: Tensor, n: Tensor, width: int, arithmetic: Arithmetic, keep: bool) -> Tensor:
    """C(i - 1, k - 1) / C(n, k) times 2^lift for 1 <= i <= width, of the shape that i and n have; 0 where i > n.

    As k / n * C(i - 1, k - 1) / C(n - 1, k - 1). Falling from k / n at the top by (i - k) / (i - 1) a rank would drift
    over many ranks; the binomials come from the host, where they are exact.
    """
    known = _binomials_of(k - 1, width, i.device, arithmetic.dtype, keep)
    place, top = (i - 1).clamp(min=0), (n - 1).clamp(min=0)
    power = power_of_two(known.exponent[place] - known.exponent[top], arithmetic)
    w = known.mantissa[place] / known.mantissa[top] * (k / n.to(arithmetic.dtype)) * power
    return w.masked_fill(i > n, 0)


def power_of_two(exponent: Tensor, arithmetic: Arithmetic) -> Tensor:
    """2^(exponent + lift) to the last bit, 0 below the range of the type."""
    biased = exponent + (arithmetic.lift + arithmetic.bias)
    return (biased.clamp(min=0) << arithmetic.mantissa).view(arithmetic.dtype)


def shares_of(k: int, n: Tensor, width: int, arithmetic: Arithmetic, keep: bool) -> Tensor:
    """C(t, j) C(n-1-t, k-1-j) / C(n-1, k-1) times 2^lift, n of shape (P, 1): shape (P, width, k), t = 0..width-1."""
    t = torch.arange(width, device=n.device)
    top, beneath = (n - 1).clamp(min=0), (n - 1 - t).clamp(min=0)
    columns = [_binomials_of(j, width, n.device, arithmetic.dtype, keep) for j in range(k)]
    whole = columns[-1]
    shares = [
        low.mantissa[t]
        * high.mantissa[beneath]
        / whole.mantissa[top]
        * power_of_two(low.exponent[t] + high.exponent[beneath] - whole.exponent[top], arithmetic)
        for low, high in zip(columns, reversed(columns), strict=True)
    ]
    return torch.stack(shares, dim=2).masked_fill((t >= n)[:, :, None], 0)
