"""Generic files with one problem a line: lists of verdicts, and counts."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pkpo.readers import CompletionRow, open_results
from tests.pkpo import results_files
from tests.pkpo.commands import complaint, curves, table, values
from tests.pkpo.results_files import PASS_AT, jsonl, read, refusal, written

Write = Callable[[Iterable[Mapping[str, Any]]], str]


def csv_table(records: Iterable[Mapping[str, Any]]) -> str:
    """CSV whose lists are cells with JSON in them."""
    return results_files.csv_table(
        {name: json.dumps(value) if isinstance(value, list) else value for name, value in record.items()}
        for record in records
    )


@pytest.mark.parametrize("write", [jsonl, csv_table])
def test_lists_are_completions_in_their_order(tmp_path: Path, write: Write) -> None:
    records: list[dict[str, Any]] = [
        {"problem": "fizz", "rewards": [1, 0.5, None]},
        {"problem": "buzz", "rewards": [-2]},
    ]
    assert read(tmp_path, write(records)) == [
        CompletionRow("fizz", 0, reward=1.0),
        CompletionRow("fizz", 1, reward=0.5),
        CompletionRow("fizz", 2, reward=None),
        CompletionRow("buzz", 0, reward=-2.0),
    ]
    assert open_results(written(tmp_path, write(records))).format == "wide"


@pytest.mark.parametrize("write", [jsonl, csv_table])
def test_verdicts_and_rewards_stand_side_by_side(tmp_path: Path, write: Write) -> None:
    records: list[dict[str, Any]] = [{"task_id": 17, "is_correct": [True, False], "reward": [0.75, 0.25]}]
    assert read(tmp_path, write(records)) == [
        CompletionRow("17", 0, passed=True, reward=0.75),
        CompletionRow("17", 1, passed=False, reward=0.25),
    ]


@pytest.mark.parametrize("text", [results_files.wide(), results_files.counts()])
def test_a_line_a_problem_gives_the_curve_of_a_line_a_completion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (curve,) = curves(capsys, written(tmp_path, text))
    assert values(curve) == pytest.approx(PASS_AT, abs=1e-15)


def test_counts_in_csv_need_no_completions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "problem,n,c\nfizz,1000000000,250000000\nbuzz,4, 4\n")
    (curve,) = curves(capsys, path, "--k", "1")
    assert (curve["format"], curve["n_min"], curve["n_max"]) == ("counts", 4, 1_000_000_000)
    assert values(curve) == {1: 0.625}
    assert "counts, one problem a line: 2 problems, n = 4..1000000000; 1,000,000,004 completions" in table(capsys, path)


def test_counts_are_no_completions_and_no_rewards(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(tmp_path, results_files.counts()).startswith("it has the counts of completions and not the comp")
    said = complaint(capsys, "curve", written(tmp_path, results_files.counts()), "--metric", "max_at_k")
    assert "max_at_k needs rewards, and it says only how many completions passed: take pass_at_k" in said


@pytest.mark.parametrize("write", [jsonl, csv_table])
@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"problem": "a", "rewards": [1, "x"]}, ':2: reward must be a finite number or null, got "x"'),
        ({"problem": "a", "rewards": []}, ':2: problem "a": it has no completions'),
        ({"problem": "a", "rewards": None}, ':2: problem "a": rewards must be a list, as [1, 0.5, null] is, got null'),
        ({"problem": "a", "rewards": "[1, 0"}, 'rewards must be a list, as [1, 0.5, null] is, got "[1, 0"'),
        ({"problem": "", "rewards": [1]}, ":2: the problem"),
        ({"problem": "first", "rewards": [1]}, ':2: problem "first" is on line 1 already'),
    ],
)
def test_an_unsound_list_is_refused_with_its_line(
    tmp_path: Path, write: Write, record: dict[str, object], sentence: str
) -> None:
    said = refusal(tmp_path, write([{"problem": "first", "rewards": [1]}, record]))
    if write is csv_table:  # under a header
        said = said.replace("line 2", "line 1").replace(":3:", ":2:")
    assert sentence in said


def test_lists_of_one_line_are_of_one_length(tmp_path: Path) -> None:
    said = refusal(tmp_path, jsonl([{"problem": "a", "passed": [True], "rewards": [1, 0]}]))
    assert said == ':1: problem "a": lists of 1 and 2 verdicts for the same completions'
    said = refusal(tmp_path, jsonl([{"problem": "a", "passed": [True]}, {"problem": "b", "n": 8}]))
    assert said == ':2: problem "b": it needs a list in one of passed, correct, is_correct, rewards, reward'
    said = refusal(tmp_path, jsonl([{"id": "a", "passed": [True]}]))
    assert said == ':1: it needs one of the fields problem, problem_id, question_id, task_id; found: "id", "passed"'


@pytest.mark.parametrize("write", [jsonl, csv_table])
@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"problem": "a", "n": 8, "c": 9}, "c must be in 0..n, got c=9 of n=8"),
        ({"problem": "a", "n": 0, "c": 0}, "n must be in 1..2147483648, got 0"),
        ({"problem": "a", "n": 10**11, "c": 0}, "n must be in 1..2147483648, got 100000000000"),
        ({"problem": "a", "n": 8, "c": -1}, "c must be a whole number from 0 up"),
        ({"problem": "a", "n": 8.5, "c": 1}, "n must be a whole number from 0 up"),
        ({"problem": "a", "n": 8, "c": None}, "c must be a whole number from 0 up, got null"),
        ({"problem": "b", "n": 8, "c": 3}, 'problem "b" is on line'),
    ],
)
def test_counts_outside_their_bounds_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write: Write, record: dict[str, object], sentence: str
) -> None:
    path = written(tmp_path, write([{"problem": "b", "n": 8, "c": 3}, record]))
    assert sentence in complaint(capsys, "curve", path)


def test_a_header_alone_has_no_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "problem,n,c\n")
    assert complaint(capsys, "curve", path) == f"{path}: no problems in it"


def test_text_that_looks_like_a_list_is_no_list_of_verdicts(tmp_path: Path) -> None:
    assert read(tmp_path, 'problem,passed,text\na,1,"[1, 0]"\n') == [CompletionRow("a", 0, "[1, 0]", True)]
    assert read(tmp_path, jsonl([{"problem": "a", "passed": True, "n": 8, "c": 3}]))[0].passed is True
