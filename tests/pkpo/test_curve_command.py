import csv
from pathlib import Path
from typing import Any

import pytest

from pkpo.cli import main
from tests.pkpo.commands import complaint, curves, table, values
from tests.pkpo.results_files import (
    PASS_AT,
    cruxeval,
    csv_table,
    human_eval,
    human_eval_samples,
    jsonl,
    rows,
    shared,
    written,
)

JUDGED: dict[str, list[bool | None]] = {
    "fizz": [True, False, False, False],
    "buzz": [True, True, None, False],
    "bazz": [None, None, True, True],
}
REWARDS = [{"problem": "fizz", "reward": reward} for reward in (0.5, -1.0, 2.0)] + [
    {"problem": "buzz", "reward": reward} for reward in (1, 1, 4)
]


@pytest.mark.parametrize("text", [cruxeval(), human_eval(), jsonl(rows()), csv_table(rows())])
def test_every_format_gives_the_same_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    [curve] = curves(capsys, written(tmp_path, text))
    assert values(curve) == pytest.approx(PASS_AT, abs=1e-15)
    assert (curve["problems_used"], curve["problems_total"], curve["n_min"], curve["n_max"]) == (3, 3, 4, 4)


def test_json_is_the_servers_curve_with_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, jsonl(rows()), gzipped=True)
    [curve] = curves(capsys, path, "--k", "2", "--level", "0.9")
    [point] = curve.pop("points")
    assert set(point) == {"k", "value", "standard_error", "low", "high"}
    assert curve == {
        "file": str(path),
        "format": "jsonl",
        "verifier": None,
        "metric": "pass_at_k",
        "estimator": "1 - C(n-c, k) / C(n, k)",
        "interval": {"method": "t", "level": 0.9},
        "problems_used": 3,
        "problems_total": 3,
        "n_min": 4,
        "n_max": 4,
        "missing": "error",
        "completions_missing": 0,
        "unbiased": None,
    }


def test_one_problem_has_null_and_not_zero_for_its_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, jsonl(rows({"fizz": [True, False]})))
    [curve] = curves(capsys, path, "--k", "1")
    assert curve["points"] == [{"k": 1, "value": 0.5, "standard_error": None, "low": None, "high": None}]
    assert main(["curve", str(path), "--csv", "--k", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("1,0.5,,,,pass_at_k,")
    assert "one problem says nothing about others: no standard error and no interval" in table(capsys, path)


def test_csv_is_one_table_for_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [written(tmp_path, jsonl(rows()), name) for name in ("one.jsonl", "two, and a comma.jsonl")]
    assert main(["curve", "--csv", *map(str, paths)]) == 0
    lines = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(line["file"], int(line["k"])) for line in lines] == [(str(path), k) for path in paths for k in PASS_AT]
    assert [float(line["value"]) for line in lines] == pytest.approx([*PASS_AT.values()] * 2, abs=1e-15)
    [curve] = curves(capsys, paths[0], "--k", "4")
    point = curve["points"][0]
    assert {name: float(lines[2][name]) for name in point} == point


def test_several_files_are_a_json_object_a_line_and_a_table_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [written(tmp_path, human_eval(), "a"), written(tmp_path, cruxeval(), "b")]
    assert [curve["format"] for curve in curves(capsys, *paths)] == ["human-eval", "cruxeval"]
    printed = table(capsys, *paths)
    assert printed.index("human-eval results: 3 problems, n = 4; 12 completions, 41.7 % passed") < printed.index(
        "CRUXEval scored generations: 3 problems, n = 4; 12 completions, 41.7 % passed"
    )


def test_the_table_shows_value_error_interval_and_where_they_lie(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = table(capsys, written(tmp_path, jsonl(rows()))).splitlines()
    header, first = (line.split() for line in lines[3:5])
    assert header == ["k", "pass@k", "s.e.", "95", "%", "interval", "0", "1"]
    assert first[:3] == ["1", "0.4167", "0.3005"]
    assert first[3:5] == ["[0.0000,", "1.0000]"]
    assert first[5] == "├" + 11 * "─" + "●" + 17 * "─" + "┤"


def test_the_level_is_said_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, jsonl(rows()))
    for level, said in (("0.9", " 90 % interval"), ("0.95", " 95 % interval"), ("0.9999999", " 99.99999 % interval")):
        assert said in table(capsys, path, "--level", level)


def test_an_interval_that_float64_cannot_hold_has_no_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, jsonl([{"problem": sign, "reward": float(f"{sign}1.7e308")} for sign in "+-"]))
    [curve] = curves(capsys, path)
    assert curve["points"] == [
        {"k": 1, "value": 0.0, "standard_error": pytest.approx(1.7e308), "low": None, "high": None}
    ]
    assert "[-inf, inf]" in table(capsys, path)
    assert "interval: Student t, 1 degree of freedom," in table(capsys, path)


@pytest.mark.parametrize(
    "arguments",
    ["FILE --k 4 1 2 1", "FILE --k 1,2 4", "FILE --k=4,2,1", "--k 1,2,4 FILE", "--k 4 1 2 FILE", "--k 1 FILE --k 2,4"],
)
def test_k_is_a_list_in_every_way_it_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str
) -> None:
    path = str(written(tmp_path, jsonl(rows())))
    [curve] = curves(capsys, *(path if word == "FILE" else word for word in arguments.split()))
    assert list(values(curve)) == [1, 2, 4]


def test_other_metrics_of_the_same_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, jsonl(rows()))
    assert values(curves(capsys, path, "--metric", "fail_at_k", "--k", "2")[0]) == {2: pytest.approx(1 / 2)}
    assert values(curves(capsys, path, "--metric", "pass_hat_k", "--k", "2")[0]) == {2: pytest.approx(1 / 3)}
    # passed alone is reward 1 or 0
    assert values(curves(capsys, path, "--metric", "max_at_k")[0]) == pytest.approx(PASS_AT)


def test_rewards_alone_give_the_expected_best_of_k(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, jsonl(REWARDS))
    [curve] = curves(capsys, path, "--k", "1,2,3")
    assert curve["metric"] == "max_at_k"
    # fizz: 0.5, (0.5 + 2 + 2) / 3, 2; buzz: 2, (1 + 4 + 4) / 3, 4
    assert values(curve) == pytest.approx({1: 1.25, 2: 2.25, 3: 3.0})
    assert "the expected best of k, not pass@k" in table(capsys, path)


def test_rewards_of_any_size_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for reward, said in ((1.5e-7, "1.5e-07"), (-2e9, "-2e+09"), (0.123456, "0.123456")):
        path = written(tmp_path, jsonl([{"problem": "fizz", "reward": reward}]))
        assert table(capsys, path).splitlines()[4].split() == ["1", said]


def test_rewards_are_never_thresholded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = complaint(capsys, "curve", written(tmp_path, jsonl(REWARDS)), "--metric", "pass_at_k")
    assert "pass_at_k needs passed, and it has rewards only" in message


# ragged files and missing verdicts


def test_a_ragged_file_names_the_problem_that_ends_the_curve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, jsonl(rows({"fizz": [True, False], "buzz": [True] * 3, "bazz": [False] * 2})))
    [curve] = curves(capsys, path)
    assert (list(values(curve)), curve["n_min"], curve["n_max"]) == ([1, 2], 2, 3)
    printed = table(capsys, path)
    assert "n = 2..3" in printed
    assert 'k ends at 2: problem "fizz" and 1 more have no more completions' in printed
    assert "n differs between problems: unbiased only where no outcome decided which of them got more" in printed
    message = complaint(capsys, "curve", path, "--k", "3")
    assert 'k=3 needs 3 completions of every problem, and problem "fizz" has 2' in message


def test_missing_verdicts_are_an_error_with_counts_and_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = complaint(capsys, "curve", written(tmp_path, jsonl(rows(JUDGED))))
    assert '3 of 12 completions have no verdict, in 2 of 3 problems, "buzz" first' in message
    assert "--missing drop" in message
    assert "--missing fail" in message


def test_drop_takes_a_problem_from_the_whole_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, jsonl(rows(JUDGED)))
    [curve] = curves(capsys, path, "--missing", "drop", "--k", "1,3")
    # fizz 1 of 4, buzz 2 of 3; bazz has two judged completions, so it leaves at k = 1 too
    assert values(curve) == pytest.approx({1: (1 / 4 + 2 / 3) / 2, 3: (3 / 4 + 1) / 2})
    assert (curve["problems_used"], curve["problems_total"], curve["n_min"], curve["n_max"]) == (2, 3, 3, 4)
    assert (curve["completions_missing"], curve["unbiased"]) == (3, False)
    [curve] = curves(capsys, path, "--missing", "drop", "--k", "1")
    assert values(curve) == pytest.approx({1: (1 / 4 + 2 / 3 + 1) / 3})
    printed = table(capsys, path, "--missing", "drop", "--k", "4")
    assert "1 problem of 3, n = 4" in printed
    assert "3 completions without a verdict, left out" in printed
    assert 'left out for missing verdicts: 2 problems ("buzz", "bazz")' in printed
    assert "no problem has 5 judged completions; the most that one has is 4" in complaint(
        capsys, "curve", path, "--missing", "drop", "--k", "5"
    )


def test_drop_without_k_keeps_each_problem_that_has_a_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, jsonl(rows({**JUDGED, "none": [None] * 4})))
    [curve] = curves(capsys, path, "--missing", "drop")
    # fizz 1 of 4, buzz 2 of 3, bazz 2 of 2, as the server has it: the curve ends at the smallest n
    assert values(curve) == pytest.approx({1: (1 / 4 + 2 / 3 + 1) / 3, 2: (1 / 2 + 1 + 1) / 3})
    assert (curve["problems_used"], curve["problems_total"], curve["n_min"], curve["n_max"]) == (3, 4, 2, 4)
    printed = table(capsys, path, "--missing", "drop")
    assert 'k ends at 2: problem "bazz" has no more judged completions' in printed
    assert 'left out for missing verdicts: 1 problem ("none")' in printed


def test_fail_takes_missing_completions_as_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, jsonl(rows(JUDGED)))
    [curve] = curves(capsys, path, "--missing", "fail", "--k", "1")
    assert values(curve) == pytest.approx({1: (1 / 4 + 2 / 4 + 2 / 4) / 3})
    assert (curve["n_min"], curve["n_max"], curve["unbiased"]) == (4, 4, False)
    assert "3 completions without a verdict, taken as failed" in table(capsys, path, "--missing", "fail")


def test_a_missing_reward_fails_with_the_reward_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records: list[dict[str, Any]] = [*REWARDS, {"problem": "fizz", "reward": None}, {"problem": "buzz", "reward": 0}]
    path = written(tmp_path, jsonl(records))
    [curve] = curves(capsys, path, "--missing", "fail", "--fail-reward", "-2", "--k", "1")
    assert values(curve) == pytest.approx({1: ((1.5 - 2) / 4 + 6 / 4) / 2})
    assert "needs --fail-reward" in complaint(capsys, "curve", path, "--missing", "fail")
    assert "is for --missing fail" in complaint(capsys, "curve", path, "--fail-reward", "0", status=2)


def test_completions_nobody_judged_have_no_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unjudged = [{"problem": "fizz", "passed": False, "status": "infrastructure_error"}]
    for text in (human_eval_samples(), jsonl(unjudged)):
        for missing in ("error", "drop", "fail"):
            assert "no verdicts in it, so there is no curve; `pkpo import` it" in complaint(
                capsys, "curve", written(tmp_path, text), "--missing", missing
            )


# real files, where they are


def test_the_published_numbers_of_cruxeval(capsys: pytest.CaptureFixture[str]) -> None:
    path = shared("cruxeval", "sample_scored_codellama-7b_temp0.2_output.json")
    [curve] = curves(capsys, path, "--k", "1,2,5,10")
    exact = {1: 0.342125, 2: 0.3711388888888889, 5: 0.40286706349206347, 10: 0.41875}
    assert values(curve) == pytest.approx(exact, abs=1e-12)
    assert (curve["problems_used"], curve["n_min"], curve["n_max"]) == (800, 10, 10)


def test_the_published_number_of_gpt_3_5_on_human_eval(capsys: pytest.CaptureFixture[str]) -> None:
    [curve] = curves(capsys, shared("code_cushman", "azure.jsonl_results.jsonl"))
    assert values(curve) == {1: pytest.approx(122 / 164, abs=1e-12)}
