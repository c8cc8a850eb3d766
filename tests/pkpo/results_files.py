"""Results files in the shapes of the tools that write them, made by the tests."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pkpo.readers import CompletionRow, ReadError, open_results

# Real files, beside the checkout where somebody has put them. They are not part of the project.
SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

DEEP = "[" * 100_000  # nested beyond what a parser follows

# Three problems, four completions each: never, once, always solved. pass@1 = 5/12, pass@2 = 1/2, pass@4 = 2/3.
VERDICTS = {
    "HumanEval/0": [False, False, False, False],
    "HumanEval/1": [False, True, False, False],
    "HumanEval/2": [True, True, True, True],
}
PASS_AT = {1: 5 / 12, 2: 1 / 2, 4: 2 / 3}


def shared(*parts: str) -> Path:
    """A real file; the test is skipped, and says so, where it is not there."""
    path = SHARED_DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"REAL DATA NOT TESTED: {path} is absent")
    return path


def rows(verdicts: Mapping[str, Iterable[bool | None]] = VERDICTS) -> list[dict[str, object]]:
    """A record for each completion: problem, sample_index, passed, text."""
    return [
        {"problem": problem, "sample_index": index, "passed": passed, "text": f"    return {index}\n"}
        for problem, verdict in verdicts.items()
        for index, passed in enumerate(verdict)
    ]


def jsonl(records: Iterable[Mapping[str, Any]]) -> str:
    """JSON Lines of these records."""
    return "".join(json.dumps(record) + "\n" for record in records)


def human_eval(verdicts: Mapping[str, Iterable[bool]] = VERDICTS) -> str:
    """What human-eval writes beside its samples; every second failure is a timeout."""
    return jsonl(
        {
            "task_id": row["problem"],
            "completion": row["text"],
            "result": "passed" if row["passed"] else ("failed: ", "timed out")[int(str(row["sample_index"])) % 2],
            "passed": row["passed"],
        }
        for row in rows(verdicts)
    )


def human_eval_samples(verdicts: Mapping[str, Iterable[bool]] = VERDICTS) -> str:
    """What human-eval takes: nobody has judged it."""
    return jsonl({"task_id": row["problem"], "completion": row["text"]} for row in rows(verdicts))


def cruxeval(verdicts: Mapping[str, Iterable[bool | None]] = VERDICTS) -> str:
    """CRUXEval's scored generations; the texts come in another order than the verdicts, as they do there."""
    texts = {problem: [f"'{index}'" for index, _ in enumerate(verdict)] for problem, verdict in verdicts.items()}
    return json.dumps(
        {
            "raw_generations": dict(reversed(texts.items())),
            "raw_scored_generations": {problem: list(verdict) for problem, verdict in verdicts.items()},
            "pass_at_1": 41.6,
            "pass_at_5": None,
        }
    )


def livecodebench(verdicts: Mapping[str, Iterable[bool | None]] = VERDICTS, **more: object) -> str:
    """LiveCodeBench's `eval_all`, every second failure out of time; `more` changes fields of every problem."""
    return json.dumps([_livecodebench(problem, list(passed)) | more for problem, passed in verdicts.items()], indent=4)


def _livecodebench(problem: str, passed: list[bool | None]) -> dict[str, object]:
    codes = [f"print({index})" for index, _ in enumerate(passed)]
    notes = [
        {"execution time": 0.02} if verdict else {"error_code": -2 - index % 2} for index, verdict in enumerate(passed)
    ]
    return {
        "question_title": "A. Short Sort",
        "question_content": "Sort.\n" * 9,
        "question_id": problem,
        "output_list": [f"```python\n{code}\n```" for code in codes],
        "code_list": codes,
        "graded_list": passed,
        "pass@1": sum(map(bool, passed)) / max(1, len(passed)),
        "metadata": [json.dumps(note) for note in notes],
    }


def evalplus(verdicts: Mapping[str, Iterable[bool | None]] = VERDICTS, plus: str | None = "pass") -> str:
    """EvalPlus's results, every second failure a timeout, with the same status `plus` under the extra tests for all."""
    evaluated: dict[str, list[dict[str, object]]] = {
        problem: [
            {
                "task_id": problem,
                "solution": f"    return {index}\n",
                "base_status": "pass" if passed else ("fail", "timeout")[index % 2],
                "plus_status": plus,
                "base_fail_tests": [],
                "plus_fail_tests": [],
            }
            for index, passed in enumerate(verdict)
        ]
        for problem, verdict in verdicts.items()
    }
    return json.dumps({"date": "2024-02-20 16:09", "hash": "84f4b93a", "eval": evaluated})


def wide(verdicts: Mapping[str, Iterable[bool | None]] = VERDICTS) -> str:
    """A line for each problem, with its verdicts in a list."""
    return jsonl({"problem": problem, "passed": list(passed)} for problem, passed in verdicts.items())


def counts(verdicts: Mapping[str, Iterable[bool]] = VERDICTS) -> str:
    """A line for each problem, with the number of its completions and of those that passed."""
    listed = {problem: list(passed) for problem, passed in verdicts.items()}
    return jsonl({"problem": problem, "n": len(passed), "c": sum(passed)} for problem, passed in listed.items())


def csv_table(records: Iterable[Mapping[str, Any]]) -> str:
    """CSV with a header; None is an empty cell."""
    records = list(records)
    text = io.StringIO()
    table = csv.DictWriter(text, records[0].keys())
    table.writeheader()
    table.writerows(records)
    return text.getvalue()


def written(folder: Path, text: str | bytes, name: str = "results", *, gzipped: bool = False) -> Path:
    """A file with this text, whose name says nothing about what is in it."""
    content = text.encode() if isinstance(text, str) else text
    path = folder / name
    path.write_bytes(gzip.compress(content) if gzipped else content)
    return path


def read(folder: Path, text: str | bytes, format: str | None = None) -> list[CompletionRow]:
    """The completions in a file with this text."""
    return list(open_results(written(folder, text), format).rows())


def refusal(folder: Path, text: str | bytes, format: str | None = None) -> str:
    """What is wrong with a file of this text, without its path."""
    path = written(folder, text)
    with pytest.raises(ReadError) as error:
        list(open_results(path, format).rows())
    return str(error.value).removeprefix(str(path)).removeprefix(": ")
