"""A limit of the process is found before a model that cannot fit is loaded, and what needs less is not refused."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

import torch

from tests.workers.training import small
from workers.training import memory
from workers.training.memory import TooLittleMemory
from workers.training.models import made, skeleton
from workers.training.problems import Problems

PROBLEMS = Problems(small.SUMS)
HUGE = {"init": "tiny", "hidden": 1024, "layers": 32, "heads": 8}  # 537 million parameters
without_a_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="the limit is of the machine's memory")


@contextmanager
def limit(left: int) -> Iterator[None]:
    """`ulimit -v` leaves so many bytes to this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@without_a_gpu
def test_a_model_that_cannot_fit_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    before = psutil.Process().memory_info().rss
    with limit(2 * 10**9), pytest.raises(TooLittleMemory, match=r"A step needs 8\.6 GB .* there are [12]\.\d GB: "):
        small.trained(tmp_path, small.spec(model=HUGE, steps=1))
    assert psutil.Process().memory_info().rss - before < 10**9
    assert not list(tmp_path.glob("step-*"))


@without_a_gpu
def test_a_model_that_is_only_evaluated_needs_its_weights_alone() -> None:
    told = small.spec(model=HUGE, steps=1, kl=0.1)
    bare = skeleton(told.model, PROBLEMS)  # type: ignore[arg-type]
    evaluated = told.model_copy(update={"steps": 0})
    assert 5 * memory.need(evaluated, bare).least == memory.need(told, bare).least
    with limit(4 * 10**9):
        assert memory.checked(evaluated, bare, 1).startswith("a step needs 2.1 GB")
        with pytest.raises(TooLittleMemory, match=r"A step needs 10\.7 GB"):
            memory.checked(told, bare, 1)


@without_a_gpu
def test_the_limit_is_of_each_process() -> None:
    with limit(10**9):
        one, two = (memory.available(small.spec(processes=count)) for count in (1, 2))
    assert one == pytest.approx(10**9, rel=0.1)
    assert two == pytest.approx(2 * one, rel=0.1)


def test_the_skeleton_has_every_parameter_and_none_of_their_memory() -> None:
    told = small.spec()
    bare = skeleton(told.model, PROBLEMS)  # type: ignore[arg-type]
    assert all(each.device.type == "meta" for each in bare.parameters())
    whole = made(told.model, PROBLEMS).model  # type: ignore[arg-type]
    assert [each.shape for each in bare.parameters()] == [each.shape for each in whole.parameters()]
