# mypy: disable-error-code="import-not-found, no-untyped-def, untyped-decorator, no-untyped-call"
"""The credits of sorted groups in one kernel of Triton's, or two where a group is more than one block; imports triton.

The arithmetic is that of pkpo.torch.credits: in float64, with the same weights. Only the running sums are taken by the
scan that Triton has, whose order depends on shapes alone but in which a term of 0 may change a sum. So each sum behind
a term of 0 is then replaced by the sum before it, and ties stay equal to the last bit.
"""

from contextlib import nullcontext
from subprocess import SubprocessError

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.errors import TritonError

from pkpo.torch import credits
from pkpo.torch.credits import DOUBLE, Form, form_of

WIDEST = 4096  # groups up to this width are one block
BLOCK = 2048
# Of LARGEST rewards in a group there are 1024 blocks, the totals of which one program reads.

# Products are rounded before they are added, as NumPy rounds them.
_PLAIN = {"enable_fp_fusion": False}

_LARGE = tl.constexpr(DOUBLE.large)
_SHRINK = tl.constexpr(2.0**DOUBLE.shrink)
_GROW = tl.constexpr(2.0**-DOUBLE.shrink)
_UNIT = tl.constexpr(2.0**-DOUBLE.lift)


def try_on(device: torch.device) -> None:
    """Hold every kernel once to pkpo.torch.credits, and ties to one credit; RuntimeError where Triton fails at either.

    It needs a compiler for C, a place to write and a driver that it knows, which not every machine has.
    """
    for n in (5, 600, 5000):
        g = (torch.arange(3 * n, device=device) * 7919 % 101).view(3, n) / 101
        form = form_of((("sloo", 3, 1.0),), g, None, DOUBLE)
        expected = credits.credits_of(credits.rank(g, None, None, 4, DOUBLE), form, DOUBLE)
        try:
            found = credits_of(g, form, False, False, torch.float64)
        except (OSError, SubprocessError, TritonError) as error:
            raise RuntimeError(f"Triton does not run: {error}") from error
        ranked, order = torch.sort(g, dim=1)
        tied, gained = ranked.diff(dim=1) == 0, found.gather(1, order).diff(dim=1)
        if not torch.allclose(found, expected, rtol=1e-12, atol=1e-14) or gained[tied].any():
            raise RuntimeError(f"Triton {triton.__version__} gives other credits than torch")


def credits_of(g: Tensor, form: Form, mean: bool, binary: bool, dtype: torch.dtype) -> Tensor:
    """The credits of groups g, shape (P, n), neither 0, n at most LARGEST, each a sum or times n, in this dtype.

    NaN in groups that hold a reward that is not finite, or where they must be binary neither 0 nor 1.
    """
    rewards, order = torch.sort(g, dim=1)
    rewards, order = rewards.contiguous(), order.contiguous()
    # Triton rounds to the halves through float32, which is twice.
    direct = dtype in (torch.float32, torch.float64)
    given = torch.empty_like(rewards, dtype=dtype if direct else torch.float64)
    with torch.cuda.device(g.device) if g.is_cuda else nullcontext():
        launch = _one_block if g.shape[1] <= WIDEST else _many_blocks
        launch(rewards, order, form, mean, binary, given)
    return given if direct else given.to(dtype)


def _one_block(rewards: Tensor, order: Tensor, form: Form, mean: bool, binary: bool, given: Tensor) -> None:
    groups, n = rewards.shape
    width = max(2, 1 << (n - 1).bit_length())
    rows = max(1, 512 // width)
    warps = 4 if width <= 1024 else 8
    grid = (-(-groups // rows),)
    _rows[grid](rewards, order, *form, given, groups, n, mean, binary, rows, width, num_warps=warps, **_PLAIN)


def _many_blocks(rewards: Tensor, order: Tensor, form: Form, mean: bool, binary: bool, given: Tensor) -> None:
    groups, n = rewards.shape
    blocks = -(-n // BLOCK)
    sums = torch.empty_like(rewards, dtype=torch.float64)
    totals, rests = sums.new_empty(2, groups, blocks)
    starts = torch.empty_like(totals, dtype=torch.int32)
    grid = (groups, blocks)
    _blocks[grid](rewards, *form, sums, totals, rests, starts, n, blocks, binary, BLOCK, num_warps=8, **_PLAIN)
    width = 1 << (blocks - 1).bit_length()
    _joined[grid](
        rewards, order, sums, totals, rests, starts, given, n, blocks, mean, BLOCK, width, num_warps=8, **_PLAIN
    )


@triton.jit
def _rows(
    rewards,
    order,
    below,
    middle,
    level,
    credits,
    groups,
    n,
    mean: tl.constexpr,
    binary: tl.constexpr,
    rows: tl.constexpr,
    width: tl.constexpr,
):
    """Some whole groups."""
    row = tl.program_id(0).to(tl.int64) * rows + tl.arange(0, rows)[:, None]
    place = tl.arange(0, width)[None, :]
    real = (row < groups) & (place < n)
    terms, rest = _terms(rewards, below, middle, level, row, place, real, row < groups, n, binary)
    sums, _ = _running(terms)
    total = (sums + rest) * _scale(rewards, row, row < groups, n, mean)
    at = tl.load(order + row * n + place, mask=real, other=0)
    tl.store(credits + row * n + at, total, mask=real)


@triton.jit
def _blocks(
    rewards,
    below,
    middle,
    level,
    sums,
    totals,
    rests,
    starts,
    n,
    blocks,
    binary: tl.constexpr,
    width: tl.constexpr,
):
    """A block of a group: its running sums, their last, what is to be added to all, and where they start to rise."""
    row = tl.program_id(0).to(tl.int64) + tl.zeros((1, 1), tl.int64)
    lane = tl.arange(0, width)[None, :]
    place = tl.program_id(1) * width + lane
    real = (row >= 0) & (place < n)
    terms, rest = _terms(rewards, below, middle, level, row, place, real, row >= 0, n, binary)
    inner, _ = _running(terms)
    tl.store(sums + row * n + place, inner, mask=real)
    own = row * blocks + tl.program_id(1)
    tl.store(totals + own, tl.sum(tl.where(lane == width - 1, inner, 0.0), 1, keep_dims=True))
    tl.store(rests + own, rest)
    tl.store(starts + own, tl.min(tl.where(terms != 0, lane, width), 1, keep_dims=True))


@triton.jit
def _joined(
    rewards,
    order,
    sums,
    totals,
    rests,
    starts,
    credits,
    n,
    blocks,
    mean: tl.constexpr,
    width: tl.constexpr,
    most: tl.constexpr,
):
    """The credits of a block: its sums behind those of the blocks before it."""
    row = tl.program_id(0).to(tl.int64) + tl.zeros((1, 1), tl.int64)
    block = tl.program_id(1)
    each = tl.arange(0, most)[None, :]
    known = each < blocks
    first = row * blocks
    total = tl.load(totals + first + each, mask=known, other=0.0)
    before = tl.cumsum(tl.load(totals + first + each - 1, mask=known & (each > 0), other=0.0), 1)
    own = tl.sum(tl.where(each == block, before, 0.0), 1, keep_dims=True)
    rest = tl.sum(tl.load(rests + first + each, mask=known, other=0.0), 1, keep_dims=True)
    # Before its first term that is not 0 a block goes on with the last sum of the latest block that has such a term.
    start = tl.load(starts + first + each, mask=known, other=width)
    latest = tl.max(tl.where((start < width) & (each < block), each, -1), 1, keep_dims=True)
    so_far = tl.sum(tl.where(each == latest, before + total, 0.0), 1, keep_dims=True)
    lane = tl.arange(0, width)[None, :]
    place = block * width + lane
    real = (row >= 0) & (place < n)
    inner = tl.load(sums + row * n + place, mask=real, other=0.0)
    risen = lane >= tl.load(starts + first + block)
    total = (tl.where(risen, own + inner, so_far) + rest) * _scale(rewards, row, row >= 0, n, mean)
    at = tl.load(order + row * n + place, mask=real, other=0)
    tl.store(credits + row * n + at, total, mask=real)


@triton.jit
def _terms(rewards, below, middle, level, row, place, real, there, n, binary: tl.constexpr):
    """What the running sums are of, and what else is added to each of them."""
    shrink = tl.where(_is_large(rewards, row, there, n), _SHRINK, 1.0).to(tl.float64)
    reward = tl.load(rewards + row * n + place, mask=real, other=0.0).to(tl.float64)
    inner = real & (place > 0)
    lower = tl.load(rewards + row * n + place - 1, mask=inner, other=0.0).to(tl.float64)
    gap = tl.where(inner, reward * shrink - lower * shrink, 0.0)
    terms = gap * tl.load(below + place - 1, mask=inner, other=0.0)
    rest = tl.zeros_like(shrink)
    if middle is not None:
        rest -= tl.sum(gap * tl.load(middle + place - 1, mask=inner, other=0.0), 1, keep_dims=True)
    if level is not None:
        rest += tl.sum(reward * shrink * tl.load(level + place, mask=real, other=0.0), 1, keep_dims=True)
    if binary:
        other = tl.max((real & (reward != 0) & (reward != 1)).to(tl.int32), 1, keep_dims=True)
        rest = tl.where(other != 0, float("nan"), rest)
    return terms, rest


@triton.jit
def _running(terms):
    """The running sums of terms in rows, in which a term of 0 changes none; and whether there was another before."""
    return tl.associative_scan((tl.cumsum(terms, 1), (terms != 0).to(tl.int32)), 1, _latest)


@triton.jit
def _latest(value, risen, later, later_risen):
    return tl.where(later_risen != 0, later, value), risen | later_risen


@triton.jit
def _is_large(rewards, row, there, n):
    lowest = tl.load(rewards + row * n, mask=there, other=0.0).to(tl.float64)
    highest = tl.load(rewards + row * n + n - 1, mask=there, other=0.0).to(tl.float64)
    return (-lowest >= _LARGE) | (highest >= _LARGE)


@triton.jit
def _scale(rewards, row, there, n, mean: tl.constexpr):
    """What takes the lift and the shrinking of a group back; NaN where its range is not finite."""
    lowest = tl.load(rewards + row * n, mask=there, other=0.0).to(tl.float64)
    highest = tl.load(rewards + row * n + n - 1, mask=there, other=0.0).to(tl.float64)
    large = _is_large(rewards, row, there, n)
    shrink = tl.where(large, _SHRINK, 1.0).to(tl.float64)
    scale = tl.where(large, _GROW, 1.0).to(tl.float64)
    if mean:
        scale = scale * n
    return tl.where(highest * shrink - lowest * shrink < float("inf"), scale, float("nan")) * _UNIT
