"""What `check` promises: True refuses in NumPy's words, False leaves the device to itself."""

import math
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="pkpo.torch is NOT tested here: torch is not installed")

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import pkpo
import pkpo.torch
from pkpo.torch.credits import TABLED
from tests.pkpo import exact

NAMES = list(exact.TRANSFORMS)
WIDTHS = (8, TABLED + 44)  # with weights from a table, and made for the sizes of a call
named = pytest.mark.parametrize("name", NAMES)

NAN = math.nan


def rewards(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


# False: nothing is asked of the device.


class Looks(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations for which a host would wait: those with results, or with shapes, that depend on values."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        indexes = args[1] if name in ("index", "index_put", "index_put_") else ()
        by_mask = any(index is not None and index.dtype == torch.bool for index in indexes)
        depends = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags)
        if by_mask or (depends and name != "index"):
            self.seen["looks"] += 1
        if name.startswith("lift"):  # torch.tensor, which on an accelerator is a copy from the host
            self.seen["copies"] += 1
        return func(*args, **(kwargs or {}))


def looks(call: Callable[[], object]) -> Counter[str]:
    mode = Looks()
    with mode:
        call()
    return mode.seen


def every_call(g: Tensor, mask: Tensor | None, check: bool) -> list[Callable[[], Tensor]]:
    return [
        *(
            partial(pkpo.torch.transform, name, g, 3, mask=mask, scale=scale, check=check)
            for name in NAMES
            for scale in pkpo.SCALES
        ),
        partial(pkpo.torch.multi_k, g, {1: 0.5, 8: 0.5}, mask=mask, check=check, dtype=torch.float32),
        partial(pkpo.torch.max_at_k, g, 3, mask, check=check),
    ]


@pytest.mark.parametrize("n", WIDTHS)
@pytest.mark.parametrize("ragged", [False, True])
def test_unchecked_never_looks_and_copies_weights_once(n: int, ragged: bool) -> None:
    g = rewards(5, n)
    mask = torch.arange(n) < torch.tensor([[n], [n - 2], [2], [0], [n - 1]]) if ragged else None
    for call in every_call(g, mask, check=False):
        assert looks(call)["looks"] == 0
        assert looks(call) == {}


def test_checked_looks_once() -> None:
    for call in every_call(rewards(5, 9), torch.arange(9) < 8, check=True):
        assert looks(call)["looks"] == 1


def test_looks_are_seen_by_the_test_that_says_there_are_none() -> None:
    g = rewards(5)
    for call in (g.sum().item, g.nonzero, lambda: g[g > 0], lambda: bool(g[0] > 0), lambda: g.masked_select(g > 0)):
        assert looks(call)["looks"] >= 1
    assert looks(lambda: g[torch.tensor([0, 1])]) == {"copies": 1}


@pytest.mark.parametrize("n", WIDTHS)
def test_unchecked_works_where_there_are_no_values_at_all(n: int) -> None:
    g, mask = torch.empty(2, 3, n, device="meta"), torch.empty(n, dtype=torch.bool, device="meta")
    for valid in (None, mask):
        for call in every_call(g, valid, check=False):
            assert call().device.type == "meta"
        for call in every_call(g, valid, check=True):
            with pytest.raises(RuntimeError):
                call()


@pytest.mark.parametrize("n", WIDTHS)
def test_a_fake_call_leaves_nothing_behind(n: int) -> None:
    g, mask = rewards(4, n), torch.ones(4, n, dtype=torch.bool)
    k = 5  # in no other test of this file
    with FakeTensorMode() as mode:
        fake = pkpo.torch.plugin(mode.from_tensor(g), k, mask=mode.from_tensor(mask), check=False)
        fake = fake + pkpo.torch.plugin(mode.from_tensor(g), k, check=False)
    assert fake.shape == g.shape
    np.testing.assert_allclose(pkpo.torch.plugin(g, k, mask=mask), pkpo.plugin(g.numpy(), k), rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(pkpo.torch.plugin(g, k), pkpo.plugin(g.numpy(), k), rtol=1e-12, atol=1e-16)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_torch_compile_takes_unchecked_calls_whole() -> None:
    def credits(g: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        centered = pkpo.torch.centered(g, 3, check=False, scale="rms")
        several = pkpo.torch.multi_k(g, {1: 0.5, 4: 0.5}, mask=mask, check=False, scale="mean")
        return centered, several, pkpo.torch.max_at_k(g, 2, mask, check=False)

    compiled = torch.compile(credits, fullgraph=True, backend="eager")
    for groups, n in ((4, 8), (5, 8), (4, 11)):
        g, mask = rewards(groups, n), torch.arange(n) < n - 2
        for one, other in zip(compiled(g, mask), credits(g, mask), strict=True):
            assert torch.equal(one, other)


# False: what groups get that True refuses.


@named
@pytest.mark.parametrize("n", WIDTHS)
def test_unchecked_groups_without_credits_get_nan_and_leave_the_others_alone(name: str, n: int) -> None:
    k = 3
    g, needed = rewards(7, n), pkpo.smallest_n(name, k)
    mask = torch.ones(7, n, dtype=torch.bool)
    g[1, 2], g[2, 0], g[3, n - 1], g[4, 4:] = NAN, math.inf, -math.inf, NAN
    mask[4, 4:], mask[5, needed - 1 :], mask[6] = False, False, False
    credits = pkpo.torch.transform(name, g, k, mask=mask, check=False)
    assert credits[[1, 2, 3]].isnan().all()
    assert credits[5, : needed - 1].isnan().all()
    assert (credits[~mask] == 0).all()
    sound = [0, 4]
    expected = pkpo.transform(name, g[sound].numpy(), k, mask=mask[sound].numpy())
    np.testing.assert_allclose(credits[sound].numpy(), expected, rtol=1e-12, atol=1e-15)
    means = pkpo.torch.max_at_k(g, k, mask, check=False)
    assert means.isnan().tolist() == [False, True, True, True, False, needed <= k, True]
    # Masked as a whole, short groups are passed over; and one NaN reaches a whole batch of unit root mean square.
    whole = mask & (mask.sum(dim=-1, keepdim=True) >= needed)
    assert (pkpo.torch.transform(name, g, k, mask=whole, check=False)[5:] == 0).all()
    assert pkpo.torch.transform(name, g, k, mask=mask, check=False, scale="rms")[mask].isnan().all()
    assert (pkpo.torch.transform(name, g, k, mask=mask, check=False, scale="rms")[~mask] == 0).all()


def test_unchecked_credits_beyond_their_type_are_infinite() -> None:
    g = torch.tensor([0.0, 6e4, 0.0, 6e4], dtype=torch.float16)
    credits = pkpo.torch.s(g, 4, scale="mean", check=False)
    assert credits.dtype == torch.float16
    assert credits.isinf().any()
    assert not pkpo.torch.s(g, 4, scale="mean", dtype=torch.float32).isinf().any()


# True: refusals.

LONG = torch.arange(8, dtype=torch.float64)
REFUSED: list[tuple[Tensor, dict[str, Any], Tensor | None]] = [
    (torch.tensor([1.0, NAN]), {}, None),
    (torch.tensor([[0.0, 1.0], [math.inf, 0.0]]), {}, None),
    (torch.tensor([-math.inf, 0.0]), {}, None),
    (torch.tensor([[0.0, 1.0, 2.0], [NAN, 0.0, NAN]]), {}, torch.tensor([True, True, False])),
    (torch.zeros(0), {}, None),
    (torch.zeros(3, 0), {}, None),
    (torch.tensor(1.0), {}, None),
    (LONG, {"k": 9}, None),
    (LONG, {"k": 0}, None),
    (LONG, {"k": 0.5}, None),
    (LONG, {"k": {}}, None),
    (LONG, {"k": {1: NAN}}, None),
    (LONG, {"name": "grpo"}, None),
    (LONG, {"scale": "grpo"}, None),
    (LONG, {"name": "sloo", "k": 8}, None),
    (LONG.reshape(2, 4), {"name": "sloo", "k": 3}, torch.tensor([[True] * 4, [True, False, True, True]])),
    (LONG.reshape(2, 4), {}, torch.tensor([[True] * 4, [False] * 4])),
    (LONG.reshape(2, 2, 2), {"k": 2}, torch.tensor([[[True], [True]], [[True], [False]]])),
    (LONG, {}, torch.ones(3, dtype=torch.bool)),
    (torch.tensor([-1.7e308, 1.7e308], dtype=torch.float64), {"scale": "mean"}, None),
]


@pytest.mark.parametrize(("g", "arguments", "mask"), REFUSED)
def test_checked_refuses_what_numpy_refuses_in_its_words(
    g: Tensor, arguments: dict[str, Any], mask: Tensor | None
) -> None:
    asked = {"name": "sloo_minus_one", "k": 1, "scale": "sum", **arguments}
    with pytest.raises(ValueError) as numpys:  # noqa: PT011, what it says is compared below
        pkpo.transform(g=g.numpy(), mask=None if mask is None else mask.numpy(), **asked)
    with pytest.raises(ValueError) as ours:  # noqa: PT011
        pkpo.torch.transform(g=g, mask=mask, **asked)
    assert str(ours.value) == str(numpys.value)


def test_max_at_k_refuses_what_numpy_refuses_in_its_words() -> None:
    short = torch.tensor([[True, True, True], [True, False, True]])
    for g, k, mask in (
        (torch.tensor([1.0, NAN]), 1, None),
        (torch.zeros(2), 3, None),
        (torch.zeros(2), 0, None),
        (torch.zeros(2, 3), 3, short),
    ):
        with pytest.raises(ValueError) as numpys:  # noqa: PT011
            pkpo.max_at_k(g.numpy(), k, None if mask is None else mask.numpy())
        with pytest.raises(ValueError) as ours:  # noqa: PT011
            pkpo.torch.max_at_k(g, k, mask)
        assert str(ours.value) == str(numpys.value)


def test_what_only_tensors_can_get_wrong_is_refused() -> None:
    g = LONG.to(torch.float32)
    anything: Any = [0.0, 1.0]
    for check in (True, False):
        with pytest.raises(ValueError, match=r"must be a torch\.Tensor; got list, which pkpo.transform may take"):
            pkpo.torch.s(anything, 1, check=check)
        with pytest.raises(ValueError, match=r"must be real numbers; got a tensor of torch.complex64"):
            pkpo.torch.s(g.to(torch.complex64), 1, check=check)
        with pytest.raises(ValueError, match=r"dtype must be a floating type; got torch.int64"):
            pkpo.torch.s(g, 1, check=check, dtype=torch.int64)
        with pytest.raises(ValueError, match=r"mask must be boolean, .*; got torch.float32"):
            pkpo.torch.s(g, 1, mask=g, check=check)
        with pytest.raises(ValueError, match=r"mask must be boolean, .*; got ndarray"):
            pkpo.torch.s(g, 1, mask=(g > 0).numpy(), check=check)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"mask must be on the device of the rewards, cpu; got meta"):
            pkpo.torch.s(g, 1, mask=torch.ones(8, dtype=torch.bool, device="meta"), check=check)


def test_credits_beyond_a_narrow_type_are_refused() -> None:
    g = torch.tensor([0.0, 6e4, 0.0, 6e4], dtype=torch.float16)
    with pytest.raises(ValueError, match=r"^credits exceed the range of float16; their largest \|reward\| is 60000.0$"):
        pkpo.torch.s(g, 4, scale="mean")
    with pytest.raises(ValueError, match=r"^estimates exceed the range of float16; their largest \|reward\| is 100000"):
        pkpo.torch.max_at_k(torch.tensor([1e5, 1e5, 3e5]), 1, torch.tensor([True, True, False]), dtype=torch.float16)


@named
def test_the_function_of_each_name_is_its_transform(name: str) -> None:
    g, mask = rewards(2, 6), torch.tensor([True] * 5 + [False])
    for scale in pkpo.SCALES:
        arguments: dict[str, Any] = {"mask": mask, "scale": scale, "check": False, "dtype": torch.float32}
        alone = pkpo.torch.TRANSFORMS[name](g, 3, **arguments)
        assert alone.dtype == torch.float32
        assert torch.equal(alone, pkpo.torch.transform(name, g, 3, **arguments))
        assert torch.equal(alone, pkpo.torch.transform(name, g, {3: 1}, **arguments))
    assert getattr(pkpo.torch, name) is pkpo.torch.TRANSFORMS[name]
    assert pkpo.torch.TRANSFORMS.keys() == pkpo.TRANSFORMS.keys()
