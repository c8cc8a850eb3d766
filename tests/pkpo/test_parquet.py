"""Parquet files: the rows of generic JSON Lines, in columns."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pkpo.readers import ReadError, open_results
from tests.pkpo.results_files import PASS_AT, VERDICTS, jsonl, rows


def written(path: Path, records: list[dict[str, Any]], **how: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(records), path, **how)
    return path


def test_rows_are_those_of_the_json_lines(tmp_path: Path) -> None:
    records = [row | {"reward": 0.5 * i, "answer": None, "status": None} for i, row in enumerate(rows())]
    found = open_results(written(tmp_path / "results.parquet", records))
    (tmp_path / "results.jsonl").write_text(jsonl(records))
    assert list(found.rows()) == list(open_results(tmp_path / "results.jsonl").rows())
    assert found.description == "Parquet, read as JSON Lines, one completion a line"


def test_one_problem_a_row_with_its_verdicts_in_a_list(tmp_path: Path) -> None:
    wide = [{"problem": problem, "passed": passed} for problem, passed in VERDICTS.items()]
    found = open_results(written(tmp_path / "wide", wide))
    assert found.format == "wide"
    assert [row.passed for row in found.rows()] == [each for passed in VERDICTS.values() for each in passed]


def test_counts(tmp_path: Path) -> None:
    counts = [{"problem": problem, "n": len(passed), "c": sum(passed)} for problem, passed in VERDICTS.items()]
    found = open_results(written(tmp_path / "counts", counts))
    assert found.format == "counts"
    problems = found.verdicts().problems
    assert {name: (each.judged, each.passed) for name, each in problems.items()} == {
        name: (len(passed), sum(passed)) for name, passed in VERDICTS.items()
    }


def test_fields_may_lie_in_structs(tmp_path: Path) -> None:
    nested = [{"item": {"id": row["problem"]}, "score": {"exact": row["passed"]}} for row in rows()]
    named = {"problem": "item.id", "passed": "score.exact"}
    found = open_results(written(tmp_path / "nested", nested), named=named)
    assert [row.passed for row in found.rows()] == [row["passed"] for row in rows()]


def test_columns_that_json_has_no_form_for_stand_beside(tmp_path: Path) -> None:
    table = pa.table(
        {
            "problem": [b"p", b"q"],
            "passed": [True, False],
            "at": pa.array([0, 1], pa.timestamp("us")),
            "image": [b"\xff\xd8", None],
        }
    )
    pq.write_table(table, tmp_path / "rows")
    assert [(row.problem, row.passed) for row in open_results(tmp_path / "rows").rows()] == [("p", True), ("q", False)]


@pytest.mark.parametrize(
    ("records", "sentence"),
    [
        ([{"problem": "p", "reward": 1.0}, {"problem": "p", "reward": float("nan")}], "rows:2: reward must be"),
        ([{"problem": "p", "passed": 1}], "rows:1: passed must be true, false or null, got 1"),
        ([{"name": "p", "passed": True}], "it needs one of the fields problem"),
        ([{"problem": "p", "sample_index": 0, "passed": True}] * 2, 'rows:2: problem "p" has sample_index 0 twice'),
    ],
)
def test_an_unsound_row_is_named(tmp_path: Path, records: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(ReadError) as refusal:
        list(open_results(written(tmp_path / "rows", records)).rows())
    assert sentence in str(refusal.value)


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.Table.from_arrays(
        [pa.array(["p"]), pa.array([True]), pa.array([False])], ["problem", "passed", "passed"]
    )
    pq.write_table(table, tmp_path / "rows")
    with pytest.raises(ReadError, match="two columns of the Parquet file have the same name"):
        open_results(tmp_path / "rows")


@pytest.mark.parametrize("end", [4, 40, -9, -1])
def test_a_file_that_is_cut_off(tmp_path: Path, end: int) -> None:
    path = written(tmp_path / "rows", rows())
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(ReadError, match="a Parquet file that cannot be read"):
        open_results(path)


def test_the_command_takes_it_from_standard_input(tmp_path: Path) -> None:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows()), file)
    command = [sys.executable, "-m", "pkpo", "curve", "-", "--json"]
    done = subprocess.run(command, input=file.getvalue(), capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    points = json.loads(done.stdout)["points"]
    assert {point["k"]: point["value"] for point in points} == pytest.approx(PASS_AT)


def test_memory_is_for_some_rows_at_a_time(tmp_path: Path) -> None:
    """200 MB of text in one row group, in a process that may have no more than half of that beyond its libraries."""
    path = tmp_path / "large"
    schema = pa.schema([("problem", pa.string()), ("passed", pa.bool_()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
        texts = [f"{i:x}" * 1000 for i in range(1000)]
        batches = [pa.table([[f"p{i}"] * 1000, [True] * 1000, texts], schema=schema) for i in range(70)]
        writer.write_table(pa.concat_tables(batches), row_group_size=70_000)
    program = (
        "import sys, pyarrow.parquet\n"
        "from pathlib import Path\n"
        "from pkpo.readers import open_results\n"
        # Of getrusage's peak a part may be that of whoever started this process.
        "peak = lambda: int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
        "before = peak()\n"
        "assert sum(1 for _ in open_results(sys.argv[1]).rows()) == 70_000\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100_000  # kilobytes


def test_without_pyarrow_the_extra_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "rows", rows())
    program = "import sys; sys.modules['pyarrow'] = None; from pkpo.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "curve", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "which takes pyarrow to read: install pkpo with its extra `parquet`" in done.stderr
