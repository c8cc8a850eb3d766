"""Credits of sorted groups: the one linear form that every transform has, its weights, and its sums in float64.

Sorted ascending, with gaps d_m = g_(m+1) - g_(m),

    credit_(i) = sum_{m < i} below_m d_m  -  sum_m middle_m d_m  +  sum_j level_j g_(j).

Only the first sum depends on i, and through gaps alone. So rewards that tie get equal credit to the last bit, and a
group of equal rewards gets exactly 0 from a transform without a level. Where there is nothing but below, and that is
not negative, no credit is the small difference of large sums: each is right to a few units in its own last place.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pkpo.byte_cache import ByteCache
from pkpo.weights import LIFT, NARROW, binomials, order_weights, range_exponents, weighted_sums

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Form:
    """Weights of the credits of a sorted group of n, each times 2^LIFT; None where a transform has no such part."""

    below: Floats  # (n - 1,)
    middle: Floats | None = None  # (n - 1,)
    level: Floats | None = None  # (n,)

    @property
    def nbytes(self) -> int:
        """Bytes of the weights."""
        return sum(part.nbytes for part in (self.below, self.middle, self.level) if part is not None)


_forms: ByteCache[Form] = ByteCache(64 * 2**20)

Name = str | tuple[float, ...]  # a transform, or an L-statistic by its weights
Parts = tuple[tuple[Name, int, float], ...]  # (name, k, weight)


def form(parts: Parts, n: int) -> Form:
    """The sum over the parts of weight times the form of their transform at k, for groups of n."""
    forms = [(_form_at(name, n, k), weight) for name, k, weight in parts]
    if len(forms) == 1 and forms[0][1] == 1:
        return forms[0][0]
    below = _weighted_sum((each.below, weight) for each, weight in forms)
    assert below is not None
    return Form(
        below,
        _weighted_sum((each.middle, weight) for each, weight in forms),
        _weighted_sum((each.level, weight) for each, weight in forms),
    )


def _weighted_sum(parts: Iterable[tuple[Floats | None, float]]) -> Floats | None:
    total = None
    for part, weight in parts:
        if part is not None:
            total = part * weight if total is None else total + part * weight
    return total


def _form_at(name: Name, n: int, k: int) -> Form:
    return _forms.get((name, n, k), lambda: _make_form(name, n, k))


def _make_form(name: Name, n: int, k: int) -> Form:
    if isinstance(name, tuple):
        return _l_statistic(name, n)
    w = order_weights(n, k)
    if name == "s":
        return Form(w[:-1], level=_lowest_credit(w, k))
    if name == "sloo_minus_one" and k > 1:
        return Form(w[1:])  # C(m, k-1) / C(n, k) is w_(m+1)
    m = np.arange(1, n)
    if name == "plugin" and k > 1:
        # ((n - k) centered + (k - 1) sloo_minus_one) / (n - 1), of which the gap's own m / (m - k + 1) w_m is w_(m+1).
        return Form((m * w[1:] + (n - m) * w[:-1]) / (n - 1), (n - m) * w[:-1] / (n - 1))
    # At k = 1 sloo_minus_one and plugin are centered: (g_i - mean of the others) / n.
    centered = Form(w[:-1] * (n / (n - k)), (n - m) * w[:-1] / (n - k))
    return _sloo(centered, w, k) if name == "sloo" else centered


def _lowest_credit(w: Floats, k: int) -> Floats:
    """What s gives the lowest reward, as weights of all: C(j-2, k-2) / C(n, k), the subsets it shares with a top j."""
    level = np.zeros(len(w))
    if k == 1:
        level[0] = w[0]
    else:
        level[1:] = w[1:] * (k - 1) / np.arange(1, len(w))
    return level


def _sloo(centered: Form, w: Floats, k: int) -> Form:
    """Centered less k / (n (n-1)) * max_at_k of the others, greatest for the lowest and smaller with every gap."""
    n = len(w)
    share = k / ((n - 1) * (n - k))
    level = np.zeros(n)
    # Of the lowest's others, reward j > k is the best in C(j-2, k-1) of C(n-1, k) subsets.
    level[k:] = -share * w[k:] * np.arange(1, n - k + 1) / np.arange(k, n)
    return Form(centered.below + share * w[:-1], centered.middle, level)


def _l_statistic(v: tuple[float, ...], n: int) -> Form:
    """The form of sum over I of [h(I) - mean of h(I with a copy of another member in i's place)] / C(n, k).

    Gap m counts in h(I) by the members of I above it. With H_j(t) the share of the (k - 1)-subsets of n - 1 of which
    j - 1 are among the lowest t, it gives i above it k/n sum_j H_j(m) (j - 1)/(k - 1) v_j, and takes k/n sum_j
    H_j(m - 1) (k - j)/(k - 1) v_j from i below it. Where no v_j is negative, neither is a term.
    """
    k = len(v)
    if k == 1:
        one = _form_at("centered", n, 1)
        assert one.middle is not None
        return Form(one.below * v[0], one.middle * v[0])
    above, beneath = np.zeros(n), np.zeros(n)
    whole = binomials(k - 1, n)
    for j, weight in enumerate(v, 1):
        if weight:
            low, high = binomials(j - 1, n), binomials(k - j, n)
            share = low.mantissa * high.mantissa[::-1] / whole.mantissa[-1] * (k / n / (k - 1))
            share = np.ldexp(share, low.exponent + high.exponent[::-1] - whole.exponent[-1] + LIFT)
            above += share * ((j - 1) * weight)
            beneath += share * ((k - j) * weight)
    return Form(above[1:] + beneath[:-1], beneath[:-1])


# Rewards in a block: its arrays (order, sorted rewards, gaps, sums) fit the second-level cache together, and none is so
# large that the C library would ask the system for fresh memory each time. Twice as many take up to twice as long.
BLOCK = 1 << 14


def credits_of(
    g: Floats, form: Form, factor: int, also: Callable[[slice, Floats], None] = lambda rows, ranked: None
) -> Floats:
    """Factor times the credits of each row of g, shape (P, n); `also` is given each block of rows that is sorted."""
    n = g.shape[1]
    credits = np.empty(g.shape)
    step = max(1, BLOCK // n)
    for start in range(0, len(g), step):
        rows = slice(start, start + step)
        block = np.ascontiguousarray(g[rows])
        order = np.argsort(block, axis=1)
        order += np.arange(0, block.size, n)[:, None]  # positions in the flat block
        if n <= NARROW:
            order = np.asfortranarray(order)  # all that is computed from it keeps its layout
        ranked = block.reshape(-1)[order]
        also(rows, ranked)
        credits[rows].reshape(-1)[order] = _ranked_credits(ranked, form, factor)
    return credits


def _ranked_credits(ranked: Floats, form: Form, factor: int) -> Floats:
    """Factor times the credits of groups sorted ascending, shape (P, n)."""
    unlift: float | Floats = 2.0**-LIFT * factor
    exponents = range_exponents(ranked)
    if exponents is not None:
        ranked = np.ldexp(ranked, exponents)
        unlift = np.ldexp(float(factor), -LIFT - exponents)
    gaps = ranked[:, 1:] - ranked[:, :-1]
    credits = np.empty_like(ranked)
    credits[:, 0] = 0.0
    np.multiply(gaps, form.below, out=credits[:, 1:])
    _accumulate(credits)
    if form.middle is not None:
        credits -= weighted_sums(gaps, form.middle)[:, None]
    if form.level is not None:
        credits += weighted_sums(ranked, form.level)[:, None]
    credits *= unlift
    return credits


def _accumulate(terms: Floats) -> None:
    """Replace each row by its running sums, each within 12 ulp for terms that are not negative."""
    n = terms.shape[1]
    if n <= NARROW:
        # At most 22 roundings of half an ulp. A column at a time is three times as fast as NumPy's row at a time.
        for i in range(2, n):
            terms[:, i] += terms[:, i - 1]
        return
    total = np.cumsum(terms, axis=1)
    # What each addition lost, exactly (Knuth's two-sum). A zero term loses nothing, so ties stay equal.
    before, after, term = total[:, :-1], total[:, 1:], terms[:, 1:]
    added = after - before
    term -= added
    np.subtract(after, added, out=added)
    np.subtract(before, added, out=added)
    term += added
    _accumulate_small(terms)
    terms += total


_CHUNK = 16


def _accumulate_small(terms: Floats) -> None:
    """Replace each row by its running sums; those of what rounding lost need few digits. A zero changes none."""
    if terms.shape[1] % _CHUNK:
        np.cumsum(terms, axis=1, out=terms)
        return
    columns = terms.reshape(-1, _CHUNK)
    for i in range(1, _CHUNK):
        columns[:, i] += columns[:, i - 1]
    chunks = terms.reshape(len(terms), -1, _CHUNK)
    chunks[:, 1:] += np.cumsum(chunks[:, :-1, -1], axis=1)[:, :, None]
