"""What a step needs of memory at least is known before the model is loaded, and is no more than one takes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from tests.documents import ROOT
from tests.workers.training import small
from workers.training import memory
from workers.training.memory import TooLittleMemory, checked, need
from workers.training.models import skeleton
from workers.training.problems import split

PEAK = """
import gc, sys
from pathlib import Path
import psutil
from tests.workers.training import small, test_memory

small.trained(Path(sys.argv[1]) / "warm", small.spec(steps=1))
gc.collect()
before = psutil.Process().memory_info().rss
small.trained(Path(sys.argv[1]) / "large", test_memory.large())
[line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
print(1024 * int(line.split()[1]) - before)  # getrusage has the peak of whoever started this process in it
"""


def large(**more: Any) -> Any:
    """A step of a model of 34 million weights."""
    model = {"init": "tiny", "hidden": 512, "layers": 8, "heads": 8}
    return small.spec(model=model, steps=1, n=2, problems_per_step=1, checkpoint_every=100, evaluate_every=100, **more)


def bare(told: Any) -> Any:
    return skeleton(told.model, split(small.SUMS, 0.25))


def test_a_step_takes_at_least_so_much_and_not_many_times_more(tmp_path: Path) -> None:
    least = need(large(), bare(large())).least
    assert 500e6 < least < 600e6
    command = [sys.executable, "-c", PEAK, str(tmp_path)]
    measured = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert measured.returncode == 0, measured.stderr
    assert 0.95 * least < int(measured.stdout) < 2 * least  # what was resident before may have been given back


def test_a_reference_is_counted_and_an_adapter_is_not() -> None:
    model = bare(large())
    plain, with_reference = need(large(), model), need(large(kl=0.1), model)
    assert with_reference.weights == 2 * plain.weights == 2 * plain.learning / 3
    lora = large().model_copy(update={"lora": {"r": 4}, "kl": 0.1})
    assert (need(lora, model).least, need(lora, model).weights) == (plain.weights, plain.weights)


def test_a_step_that_cannot_fit_is_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = large()
    monkeypatch.setattr(memory, "available", lambda spec: 1_000_000_000)
    assert checked(told, bare(told), 1).startswith("a step needs 0.5 GB for weights, gradients and AdamW, up to ")
    with pytest.raises(TooLittleMemory, match=r"A step needs 1\.1 GB .* there are 1\.0 GB: .* fewer processes"):
        checked(told, bare(told), 2)
    monkeypatch.setattr(memory, "available", lambda spec: 100_000_000)
    with pytest.raises(TooLittleMemory, match=r"there are 0\.1 GB: train a smaller model, or"):
        small.trained(tmp_path, told)
    assert not list(tmp_path.glob("step-*"))
    named = told.model_copy(update={"model": "owner/name"})
    with pytest.raises(TooLittleMemory, match="train an adapter with lora, a smaller model, or"):
        checked(named, bare(told), 1)


def test_the_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.max").write_text("300000000\n")
    (tmp_path / "memory.current").write_text("250000000\n")
    (tmp_path / "memory.stat").write_text("anon 50000000\nfile 200000000\n")
    monkeypatch.setattr(memory, "LIMITS", ((str(tmp_path / "memory.max"), str(tmp_path / "memory.current")),))
    assert memory.available(large()) == 250_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available(large()) > 250_000_000
