import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpo.readers import CompletionRow
from pkpo.readers.json_lines import _together
from pkpo.readers.sample_indexes import SampleIndexes, SeenBefore
from tests.examples_of import examples
from tests.pkpo import results_files
from tests.pkpo.results_files import DEEP, csv_table, jsonl, read, refusal

# generic files: which fields


@pytest.mark.parametrize("problem", ["problem", "problem_id", "question_id", "task_id"])
@pytest.mark.parametrize("verdict", ["passed", "correct", "is_correct"])
@pytest.mark.parametrize("write", [jsonl, csv_table])
def test_other_tools_names_are_understood(
    tmp_path: Path, problem: str, verdict: str, write: Callable[[list[dict[str, object]]], str]
) -> None:
    text = write([{problem: "AIME-3", verdict: True, "completion": "104"}])
    assert read(tmp_path, text, None) == [CompletionRow("AIME-3", 0, "104", True)]


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"problem_id": 3, "task_id": 3, "passed": True}, "problem_id and task_id could each be the problem"),
        ({"problem": 3, "passed": True, "correct": False}, "passed and correct could each be the passed"),
        ({"id": 3, "passed": True}, 'found: "id", "passed"'),
        ({"problem": 3, "score": 0.5}, "needs one of the fields problem, problem_id, question_id, task_id and one of"),
    ],
)
def test_fields_that_are_lacking_or_ambiguous_are_listed(
    tmp_path: Path, record: dict[str, object], sentence: str
) -> None:
    assert sentence in refusal(tmp_path, jsonl([record]))
    assert sentence in refusal(tmp_path, csv_table([record]))


def test_one_line_may_lack_what_the_lines_after_it_have(tmp_path: Path) -> None:
    rows = read(tmp_path, '{"problem": "a", "error": "HTTP 503"}\n{"problem": "a", "passed": false}\n')
    assert [row.passed for row in rows] == [None, False]


def far_into_a_file(record: dict[str, object]) -> str:
    """Two thousand completions that passed, more than the head of a file holds, and then this record."""
    return jsonl([*({"problem": "a", "passed": True, "text": "x" * 50} for _ in range(2_000)), record])


def test_a_field_that_first_stands_far_into_a_file_is_read(tmp_path: Path) -> None:
    failed_to_run = {"problem": "a", "passed": False, "status": "infrastructure_error"}
    assert read(tmp_path, far_into_a_file(failed_to_run))[2_000].passed is None
    assert read(tmp_path, far_into_a_file({"problem": "a", "reward": 0.5}))[2_000].reward == 0.5
    assert ":2001: sample_index is 7, but the first completion has none" in refusal(
        tmp_path, far_into_a_file({"problem": "a", "passed": True, "sample_index": 7})
    )
    assert "passed and correct could each be the passed" in refusal(
        tmp_path, far_into_a_file({"problem": "a", "correct": True})
    )


def test_a_number_and_its_digits_name_the_same_problem(tmp_path: Path) -> None:
    rows = read(tmp_path, '{"question_id": 17, "passed": true}\n{"question_id": "17", "passed": false}\n')
    assert [(row.problem, row.sample_index) for row in rows] == [("17", 0), ("17", 1)]


def test_null_is_missing_and_not_false(tmp_path: Path) -> None:
    rows = read(tmp_path, '{"problem": "a", "passed": null}\n{"problem": "a", "passed": false}\n')
    assert [row.passed for row in rows] == [None, False]


def test_an_infrastructure_error_is_no_verdict(tmp_path: Path) -> None:
    record = {"problem": "a", "passed": False, "reward": 0.0, "status": "infrastructure_error"}
    assert read(tmp_path, jsonl([record])) == [CompletionRow("a", 0, status="infrastructure_error")]


@pytest.mark.parametrize(
    ("status", "reward", "passed"),
    [
        ("passed", None, True),
        ("failed", 0.5, False),
        ("timeout", None, False),
        ("crash", 0.25, None),  # the verifier's own scale, as over REST
        ("scored", 0.25, None),
        ("completed", None, None),
    ],
)
def test_a_status_says_what_passed_where_nothing_else_does(
    tmp_path: Path, status: str, reward: float | None, passed: bool | None
) -> None:
    records = [{"problem": "a", "passed": None, "reward": reward, "status": status}]
    for text in (jsonl(records), csv_table(records)):
        [row] = read(tmp_path, text)
        assert (row.passed, row.reward) == (passed, reward)
    alone = {"problem": "a", "reward": 0.5, "status": "failed"}
    assert read(tmp_path, jsonl([alone])) == [CompletionRow("a", 0, None, False, 0.5, "failed")]


def test_another_tools_status_is_left_alone(tmp_path: Path) -> None:
    records = [{"problem": "a", "passed": True, "status": status} for status in ("completed", 200, ["ok"], None)]
    assert [row.status for row in read(tmp_path, jsonl(records))] == [None] * 4


def test_answers_of_any_kind_become_text_that_compares(tmp_path: Path) -> None:
    records = [{"problem": "a", "passed": True, "answer": answer} for answer in ("18", 18, {"y": 2, "x": 1}, None)]
    assert [row.answer for row in read(tmp_path, jsonl(records))] == ["18", "18", '{"x": 1, "y": 2}', None]


# generic files: which values


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"problem": "a", "passed": 1}', "passed must be true, false or null, got 1"),
        ('{"problem": "a", "passed": "true"}', 'passed must be true, false or null, got "true"'),
        ('{"problem": "a", "reward": NaN}', "reward must be a finite number or null, got NaN"),
        ('{"problem": "a", "reward": -Infinity}', "reward must be a finite number or null"),
        ('{"problem": "a", "reward": 1e999}', "reward must be a finite number or null"),
        ('{"problem": "a", "reward": BEYOND_A_FLOAT}', "reward must be a finite number or null"),
        ('{"problem": "a", "reward": true}', "reward must be a finite number or null, got true"),
        ('{"problem": "a", "reward": "1"}', "reward must be a finite number or null"),
        ('{"problem": null, "passed": true}', "the problem must be a string or a whole number, got null"),
        ('{"problem": true, "passed": true}', "the problem must be a string or a whole number, got true"),
        ('{"problem": 1.0, "passed": true}', "the problem must be a string or a whole number, got 1.0"),
        ('{"problem": "", "passed": true}', "the problem has an empty name"),
        ('{"problem": "a", "passed": true, "text": ["x"]}', "the text of a completion must be a string or null"),
        ('{"problem": "a", "passed": true, "sample_index": 0.5}', "sample_index is 0.5, but the first completion has"),
        ('{"problem": "a", "passed": true, "status": "oom"}', 'passed is true, but status is "oom"'),
        ('{"problem": "a", "passed": false, "status": "passed"}', 'passed is false, but status is "passed"'),
        ('{"problem": "a", "passed": tru}', "not a JSON object on one line"),
        ('{"problem": "a", "passed": true', "not a JSON object on one line"),
        ('{"problem": "a", "passed": true} {"problem": "b", "passed": true}', "Extra data"),
        ('["a", true]', "expected a JSON object, got an array"),
        ("null", "expected a JSON object, got null"),
        ("7", "expected a JSON object, got a number"),
        ('{"problem": "a", "passed": BEYOND_AN_INT}', "a number with thousands of digits"),
        ('{"problem": "a", "passed": DEEP}', "nested too deeply"),
    ],
)
def test_an_unsound_line_is_refused_with_its_number(tmp_path: Path, line: str, sentence: str) -> None:
    line = line.replace("DEEP", DEEP).replace("BEYOND_A_FLOAT", "9" * 400).replace("BEYOND_AN_INT", "9" * 5000)
    sound = '{"problem": "b", "passed": true, "reward": 1.0, "text": "x", "status": "passed"}'
    message = refusal(tmp_path, f"{sound}\n\n{line}\n{sound}\n")
    assert message.startswith(":3: "), message
    assert sentence in message
    assert len(message) < 250


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("a,yes,1,0", 'passed must be true, false, 1, 0 or empty, got "yes"'),
        ("a,1.0,1,0", "passed must be true, false, 1, 0 or empty"),
        ("a,1,nan,0", "reward must be a finite number or null, got NaN"),
        ("a,1,inf,0", "reward must be a finite number or null"),
        ("a,1,high,0", 'reward must be a finite number or empty, got "high"'),
        ("a,1,1,-1", 'sample_index must be a whole number, got "-1"'),
        ("a,1,1,²", "sample_index must be a whole number"),
        ("a,1,1", "3 cells under a header of 4"),
        ("a,1,1,0,9", "5 cells under a header of 4"),
        (",1,1,0", "the problem must be a string or a whole number, got null"),
        ('a,1,1,"0', "not CSV"),
    ],
)
def test_an_unsound_csv_row_is_refused_with_its_line(tmp_path: Path, row: str, sentence: str) -> None:
    message = refusal(tmp_path, f"problem,passed,reward,sample_index\nb,true,1,0\n\n{row}\n")
    assert message.startswith(":4: "), message
    assert sentence in message


@pytest.mark.parametrize(("cell", "passed"), [("TRUE", True), ("1", True), (" False", False), ("0", False), ("", None)])
def test_the_verdicts_of_a_spreadsheet_are_read(tmp_path: Path, cell: str, passed: bool | None) -> None:
    assert read(tmp_path, f"problem, passed\r\nfizz,{cell}\r\n")[0].passed is passed


def test_csv_texts_keep_their_lines_commas_and_spaces(tmp_path: Path) -> None:
    text = '    if a, b:\n        return "x"\n'
    rows = read(tmp_path, csv_table([{"problem": "a", "passed": True, "text": t} for t in (text, "")]))
    assert [row.text for row in rows] == [text, ""]


def test_a_csv_text_may_be_longer_than_the_csv_module_takes_by_default(tmp_path: Path) -> None:
    text = "x" * 200_000
    assert read(tmp_path, csv_table([{"problem": "a", "passed": True, "text": text}]))[0].text == text


def test_the_line_of_a_csv_row_is_the_one_on_which_it_begins(tmp_path: Path) -> None:
    message = refusal(tmp_path, 'problem,passed,text\na,1,"two\nlines"\nb,perhaps,"two\nlines"\n')
    assert message.startswith(":4: ")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, "problem,passed,passed\na,1,0\n")
    assert message == ':1: 2 columns of the header have the name "passed"'


def test_the_empty_columns_of_a_spreadsheet_mean_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "problem,passed,, \na,1,,\nb,0,,\n") == [
        CompletionRow("a", 0, passed=True),
        CompletionRow("b", 0, passed=False),
    ]


def test_a_header_alone_is_no_results(tmp_path: Path) -> None:
    assert refusal(tmp_path, "problem,passed\n") == "no completions in it"


# sample indexes


def test_a_completion_that_is_there_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    records = results_files.rows()
    message = refusal(tmp_path, jsonl([*records, records[5]]))
    assert message == ':13: problem "HumanEval/1" has sample_index 1 twice; it is on line 6 already'
    table = [{name: record[name] for name in ("problem", "sample_index", "passed")} for record in records]
    message = refusal(tmp_path, csv_table([*table, table[5]]))
    assert message == ':14: problem "HumanEval/1" has sample_index 1 twice; it is on line 7 already'


def test_sample_indexes_are_given_for_all_completions_or_for_none(tmp_path: Path) -> None:
    with_index, without = '{"problem": "a", "sample_index": 0, "passed": true}\n', '{"problem": "a", "passed": true}\n'
    assert ":2: sample_index is null, but the first completion has one" in refusal(tmp_path, with_index + without)
    assert ":2: sample_index is 0, but the first completion has none" in refusal(tmp_path, without + with_index)
    assert ":1: sample_index must be a whole number, got true" in refusal(tmp_path, with_index.replace("0", "true"))
    assert "sample_index must be in 0..2147483647, got -1" in refusal(tmp_path, with_index.replace("0", "-1"))


@settings(max_examples=examples(100))
@given(st.permutations(range(6)), st.integers(0, 5))
def test_indexes_in_any_order_are_claimed_once(order: list[int], again: int) -> None:
    indexes = SampleIndexes()
    assert indexes.of(["a"] * 6, order) == order
    with pytest.raises(SeenBefore):
        indexes.of(["a"], [again])
    assert indexes.of(["b", "a"], [again, 6]) == [again, 6]


def test_what_has_been_read_in_order_takes_no_memory() -> None:
    indexes = SampleIndexes()
    indexes.of(["a"] * 1000, [*range(1, 1000), 0])
    assert indexes._next == {"a": 1000}
    assert indexes._ahead == {}


# many lines at a time

LINES = st.lists(
    st.sampled_from(
        [
            '{"problem":"a","passed":true}',
            '{"problem":"b","passed":false}',
            '{"problem":"a","passed":true},{"problem":"b","passed":true}',
            '{"problem":"a","passed":true,"tests":[{}',
            "{}]}",
            "null",
            "",
        ]
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=examples(100))
@given(LINES)
def test_lines_decoded_together_are_what_they_are_alone(lines: list[str]) -> None:
    found = _together([line.encode() + b"\n" for line in lines])
    if found is not None:
        assert found == [json.loads(line) for line in lines]


def test_sound_lines_are_decoded_together() -> None:
    lines = ['{"problem":"a","passed":true}\n', '{"problem":"b","passed":null}\n']
    assert _together([line.encode() for line in lines]) == [json.loads(line) for line in lines]


def test_an_error_far_into_a_file_has_its_line(tmp_path: Path) -> None:
    lines = ['{"problem": "a", "passed": true}'] * 5_000
    lines[4_321] = '{"problem": "a", "passed": "no"}'
    assert refusal(tmp_path, "\n".join(lines)).startswith(":4322: ")
