import gzip
import io
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpo.readers import READERS, CompletionRow, ReadError, UnknownFormat, open_results
from tests.examples_of import examples
from tests.pkpo import results_files
from tests.pkpo.results_files import DEEP, VERDICTS, csv_table, jsonl, read, refusal, shared, written

SHAPES: dict[str, Callable[[], str]] = {
    "cruxeval": results_files.cruxeval,
    "livecodebench": results_files.livecodebench,
    "evalplus": results_files.evalplus,
    "human-eval": results_files.human_eval,
    "human-eval-samples": results_files.human_eval_samples,
    "wide": results_files.wide,
    "counts": results_files.counts,
    "jsonl": lambda: jsonl(results_files.rows()),
    "csv": lambda: csv_table(results_files.rows()),
}


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("format", [name for name in SHAPES if name != "counts"])
def test_each_format_is_recognised_by_content(tmp_path: Path, format: str, gzipped: bool) -> None:
    results = open_results(written(tmp_path, SHAPES[format](), gzipped=gzipped))
    assert results.format == format
    assert results.description.endswith("gzipped") == gzipped
    rows = list(results.rows())
    assert {(row.problem, row.sample_index) for row in rows} == {(p, i) for p in VERDICTS for i in range(4)}
    assert len(rows) == 12
    if format != "human-eval-samples":
        assert [row.passed for row in rows] == [passed for verdict in VERDICTS.values() for passed in verdict]
    assert all(row.text is not None for row in rows) is (format != "wide")


def test_there_is_a_made_file_for_every_reader() -> None:
    assert list(SHAPES) == [reader.NAME for reader in READERS]


def test_a_file_can_be_read_as_often_as_wanted(tmp_path: Path) -> None:
    results = open_results(written(tmp_path, SHAPES["jsonl"]()))
    assert list(results.rows()) == list(results.rows())


def test_verdicts_count_judged_passed_and_rewards_by_problem(tmp_path: Path) -> None:
    records: list[dict[str, object]] = [
        {"problem": "fizz", "passed": True},
        {"problem": "fizz", "passed": None},
        {"problem": "buzz", "passed": False, "reward": 0.25},
        {"problem": "buzz", "passed": None, "reward": -1},
    ]
    verdicts = open_results(written(tmp_path, jsonl(records))).verdicts()
    fizz, buzz = verdicts.problems["fizz"], verdicts.problems["buzz"]
    assert (fizz.completions, fizz.judged, fizz.passed, fizz.rewards) == (2, 1, 1, [1.0])
    assert (buzz.completions, buzz.judged, buzz.passed, buzz.rewards) == (2, 1, 0, [0.25, -1.0])
    assert (verdicts.completions, verdicts.judged, verdicts.passed, verdicts.given_rewards) == (4, 2, 1, 2)


# human-eval


def test_a_human_eval_result_becomes_a_status(tmp_path: Path) -> None:
    results = ["passed", "timed out", "failed: assert", "Traceback (most recent call last): …"]
    records = [{"task_id": "HumanEval/7", "completion": "", "result": r, "passed": r == "passed"} for r in results]
    assert [row.status for row in read(tmp_path, jsonl(records))] == ["passed", "timeout", "failed", "failed"]


def test_a_human_eval_result_against_its_verdict_is_refused(tmp_path: Path) -> None:
    record = {"task_id": "HumanEval/7", "completion": "", "result": "timed out", "passed": True}
    assert refusal(tmp_path, jsonl([record])) == ':1: passed is true, but status is "timeout"'


def test_human_eval_results_not_judged_yet_are_missing(tmp_path: Path) -> None:
    record = {"task_id": "HumanEval/7", "completion": "", "result": None, "passed": None}
    assert read(tmp_path, jsonl([record])) == [CompletionRow("HumanEval/7", 0, "")]


def test_samples_with_a_third_field_are_not_taken_for_unjudged(tmp_path: Path) -> None:
    record = {"task_id": "HumanEval/7", "completion": "", "pased": True}
    assert "needs one of the fields" in refusal(tmp_path, jsonl([record]))
    assert read(tmp_path, jsonl([record]), "human-eval-samples")[0].passed is None


# CRUXEval


def test_cruxeval_texts_stand_with_their_verdicts(tmp_path: Path) -> None:
    text = json.dumps(
        {
            "raw_generations": {"sample_1": ["a", "b"], "sample_0": ["c", "d"]},
            "raw_scored_generations": {"sample_0": [True, None], "sample_1": [False, True]},
        }
    )
    assert read(tmp_path, text) == [
        CompletionRow("sample_0", 0, "c", True),
        CompletionRow("sample_0", 1, "d", None),
        CompletionRow("sample_1", 0, "a", False),
        CompletionRow("sample_1", 1, "b", True),
    ]


@pytest.mark.parametrize(
    ("texts", "verdicts", "sentence"),
    [
        ('{"a": ["x"]}', '{"b": [true]}', 'problem "a" is in only one of'),
        ('{"a": ["x"]}', '{"a": [true, true]}', 'problem "a" has 1 texts and 2 verdicts'),
        ('{"a": ["x"]}', '{"a": [1]}', 'problem "a", completion 0: needs a string and true, false or null'),
        ('{"a": [7]}', '{"a": [true]}', 'got 7 and true'),
        ('{"b": ["w"], "a": ["x"], "a": ["y"]}', '{"a": [true]}', '"a" stands twice in one object'),
        ('{"a": "x"}', '{"a": [true]}', "raw_generations must be an object with a list for each problem"),
        ('{"a": ["x"]}', "null", "raw_scored_generations must be an object"),
        ("{}", "{}", "no completions in it"),
        ('{"a": ["x"]}', '{"a": [true}', "not JSON"),
        ('{"a": ["x"]}', "DEEP", "nested too deeply"),
    ],
)  # fmt: skip
def test_an_unsound_cruxeval_file_is_refused(tmp_path: Path, texts: str, verdicts: str, sentence: str) -> None:
    text = f'{{"raw_generations": {texts}, "raw_scored_generations": {verdicts}}}'
    assert sentence in refusal(tmp_path, text.replace("DEEP", DEEP))


# the file itself


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty file"),
        (b"\n \n", "empty file"),
        (gzip.compress(b"", mtime=0), "empty file"),
        (gzip.compress(b'{"problem": "a", "passed": true}\n' * 99, mtime=0)[:-9], "the gzip data ends early"),
        (b"\x1f\x8b\x08" + b"\x00" * 40, "the gzip data is damaged"),
        (b"PAR1\x15\x04", "a Parquet file that cannot be read"),
        (b"PK\x03\x04\x14\x00", "a zip archive"),
        (b"\x28\xb5\x2f\xfd\x04", "zstd-compressed"),
        ('{"problem": "a", "passed": true}\n'.encode("utf-16"), "UTF-16 text"),
        (b"[\n{}\n]\n", "a JSON array (jq -c '.[]'"),
        (b'{\n  "eval": {}\n}\n', "an indented JSON document"),
        (b"The MIT License\n", "begins with 'The MIT License'"),
    ],
)
def test_what_is_no_results_file_is_called_by_its_name(tmp_path: Path, content: bytes, sentence: str) -> None:
    assert sentence in refusal(tmp_path, content)


@pytest.mark.parametrize("text", ['{"problem": "a", "passed": true}\n', "problem,passed\na,1\n"])
def test_bytes_that_are_no_utf8_are_refused_with_their_line(tmp_path: Path, text: str) -> None:
    assert "not UTF-8" in refusal(tmp_path, (text * 2).encode() + b"\xff\xfe\n")
    assert refusal(tmp_path, text.encode() + b"\xe9,1\n").startswith(f":{text.count(chr(10)) + 1}: not UTF-8")


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    for format in ("jsonl", "csv", "cruxeval"):
        assert len(read(tmp_path, b"\xef\xbb\xbf" + SHAPES[format]().encode())) == 12


def test_blank_lines_and_windows_ends_of_lines_change_nothing(tmp_path: Path) -> None:
    text = SHAPES["jsonl"]()
    assert read(tmp_path, text.replace("\n", "\r\n\r\n").rstrip()) == read(tmp_path, text)


def test_a_first_line_longer_than_the_head_is_recognised(tmp_path: Path) -> None:
    record = {"problem": "a", "text": "x" * 300_000, "passed": True}
    assert read(tmp_path, jsonl([record]))[0].passed is True


def test_a_first_line_longer_than_any_head_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pkpo.readers.source.LONGEST_FIRST_LINE", 1 << 10)
    record = {"problem": "a", "text": "x" * 300_000, "passed": True}
    assert read(tmp_path, jsonl([record]))[0].passed is True


def test_an_unsound_first_line_is_refused_for_what_it_is(tmp_path: Path) -> None:
    assert refusal(tmp_path, '{"problem": "a", "passed"}\n').startswith(":1: not a JSON object on one line")


def test_an_object_that_is_cut_off_is_refused_at_its_end(tmp_path: Path) -> None:
    whole, cut = '{"problem": "a", "passed": true}', '{"problem": "b", "passed":'
    said = f":2: not a JSON object on one line: Expecting value (column {len(cut) + 1})"
    for end in ("", "\n", "\r\n"):
        assert refusal(tmp_path, f"{whole}\n{cut}{end}") == said


@settings(max_examples=examples(300), deadline=None)
@given(st.sampled_from(list(SHAPES)), st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=3)), max_size=3))
def test_whatever_happened_to_a_file_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, format: str, damages: list[tuple[float, bytes]]
) -> None:
    content = SHAPES[format]().encode()
    for place, what in damages:
        at = round(place * len(content))
        content = content[:at] + what + content[at + len(what) // 2 :]
    path = written(tmp_path_factory.getbasetemp(), content, "damaged")
    try:
        rows = list(open_results(path).rows())
    except ReadError:
        return
    assert len({(row.problem, row.sample_index) for row in rows}) == len(rows) > 0


def test_an_unknown_format_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownFormat, match="no format 'parquet'; there are cruxeval, livecodebench, evalplus, human-eval"
    ):
        open_results(written(tmp_path, "x"), "parquet")


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(SHAPES["human-eval"]().encode()),))
    writer.start()
    results = open_results(pipe)
    writer.join()
    assert results.format == "human-eval"
    assert len(list(results.rows())) == 12


def test_standard_input_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(SHAPES["csv"]().encode())))
    results = open_results("-")
    assert results.name == "standard input"
    assert len(list(results.rows())) == 12
    assert len(list(tmp_path.iterdir())) == 1
    del results
    assert list(tmp_path.iterdir()) == []


# real files, where they are


def test_real_files_are_recognised() -> None:
    assert open_results(shared("cruxeval", "sample_scored_codellama-7b_temp0.2_output.json")).format == "cruxeval"
    assert open_results(shared("code_cushman", "azure.jsonl_results.jsonl")).format == "human-eval"
    assert open_results(shared("code_cushman", "results-code-cushman-001-10.jsonl")).format == "human-eval-samples"


def test_real_files_that_are_not_read_yet_are_refused_in_a_sentence() -> None:
    for path in [*sorted(shared("inspect_logs").iterdir()), shared("human_eval", "HumanEval.jsonl.gz")]:
        with pytest.raises(ReadError):
            list(open_results(path).rows())
