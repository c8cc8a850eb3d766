import json
from pathlib import Path

import pytest

from pkpo.readers import CompletionRow, open_results
from tests.pkpo.commands import curves, values
from tests.pkpo.results_files import DEEP, livecodebench, read, refusal, shared, written


def test_the_output_is_the_text_and_the_code_in_it_the_answer(tmp_path: Path) -> None:
    assert read(tmp_path, livecodebench({"1873_A": [True, False, False]})) == [
        CompletionRow("1873_A", 0, "```python\nprint(0)\n```", True, None, "passed", "print(0)"),
        CompletionRow("1873_A", 1, "```python\nprint(1)\n```", False, None, "timeout", "print(1)"),
        CompletionRow("1873_A", 2, "```python\nprint(2)\n```", False, None, "failed", "print(2)"),
    ]


def test_question_ids_are_strings_and_numbers_in_one_file(tmp_path: Path) -> None:
    records = [*json.loads(livecodebench({"abc301_a": [True]})), *json.loads(livecodebench({"2727": [False]}))]
    records[1]["question_id"] = 2727
    assert [row.problem for row in read(tmp_path, json.dumps(records))] == ["abc301_a", "2727"]
    records[0]["question_id"] = "2727"
    assert 'element 1: question_id "2727" is there already' in refusal(tmp_path, json.dumps(records))


def test_what_a_program_printed_is_no_verdict(tmp_path: Path) -> None:
    notes = [json.dumps({"output": '{"error_code": -3}', "error_code": -2})]
    text = livecodebench({"1873_A": [False]}, metadata=notes)
    assert [row.status for row in read(tmp_path, text)] == ["failed"]


def test_a_completion_without_a_grade_is_missing_and_not_failed(tmp_path: Path) -> None:
    rows = read(tmp_path, livecodebench({"1873_A": [None, True]}))
    assert [(row.passed, row.status) for row in rows] == [(None, None), (True, "passed")]


def test_outputs_longer_than_the_beginning_of_the_file_do_not_hide_the_format(tmp_path: Path) -> None:
    text = livecodebench({"1873_A": [True]}, output_list=["so " * 200_000])
    assert open_results(written(tmp_path, text)).format == "livecodebench"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (livecodebench({"1873_A": []}), 'element 0: problem "1873_A" has an empty graded_list'),
        (livecodebench({"1873_A": [True]}, code_list=["a", "b"]), "code_list has 2 entries, and graded_list 1"),
        (livecodebench({"1873_A": [True]}, output_list=[]), "output_list has 0 entries, and graded_list 1"),
        (livecodebench({"1873_A": [True]}, metadata=[{}]), "metadata must be a list with a string or null"),
        (livecodebench({"1873_A": [True]}, graded_list=[1]), "graded_list must be a list with true, false or null"),
        (livecodebench({"1873_A": [True]}, graded_list=None), "for each completion, got null"),
        (livecodebench({"1873_A": [True]}, question_id=None), "the problem must be a string or a whole number"),
        (livecodebench({"": [True]}), "element 0: the problem has an empty name"),
        (livecodebench()[:-2], "not JSON"),
        (f'[{{"question_id": 1, "graded_list": {DEEP}', "nested too deeply"),
        ('[{"question_id": 1, "graded_list": [true], "code_list": [""]}, 7]', "element 1: expected an object, got 7"),
        ('[{"question_id": 1, "graded_list": [], "question_id": 2}]', '"question_id" stands twice in one object'),
    ],
)  # fmt: skip
def test_an_unsound_eval_all_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in refusal(tmp_path, text)


def test_a_document_of_another_shape_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "{}", "livecodebench") == "expected a JSON array"
    assert refusal(tmp_path, "[]", "cruxeval") == "expected one JSON object"


def test_o1_mini_has_the_pass_rate_that_was_published(capsys: pytest.CaptureFixture[str]) -> None:
    path = shared("lcb_submissions", "O1-Mini-2024-09-12__N_1__Scenario.codegeneration_1_0.2_eval_all.json.gz")
    (curve,) = curves(capsys, path)
    assert (curve["format"], curve["problems_used"], curve["n_max"]) == ("livecodebench", 880, 1)
    assert values(curve) == {1: pytest.approx(602 / 880, abs=1e-15)}
    assert len(list(open_results(path).rows())) == 880
