"""Verification of code in the sandbox: one completion from nothing, and many by a warm pool, against a bare Python
start.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks.ratio import Ratio, best_seconds
from workers.sandbox import NotOffered, Program, Sandboxes

BATCH = 80
# As a completion of HumanEval is graded: with imports, a helper from the prompt, several tests, some of which fail.
PROMPT = """from typing import List

def has_close_elements(numbers: List[float], threshold: float) -> bool:
    ''' Whether any two numbers are closer to each other than the threshold. '''
"""
BODY = "    ordered = sorted(numbers)\n    return any(b - a < threshold for a, b in zip(ordered, ordered[1:]))\n"
TESTS = """
def check(candidate):
    assert candidate([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.3) == True
    assert candidate([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.05) == False
    assert candidate([1.0, 2.0, 5.9, 4.0, 5.0], 0.95) == True
    assert candidate([1.0, 2.0, 5.9, 4.0, 5.0], 0.8) == False
    assert candidate([1.0, 2.0, 3.0, 4.0, 5.0, 2.0], 0.1) == True
check(has_close_elements)
"""
PROGRAM = Program(PROMPT + BODY, TESTS, PROMPT, "has_close_elements")
BARE = (os.path.realpath(sys._base_executable), "-I", "-S", "-c", "pass")  # type: ignore[attr-defined]


def measure() -> Iterator[Ratio]:
    """A cold verification and one of a warm pool ÷ a bare start; how many the pool grades in a second, as a multiple
    of 80.
    """
    try:
        with Sandboxes(slots=1, warm=False) as cold, Sandboxes(slots=2) as warm, ThreadPoolExecutor(2) as threads:
            yield from _measured(cold, warm, threads)
    except NotOffered as error:
        print(f"  not measured: {error}")


def _measured(cold: Sandboxes, warm: Sandboxes, threads: ThreadPoolExecutor) -> Iterator[Ratio]:
    one, bare = best_seconds(lambda: _grade(cold), lambda: subprocess.run(BARE, check=True), repeats=15)
    yield Ratio(
        "one cold verification", one / bare, "a bare python -I -S", at_most=7.0, detail=_milliseconds(one, bare)
    )

    def many() -> None:
        list(threads.map(lambda _: _grade(warm), range(BATCH)))

    batch, bare = best_seconds(many, lambda: subprocess.run(BARE, check=True), repeats=7)
    each, rate = batch / BATCH, BATCH / batch
    yield Ratio("one of a warm pool of two slots", each / bare, "a bare python -I -S", detail=_milliseconds(each, bare))
    yield Ratio("its verifications", rate / 80, "80 a second", at_least=1.0, detail=f"{rate:.0f} a second")


def _grade(sandboxes: Sandboxes) -> None:
    verdict = sandboxes.grade(PROGRAM)
    assert verdict.passed, verdict


def _milliseconds(seconds: float, bare: float) -> str:
    return f"{seconds * 1e3:.0f} ms, a bare start {bare * 1e3:.0f} ms"
