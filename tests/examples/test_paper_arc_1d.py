"""examples/paper's arc_1d: its problems and verdicts are those of reasoning-gym, and its parts do not meet."""

from collections.abc import Iterator
from importlib import import_module
from itertools import chain
from typing import Any

import pytest

from tests.documents import ROOT

torch = pytest.importorskip("torch")
reasoning_gym = pytest.importorskip("reasoning_gym")
CELLS = 10


@pytest.fixture(scope="module")
def arc_1d() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples/paper"))
        yield import_module("arc_1d")


def rows(question: str) -> list[list[int]]:
    """The rows of cells that a question of reasoning-gym shows, in their order."""
    texts = [line.split(":")[-1].split() for line in question.splitlines()]
    return [[int(cell) for cell in cells] for cells in texts if len(cells) == CELLS and cells[0].isdecimal()]


def test_a_prompt_has_the_rows_that_reasoning_gym_shows(arc_1d: Any) -> None:
    made = arc_1d.problems(200, CELLS, 3, held_out=False, distinct=False)
    assert made.prompts.shape == (200, arc_1d.prompt_length(CELLS))
    assert made.solutions.shape == (200, arc_1d.longest_completion(CELLS))
    data = reasoning_gym.create_dataset("arc_1d", min_size=CELLS, max_size=CELLS, seed=3 * arc_1d.FAR, size=300)
    shown = {tuple(chain.from_iterable(rows(item["question"]))): item["answer"] for item in data}
    for prompt, solution in zip(made.prompts.tolist(), made.solutions, strict=True):
        cells = tuple(token - arc_1d.CELL for token in prompt if token not in (arc_1d.ARROW, arc_1d.ROW))
        assert arc_1d.text(solution) == shown[cells]


def test_verdicts_are_those_of_reasoning_gym(arc_1d: Any) -> None:
    """On solutions, on those with some tokens changed, and on those that end too early or never."""
    made = arc_1d.problems(60, CELLS, 4, held_out=True)
    gym = reasoning_gym.create_dataset("arc_1d", size=1, seed=0)
    random = torch.Generator().manual_seed(0)
    drawn = made.solutions[:, None].repeat(1, 5, 1)
    some = torch.rand(drawn.shape, generator=random) < torch.tensor([0.0, 0.1, 0.5, 0.0, 0.0])[:, None]
    drawn = torch.where(some, torch.randint(0, 13, drawn.shape, generator=random), drawn)
    drawn[:, 3, 6:] = 0
    drawn[:, 4, -1] = 5
    found = made.passed(torch.arange(60), drawn)
    for solution, completions, verdicts in zip(made.solutions, drawn, found.tolist(), strict=True):
        for completion, verdict in zip(completions, verdicts, strict=True):
            entry = {"answer": arc_1d.text(solution), "metadata": {}}
            assert (gym.score_answer(arc_1d.text(completion), entry) == 1.0) == verdict
    assert found[:, 0].all()
    assert not found[:, 2:].any()


def test_no_problem_is_in_both_parts(arc_1d: Any) -> None:
    parts = [arc_1d.problems(400, CELLS, 11 + part, held_out=bool(part)).prompts.tolist() for part in (0, 1)]
    keys = [{tuple(prompt) for prompt in part} for part in parts]
    assert [len(each) for each in keys] == [400, 400]
    assert not keys[0] & keys[1]
    again = arc_1d.problems(400, CELLS, 11, held_out=False)
    assert again.prompts.tolist() == parts[0]
    other = {tuple(prompt) for prompt in arc_1d.problems(400, CELLS, 13, held_out=False).prompts.tolist()}
    assert len(keys[0] & other) < 40  # seeds are far from each other: few meet by chance
