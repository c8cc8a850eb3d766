"""The problems of a training: those held out are never trained on, and each step has different ones."""

import pytest

pytest.importorskip("datasets", reason="NOT TESTED: requirements/install.sh trl was not run")

from pkpo.problems import Problem
from workers.training.problems import Problems, UnsuitableProblems, check, fresh, rows, split

SUMS = [Problem(f"{a}+{b}", f"{a}+{b}=", answer=str(a + b)) for a in range(6) for b in range(6)]


def test_the_parts_of_a_set_are_the_same_in_every_order_and_share_no_prompt() -> None:
    twins = [Problem(f"again {each.name}", each.prompt) for each in SUMS]
    parts = split([*SUMS, *twins], 0.25)
    assert (len(parts.training), len(parts.held_out)) == (27, 9)
    assert not {each.prompt for each in parts.training} & {each.prompt for each in parts.held_out}
    again = split([*twins, *SUMS][::-1], 0.25)
    assert {each.name for each in again.held_out} == {each.name for each in parts.held_out}


@pytest.mark.parametrize(
    ("problems", "sentence"),
    [
        (Problems(SUMS[:3]), "problems_per_step = 4 different problems; there are 3"),
        (Problems([*SUMS, Problem("silent", "")]), "trained on 1 have no prompt, 'silent' among them"),
        (Problems(SUMS, [Problem("2 and 3", "2+3=")]), "'2 and 3' is also trained on, as '2+3'"),
    ],
)
def test_what_no_training_can_be_had_with(problems: Problems, sentence: str) -> None:
    with pytest.raises(UnsuitableProblems) as refusal:
        check(problems, 4)
    assert sentence in str(refusal.value)


def test_a_step_has_different_problems_and_every_pass_another_order() -> None:
    data = rows(SUMS[:10], 7, 4, seed=0, chat=False)
    steps = [data["problem"][first : first + 4] for first in range(0, 28, 4)]
    assert [len(set(step)) for step in steps] == [4] * 7
    passes = [[*steps[first], *steps[first + 1]] for first in (0, 2, 4)]
    assert [len(set(each)) for each in passes] == [8] * 3
    assert len({tuple(each) for each in passes}) == 3
    assert rows(SUMS[:10], 7, 4, seed=0, chat=False)["problem"] == data["problem"]
    assert rows(SUMS[:10], 7, 4, seed=1, chat=False)["problem"] != data["problem"]
    assert rows(SUMS[:10], 7, 4, seed=0, chat=True)["prompt"][0] == [{"role": "user", "content": data["prompt"][0]}]


def test_fresh_problems_are_of_the_kind_that_the_set_is_and_never_held_out() -> None:
    pytest.importorskip("reasoning_gym", reason="NOT TESTED: requirements/install.sh workers was not run")
    from pkpo.problems import procedural

    config = {"min_numbers": 2, "max_numbers": 2, "min_value": 1, "max_value": 3, "min_target": 1, "max_target": 9}
    made = list(procedural.problems("countdown", 60, 1, config))
    parts = split(made, 0.5)
    others = list(fresh(parts, 200))
    assert {each.metadata["reasoning_gym"]["task"] for each in others} == {"countdown"}
    assert 0 < len(others) < 200, "of so few numbers some are held out"
    assert not {each.prompt for each in others} & {each.prompt for each in parts.held_out}
    with pytest.raises(UnsuitableProblems, match="Only of problems that reasoning-gym made"):
        next(fresh(Problems(SUMS), 1))
