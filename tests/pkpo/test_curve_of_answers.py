"""`pkpo curve --metric` for G-Pass@k, mG-Pass@k and the metrics of answers."""

from pathlib import Path
from typing import Any, get_args

import pytest

from pkpo import distinct_at_k, g_pass_at_k, maj_at_k, mg_pass_at_k
from pkpo.answers import AnswerMetric
from pkpo.commands.curve import ANSWER_METRICS, SHARE_METRICS
from pkpo.commands.curve import TIES as COMMAND_TIES
from pkpo.curves import ShareMetric
from pkpo.majority import TIES
from tests.pkpo.commands import complaint, curves, table, values
from tests.pkpo.results_files import csv_table, jsonl, rows, written

TRUE = {"fizz": "7", "buzz": "1"}
ANSWERS: dict[str, list[str | None]] = {"fizz": ["7", "7", "5", "5"], "buzz": ["1", "2", None, "3"]}


def voted() -> list[dict[str, Any]]:
    return [
        {"problem": problem, "passed": answer == TRUE[problem], "answer": answer}
        for problem, given in ANSWERS.items()
        for answer in given
    ]


def estimate(of: Any, problem: str, *arguments: Any) -> float:
    given = ANSWERS[problem]
    return float(of(given, [answer == TRUE[problem] for answer in given], *arguments))


def mean_maj(k: int, ties: str = "share") -> float:
    return (estimate(maj_at_k, "fizz", k, ties) + estimate(maj_at_k, "buzz", k, ties)) / 2


def test_the_metrics_on_offer_are_those_of_the_library() -> None:
    assert get_args(ShareMetric) == SHARE_METRICS
    assert get_args(AnswerMetric) == ANSWER_METRICS
    assert TIES == COMMAND_TIES


@pytest.mark.parametrize("write", [jsonl, csv_table])
def test_maj_at_k_of_a_files_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str], write: Any) -> None:
    path = written(tmp_path, write(voted()))
    [curve] = curves(capsys, path, "--metric", "maj_at_k")
    assert curve["metric"] == "maj_at_k"
    assert values(curve) == pytest.approx({k: mean_maj(k) for k in (1, 2, 4)}, abs=1e-15)
    for ties in TIES:
        [curve] = curves(capsys, path, "--metric", "maj_at_k", "--ties", ties, "--k", "2,4")
        assert values(curve) == pytest.approx({k: mean_maj(k, ties) for k in (2, 4)}, abs=1e-15)


def test_the_field_of_the_answers_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [{"problem": row["problem"], "passed": row["passed"], "final": row["answer"]} for row in voted()]
    path = written(tmp_path, jsonl(records))
    [curve] = curves(capsys, path, "--metric", "maj_at_k", "--answer", "final", "--k", "2")
    assert values(curve) == pytest.approx({2: mean_maj(2)})
    said = complaint(capsys, "curve", path, "--metric", "maj_at_k")
    assert said.endswith("maj_at_k needs answers, and no completion in it has one; --answer names their field")


def test_distinct_answers_need_no_verdict_but_one_of_any_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = {k: (distinct_at_k(ANSWERS["fizz"], k) + distinct_at_k(ANSWERS["buzz"], k)) / 2 for k in (1, 3)}
    rewarded = [{"problem": row["problem"], "reward": 0.5, "answer": row["answer"]} for row in voted()]
    for number, records in enumerate((voted(), rewarded)):
        (tmp_path / str(number)).mkdir()
        path = written(tmp_path / str(number), jsonl(records))
        [curve] = curves(capsys, path, "--metric", "distinct_at_k", "--k", "1,3")
        assert values(curve) == pytest.approx(expected)
    assert "├" not in table(capsys, path, "--metric", "distinct_at_k")  # no line from 0 to 1 for a number of answers


def test_completions_without_a_verdict_do_not_vote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [*voted(), {"problem": "fizz", "passed": None, "answer": "7"}, {"problem": "buzz", "passed": None}]
    path = written(tmp_path, jsonl(records))
    assert "2 of 10 completions have no verdict" in complaint(capsys, "curve", path, "--metric", "maj_at_k")
    [dropped] = curves(capsys, path, "--metric", "maj_at_k", "--k", "4", "--missing", "drop")
    assert values(dropped) == pytest.approx({4: mean_maj(4)})
    [failed] = curves(capsys, path, "--metric", "maj_at_k", "--k", "1", "--missing", "fail")
    assert values(failed) == pytest.approx({1: (2 / 5 + 1 / 5) / 2})


def test_an_answer_that_passed_and_failed_is_refused_with_its_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [*voted(), {"problem": "buzz", "passed": True, "answer": "3"}]
    said = complaint(capsys, "curve", written(tmp_path, jsonl(records)), "--metric", "maj_at_k")
    assert said.endswith('in problem "buzz" the answer "3" both passed and failed')
    records = [*voted(), {"problem": "buzz", "passed": True, "answer": None}]
    said = complaint(capsys, "curve", written(tmp_path, jsonl(records)), "--metric", "maj_at_k")
    assert said.endswith('in problem "buzz" no answer passed')


def test_g_pass_at_k_and_mg_pass_at_k_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, jsonl(rows()))
    c = [0, 1, 4]
    [curve] = curves(capsys, path, "--metric", "g_pass_at_k", "--tau", "0.75", "--k", "4")
    assert values(curve) == pytest.approx({4: g_pass_at_k(4, c, 4, 0.75).mean()})
    assert "tau = 0.75" in curve["estimator"]
    assert "tau = 0.75" in table(capsys, path, "--metric", "g_pass_at_k", "--tau", "0.75")
    [curve] = curves(capsys, path, "--metric", "mg_pass_at_k")
    assert values(curve) == pytest.approx({k: mg_pass_at_k(4, c, k).mean() for k in (2, 4)})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--metric", "g_pass_at_k"], "--tau and --metric g_pass_at_k need each other"),
        (["--tau", "0.5"], "--tau and --metric g_pass_at_k need each other"),
        (["--ties", "wrong"], "--ties is for --metric maj_at_k"),
    ],
)
def test_options_of_another_metric_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert complaint(capsys, "curve", written(tmp_path, jsonl(rows())), *options, status=2) == said


def test_a_tau_that_is_no_share_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--metric", "g_pass_at_k", "--tau", "1.5"]
    said = complaint(capsys, "curve", written(tmp_path, jsonl(rows())), *options, status=2)
    assert "'1.5' is not from 0 to 1, as 0.5 is" in said
