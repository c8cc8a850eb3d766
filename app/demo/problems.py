"""`python -m app.demo.problems SIZE`: the problems of the demo, a line of JSON for each set.

In a process of its own: what makes them is slow to import, and installed for workers only.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from app.demo.plan import CONFIG, HELD_OUT_SEED, SCALES, TASK, TRAINING_SEED, Size
from pkpo.problems import Problem, ProblemsError, from_reasoning_gym

CHECKOUT: Final = Path(__file__).resolve().parents[2]
PATIENCE: Final = 600.0  # seconds
SPARE: Final = 4  # times as many are made as are held out, for equal ones are left out


class CannotMake(Exception):
    """Why there are no problems, a sentence."""


@dataclass(frozen=True)
class Made:
    """The problems of a demo, as the service records them."""

    training: list[dict[str, Any]]
    held_out: list[dict[str, Any]]


async def made(size: Size) -> Made:
    """The problems of a size; CannotMake where that fails."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.demo.problems", size),
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, said = await asyncio.wait_for(process.communicate(), PATIENCE)
    except TimeoutError:
        raise CannotMake(f"The problems were not made within {PATIENCE:.0f} seconds.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()  # else its end is told to a loop that is closed
    if process.returncode != 0:
        raise CannotMake((said.decode(errors="replace").strip().splitlines() or ["It said nothing."])[-1])
    training, held_out = map(json.loads, out.splitlines())
    return Made(training, held_out)


def problems(size: Size) -> tuple[list[Problem], list[Problem]]:
    """To train on and held out: no problem of one is in the other, in whatever order its numbers stand."""
    scale = SCALES[size]
    held_out: dict[Any, Problem] = {}
    for each in _from(SPARE * scale.held_out, HELD_OUT_SEED):
        held_out.setdefault(_content(each.metadata), each)
    chosen = dict(list(held_out.items())[: scale.held_out])
    training: dict[str, Problem] = {}
    for each in _from(scale.made, TRAINING_SEED):
        if _content(each.metadata) not in chosen:
            training.setdefault(each.prompt, each)
    return list(training.values()), list(chosen.values())


def _from(count: int, seed: int) -> Iterator[Problem]:
    """reasoning-gym's problems with prompts of a few characters: a tiny model need not read instructions."""
    for each in from_reasoning_gym(TASK, count, seed, CONFIG).problems:
        numbers = " ".join(map(str, cast(Iterable[int], each.metadata["numbers"])))
        yield replace(each, prompt=f"{numbers} -> {each.metadata['target']}: ")


def _content(metadata: Mapping[str, Any]) -> tuple[tuple[int, ...], int]:
    return tuple(sorted(metadata["numbers"])), metadata["target"]


def main() -> int:
    """Write both sets; returns the exit status."""
    size = cast(Size, sys.argv[1])
    try:
        found = problems(size)
    except ProblemsError as error:
        print(error, file=sys.stderr)
        return 1
    for each in found:
        print(json.dumps([one.sent() for one in each]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
