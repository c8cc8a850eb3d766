from pathlib import Path
from typing import Any

import pytest

from pkpo.readers import CompletionRow, ReadError, open_results
from tests.pkpo.commands import complaint, curves, values
from tests.pkpo.results_files import csv_table, human_eval, jsonl, shared, written

# As openai/grade-school-math writes them: a line a problem, the answers of two systems side by side.
SOLUTIONS: list[dict[str, Any]] = [
    {
        "question": f"{n} apples and 2 more?",
        "6b": {"is_correct": n > 2, "solution": str(n)},
        "175b": {"is_correct": n > 0, "solution": str(n + 2)},
    }
    for n in range(4)
]


def named(folder: Path, content: str, format: str | None = None, /, **fields: str) -> list[CompletionRow]:
    return list(open_results(written(folder, content), format, fields).rows())


def test_a_verdict_inside_an_object_is_named_by_dots(tmp_path: Path) -> None:
    rows = named(tmp_path, jsonl(SOLUTIONS), problem="question", passed="6b.is_correct", text="6b.solution")
    assert rows[3] == CompletionRow("3 apples and 2 more?", 0, "3", True)
    assert [row.passed for row in rows] == [False, False, False, True]
    rows = named(tmp_path, jsonl(SOLUTIONS), problem="question", passed="175b.is_correct")
    assert [row.passed for row in rows] == [False, True, True, True]


def test_a_name_with_a_dot_in_it_is_itself_before_it_is_a_path(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"problem": "a", "judge.ok": True, "judge": {"ok": False}},
        {"problem": "a", "judge": {"ok": False}},
    ]
    assert [row.passed for row in named(tmp_path, jsonl(records), passed="judge.ok")] == [True, False]


def test_an_object_that_is_not_there_is_a_missing_verdict(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"problem": "a", "judge": {"ok": True}},
        {"problem": "a", "judge": None},
        {"problem": "a", "judge": 1},
    ]
    assert [row.passed for row in named(tmp_path, jsonl(records), passed="judge.ok")] == [True, None, None]


@pytest.mark.parametrize("write", [jsonl, csv_table])
def test_a_named_verdict_is_the_whole_verdict(tmp_path: Path, write: Any) -> None:
    records = [{"problem": "a", "passed": False, "reward": 0.5, "status": "failed", "strict": True, "points": 2.5}]
    assert named(tmp_path, write(records), passed="strict") == [CompletionRow("a", 0, passed=True)]
    assert named(tmp_path, write(records), reward="points") == [CompletionRow("a", 0, reward=2.5)]
    assert named(tmp_path, write(records), text="status")[0] == CompletionRow("a", 0, "failed", False, 0.5, "failed")


def test_fields_are_named_for_generic_files_only(tmp_path: Path) -> None:
    assert named(tmp_path, human_eval(), passed="passed")[5] == CompletionRow("HumanEval/1", 1, "    return 1\n", True)
    with pytest.raises(
        ValueError, match="the format 'human-eval' has fields of its own; they are named for jsonl, csv"
    ):
        named(tmp_path, human_eval(), "human-eval", passed="passed")
    with pytest.raises(ReadError, match=r"a JSON array .*, which is none of the formats jsonl, csv"):
        named(tmp_path, "[\n1]", passed="passed")


@pytest.mark.parametrize("write", [jsonl, csv_table])
def test_a_field_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, write: Any) -> None:
    with pytest.raises(ReadError, match='no field "strct" in it; found: "problem", "strict"'):
        named(tmp_path, write([{"problem": "a", "strict": True}]), passed="strct")
    with pytest.raises(ReadError, match="--problem, --passed and --reward name others"):
        named(tmp_path, write([{"item": "a", "strict": True}]), passed="strict")


def test_the_command_lists_the_fields_inside_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, jsonl(SOLUTIONS))
    said = complaint(capsys, "curve", path, "--problem", "question", "--passed", "7b.is_correct")
    assert said.startswith(f'{path}: no field "7b.is_correct" in it; found: "question", "6b", "6b.is_correct"')


@pytest.mark.parametrize(
    ("system", "solved"),
    [("6b_finetuning", 286), ("6b_verification", 515), ("175b_finetuning", 458), ("175b_verification", 742)],
)
def test_gsm8k_solutions_have_the_rates_that_were_published(
    capsys: pytest.CaptureFixture[str], system: str, solved: int
) -> None:
    path = shared("gsm8k", "example_model_solutions.jsonl.gz")
    (curve,) = curves(capsys, path, "--problem", "question", "--passed", f"{system}.is_correct")
    assert (curve["problems_used"], curve["n_max"]) == (1_319, 1)
    assert values(curve) == {1: pytest.approx(solved / 1_319, abs=1e-15)}
