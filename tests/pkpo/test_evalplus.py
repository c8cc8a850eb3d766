import json
from pathlib import Path
from typing import Any

import pytest

from pkpo.readers import CompletionRow, open_results
from tests.pkpo.commands import complaint, curves, table, values
from tests.pkpo.results_files import DEEP, evalplus, jsonl, read, refusal, rows, shared, written

# Under the original tests two of three pass, under all of them one: who fails the original ones has not passed.
STATUSES = [("pass", "pass"), ("pass", "timeout"), ("fail", "pass")]
LEGACY = {"pass": "success", "fail": "failed", "timeout": "timed out"}


def current(statuses: list[tuple[Any, Any]]) -> str:
    completions = [{"solution": f"return {i}", "base_status": b, "plus_status": p} for i, (b, p) in enumerate(statuses)]
    return json.dumps({"date": "2024-02-20 16:09", "hash": "84f4", "eval": {"HumanEval/6": completions}}, indent=1)


def legacy(statuses: list[tuple[str, str]], *, base_only: bool = False) -> str:
    base, plus = ([[LEGACY[status], [True, False]] for status in column] for column in zip(*statuses, strict=True))
    results = {"nfiles": len(statuses), "base": base, "plus": [] if base_only else plus}
    return json.dumps({"date": "2023-05-09 12:00", "hash": "84f4", "eval": {"HumanEval/6": results}})


@pytest.mark.parametrize("text", [current(STATUSES), legacy(STATUSES)])
def test_each_verifier_has_its_verdicts(tmp_path: Path, text: str) -> None:
    results = open_results(written(tmp_path, text))
    base, plus = results.by_verifier()
    assert (base.verifier, plus.verifier) == ("base", "plus")
    assert [row.status for row in base.rows()] == ["passed", "passed", "failed"]
    assert [row.status for row in plus.rows()] == ["passed", "timeout", "failed"]
    assert [row.passed for row in plus.rows()] == [True, False, False]
    assert plus.description == "EvalPlus results, verifier plus"
    assert list(results.rows()) == list(results.of("base").rows())


def test_texts_stand_in_the_current_form_only(tmp_path: Path) -> None:
    assert read(tmp_path, current(STATUSES))[2] == CompletionRow("HumanEval/6", 2, "return 2", False, None, "failed")
    assert read(tmp_path, legacy(STATUSES))[2] == CompletionRow("HumanEval/6", 2, None, False, None, "failed")


@pytest.mark.parametrize("text", [current([("pass", None)]), legacy([("pass", "pass")], base_only=True)])
def test_a_file_of_the_original_tests_only_has_one_verifier(tmp_path: Path, text: str) -> None:
    assert [file.verifier for file in open_results(written(tmp_path, text)).by_verifier()] == ["base"]


def test_a_file_that_nothing_has_judged_is_still_its_completions(tmp_path: Path) -> None:
    (file,) = open_results(written(tmp_path, current([(None, None)]))).by_verifier()
    assert [row.passed for row in file.rows()] == [None]


def test_a_status_that_is_not_there_is_a_missing_verdict(tmp_path: Path) -> None:
    _, plus = open_results(written(tmp_path, current([("pass", "pass"), ("fail", None)]))).by_verifier()
    assert [row.passed for row in plus.rows()] == [True, None]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (current([("pass", "passed it")]), '"HumanEval/6", completion 0: a status must be pass, fail or timeout'),
        (current([(["pass"], "pass")]), 'got ["pass"]'),
        (current([]).replace("[]", '[{"solution": 7, "base_status": "pass"}]'), "solution must be a string, got 7"),
        (current([]).replace("[]", '[{"solution": "x"}]'), "must have a list of objects with base_status"),
        (current([("pass", "pass")]).replace("]", '], "HumanEval/7": []'), 'problem "HumanEval/7" has no completions'),
        (legacy(STATUSES).replace('"plus": [', '"plus": [["success", null], '), "3 results in base and 4 in plus"),
        (legacy(STATUSES).replace('"base": [', '"base": [7, '), "must have lists of [status, details]"),
        (legacy(STATUSES)[:-1], "not JSON"),
        ('{"eval": {"a": [{"solution": "x"}], "b": DEEP', "nested too deeply"),
        ('{"eval": {"a": [{"solution": "x"}], "a": []}}', '"a" stands twice in one object'),
    ],
)  # fmt: skip
def test_unsound_results_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in refusal(tmp_path, text.replace("DEEP", DEEP))


def test_a_document_without_eval_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "[]", "evalplus") == "eval must be an object with the completions of each problem"


def test_a_curve_for_each_verifier_or_for_the_one_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, current(STATUSES))
    printed = curves(capsys, path, "--k", "1")
    assert [(each["verifier"], values(each)) for each in printed] == [("base", {1: 2 / 3}), ("plus", {1: 1 / 3})]
    assert [each["verifier"] for each in curves(capsys, path, "--verifier", "plus")] == ["plus"]
    assert "EvalPlus results, verifier base: 1 problem, n = 3" in table(capsys, path)


def test_a_verifier_that_the_file_does_not_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    several, one = written(tmp_path, evalplus(), "several"), written(tmp_path, jsonl(rows()), "one")
    said = complaint(capsys, "curve", several, "--verifier", "extra", status=2)
    assert said == f"{several}: no verifier 'extra' in it; there are base, plus"
    said = complaint(capsys, "curve", one, "--verifier", "base", status=2)
    assert said == f"{one}: no verifier 'base' in it; it names none"


def test_real_results_have_the_counts_of_both_verifiers(capsys: pytest.CaptureFixture[str]) -> None:
    base, plus = curves(capsys, shared("evalplus", "rd_gene_1_1samples_eval_results.json"))
    assert (base["format"], base["problems_used"], base["verifier"], plus["verifier"]) == (
        "evalplus",
        164,
        "base",
        "plus",
    )
    assert values(base) == {1: pytest.approx(98 / 164, abs=1e-15)}
    assert values(plus) == {1: pytest.approx(89 / 164, abs=1e-15)}
