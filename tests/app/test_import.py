"""`pkpo import`: files to a server, once however often it is repeated."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.imports.numbering import LARGEST_ROW
from app.middleware import BODY_LIMIT

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared/data"
CRUXEVAL = SHARED / "cruxeval/sample_scored_codellama-7b_temp0.2_output.json"
O1_MINI = SHARED / "lcb_submissions/O1-Mini-2024-09-12__N_1__Scenario.codegeneration_1_0.2_eval_all.json.gz"
GSM8K = SHARED / "gsm8k/example_model_solutions.jsonl.gz"

Import = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_import(base_url: str) -> Import:
    """`pkpo import` as a user runs it, against the test's own server."""

    def run(*arguments: str | Path, url: str = base_url) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pkpo", "import", "--url", url, *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    return run


def results(path: Path, passed: dict[str, list[bool | None]], **more: Any) -> Path:
    rows = [
        {"problem": problem, "passed": verdict, "text": f"{path.stem} {problem} {i}", **more}
        for problem, verdicts in passed.items()
        for i, verdict in enumerate(verdicts)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def imported(done: subprocess.CompletedProcess[str]) -> str:
    """The id of the evaluation that an import ended at."""
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].rsplit("/", 1)[1]


def curve(client: httpx.Client, evaluation: str, **query: Any) -> dict[int, float]:
    answer = client.get(f"/v1/evaluations/{evaluation}/curve", params=query)
    assert answer.status_code == 200, answer.text
    return {point["k"]: point["value"] for point in answer.json()["points"]}


@pytest.mark.skipif(not CRUXEVAL.exists(), reason="../shared/data is not here, so CRUXEval's real results are not read")
def test_cruxeval_arrives_to_the_last_bits(run_import: Import, client: httpx.Client) -> None:
    done = run_import(CRUXEVAL, "--run", "codellama-7b")
    values = curve(client, imported(done), k=[1, 2, 5, 10])
    expected = {1: 0.342125, 2: 0.3711388888888889, 5: 0.40286706349206347, 10: 0.41875}
    assert values == pytest.approx(expected, abs=1e-12)
    assert "8,000 completions: 8,000 new, 0 there already" in done.stdout
    assert "pass@1 0.3421 [0.3111, 0.3731]" in done.stdout


@pytest.mark.skipif(not O1_MINI.exists(), reason=f"REAL DATA NOT TESTED: {O1_MINI} is absent")
def test_livecodebench_arrives_with_its_problem_set(run_import: Import, client: httpx.Client) -> None:
    done = run_import(O1_MINI, "--run", "o1-mini")
    evaluation = imported(done)
    assert curve(client, evaluation) == {1: pytest.approx(602 / 880, abs=1e-12)}
    assert client.get(f"/v1/evaluations/{evaluation}").json()["problem_set"] == "livecodebench@1"


def counts(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["problem,n,c", *rows]) + "\n")
    return path


def test_counts_make_an_evaluation_without_completions(
    run_import: Import, client: httpx.Client, tmp_path: Path
) -> None:
    files = [counts(tmp_path / "a.csv", "x,8,3", "y,8,0"), counts(tmp_path / "b.csv", "z,8,8")]
    options = ("--run", "paper", "--problem-set", "p", "--verifier", "paper@2")
    done = run_import(*files, *options)
    evaluation = imported(done)
    assert "counts of 3 problems: 3 new, 0 there already" in done.stdout
    assert curve(client, evaluation, k=[1]) == {1: pytest.approx(11 / 24, abs=1e-12)}
    summary = client.get(f"/v1/evaluations/{evaluation}").json()
    assert (summary["counts_only"], summary["verifiers"][0]["verifier"]) == (True, "paper@2")
    assert "counts of 3 problems: 0 new, 3 there already" in run_import(*files, *options).stdout


def test_counts_that_do_not_fit_are_refused_in_a_sentence(
    run_import: Import, client: httpx.Client, tmp_path: Path
) -> None:
    file = counts(tmp_path / "counts.csv", "x,8,3")
    options = ("--run", "r", "--problem-set", "p")
    mixed = run_import(file, results(tmp_path / "rows.jsonl", {"x": [True]}), *options)
    assert "Files of counts and files of completions make no evaluation together" in mixed.stderr
    twice = run_import(file, counts(tmp_path / "again.csv", "x,8,3"), *options)
    assert "again.csv: an earlier file has counts of problem 'x' already" in twice.stderr
    more = run_import(file, *options, "--n", "4")
    assert "--n 4 says that every problem got 4 completions, and 'x' has 8" in more.stderr
    assert client.get("/v1/runs").json()["runs"] == []
    imported(run_import(file, *options))
    other = run_import(counts(file, "x,8,4"), *options)
    assert "stored otherwise" in other.stderr
    assert "Then give it a --step or --run of its own." in other.stderr
    assert [each.returncode for each in (mixed, twice, more, other)] == [1, 1, 1, 1]


def test_cruxeval_files_are_known_by_their_form(run_import: Import, client: httpx.Client, tmp_path: Path) -> None:
    scored = {"sample_1": [True, False], "sample_2": [False, False]}
    texts = {problem: [f"answer {i}" for i in range(2)] for problem in scored}
    path = tmp_path / "scored.json"
    path.write_text(json.dumps({"raw_generations": texts, "raw_scored_generations": scored, "pass_at_1": 25.0}))
    evaluation = imported(run_import(path, "--run", "tiny", "--step", "7"))
    assert curve(client, evaluation) == {1: 0.25, 2: 0.5}
    described = client.get(f"/v1/evaluations/{evaluation}").json()
    assert (described["run"], described["step"], described["problem_set"]) == ("tiny", 7, "cruxeval@1")


def test_two_verifiers_of_one_file_are_two_verdicts_on_a_completion(
    run_import: Import, client: httpx.Client, tmp_path: Path
) -> None:
    judged = [
        {"solution": f"return {i}", "base_status": "pass", "plus_status": plus}
        for i, plus in enumerate(["pass", "fail"])
    ]
    path = tmp_path / "eval_results.json"
    path.write_text(json.dumps({"date": "2024-02-20", "hash": "84f4", "eval": {"HumanEval/0": judged}}))
    arguments = (path, "--run", "r", "--problem-set", "humaneval")
    done = run_import(*arguments)
    evaluation = imported(done)
    assert "2 completions: 2 new" in done.stdout
    assert "evalplus-base@1: n=2, 1 problems:  pass@1 1.0000   pass@2 1.0000" in done.stdout
    assert "evalplus-plus@1: n=2, 1 problems:  pass@1 0.5000   pass@2 1.0000" in done.stdout
    assert curve(client, evaluation, verifier="evalplus-plus", k=1) == {1: 0.5}
    assert "0 new, 2 there already" in run_import(*arguments).stdout
    imported(run_import(*arguments, "--verifier", "tests@2", "--step", "1"))
    assert "tests-base@2: n=2" in run_import(*arguments, "--verifier", "tests@2", "--step", "1").stdout


def test_a_repeated_import_doubles_nothing(run_import: Import, client: httpx.Client, tmp_path: Path) -> None:
    path = results(tmp_path / "a.jsonl", {"x": [True, False, False], "y": [True, True, False]})
    arguments = (path, "--run", "r", "--problem-set", "p")
    first, second = run_import(*arguments), run_import(*arguments)
    assert "6 completions: 6 new, 0 there already" in first.stdout
    assert "6 completions: 0 new, 6 there already" in second.stdout
    assert imported(first) == imported(second)
    assert curve(client, imported(second), k=1) == {1: 0.5}


def test_files_that_number_alike_follow_each_other(run_import: Import, client: httpx.Client, tmp_path: Path) -> None:
    first = results(tmp_path / "0.jsonl", {"x": [True], "y": [False]})
    second = results(tmp_path / "1.jsonl", {"x": [False], "y": [False]})
    arguments = (first, second, "--run", "r", "--problem-set", "p")
    run_import(*arguments)
    done = run_import(*arguments)
    assert "4 completions: 0 new, 4 there already" in done.stdout
    assert curve(client, imported(done)) == {1: 0.25, 2: 0.5}


def test_a_verdict_inside_an_object_arrives_by_its_name(
    run_import: Import, client: httpx.Client, tmp_path: Path
) -> None:
    path = tmp_path / "solutions.jsonl"
    path.write_text('{"question": "2 + 2?", "6b": {"is_correct": true, "solution": "4"}}\n')
    fields = ("--problem", "question", "--passed", "6b.is_correct", "--text", "6b.solution")
    evaluation = imported(run_import(path, "--run", "6b", "--problem-set", "sums", *fields))
    assert curve(client, evaluation) == {1: 1.0}


def test_rewards_become_a_max_at_k_curve(run_import: Import, client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "rewards.csv"
    path.write_text("problem,reward\nx,0.5\nx,-1\ny,2\ny,0\n")
    done = run_import(path, "--run", "r", "--problem-set", "p")
    assert curve(client, imported(done), metric="max_at_k") == {1: 0.375, 2: 1.25}
    assert "max@1 0.3750" in done.stdout


def test_completions_without_verdicts_are_stored_and_wait(
    run_import: Import, client: httpx.Client, tmp_path: Path
) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text('{"task_id": "HumanEval/0", "completion": "    return 1"}\n')
    done = run_import(path, "--run", "r")
    assert "1 completions: 1 new" in done.stdout
    assert "no curve yet" in done.stdout
    assert client.get(f"/v1/evaluations/{imported(done)}").json()["problem_set"] == "humaneval@1"


def test_a_mistake_anywhere_in_a_file_sends_nothing(run_import: Import, client: httpx.Client, tmp_path: Path) -> None:
    path = results(tmp_path / "a.jsonl", {"x": [True] * 3000})
    path.write_text(path.read_text() + '{"problem": "x", "passed": "yes"}\n')
    done = run_import(path, "--run", "r", "--problem-set", "p")
    assert done.returncode == 1
    assert f"{path}:3001" in done.stderr
    assert client.get("/v1/runs").json()["runs"] == []


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "fine \\udfff"])
def test_text_that_no_database_stores_is_found_before_anything_is_sent(
    run_import: Import, client: httpx.Client, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"problem": "x", "passed": true, "text": "{text}"}}\n')
    done = run_import(path, "--run", "r", "--problem-set", "p")
    assert done.returncode == 1
    assert "completion 0 of problem 'x'" in done.stderr
    assert "Traceback" not in done.stderr
    assert client.get("/v1/runs").json()["runs"] == []


def test_problems_named_by_their_prompts_are_told_apart(
    run_import: Import, client: httpx.Client, tmp_path: Path
) -> None:
    prompts = ["x" * 501, "x" * 502, "a\nb", "a b", "a\u0085b", "fine", "y" * 500]
    path = results(tmp_path / "a.jsonl", {prompt: [True, False] for prompt in prompts})
    for times in ("14 new, 0", "0 new, 14"):
        done = run_import(path, "--run", "r", "--problem-set", "p")
        assert times in done.stdout, done.stderr
    assert "names of over 500 characters or several lines, cut and with a hash: 4" in done.stdout
    listed = client.get(f"/v1/evaluations/{imported(done)}/problems").json()["problems"]
    names = {each["problem"] for each in listed}
    assert len(names) == len(prompts)
    assert names > {"a b", "fine", "y" * 500}
    assert "a b #7e18f737311b2dc3" in names
    assert {len(name) for name in names if name.startswith("x")} == {500}


def test_counts_of_problems_named_by_their_prompts_arrive(
    run_import: Import, client: httpx.Client, tmp_path: Path
) -> None:
    path = tmp_path / "counts.jsonl"
    path.write_text("".join(json.dumps({"problem": "x" * size, "n": 4, "c": 2}) + "\n" for size in (501, 502)))
    assert curve(client, imported(run_import(path, "--run", "r", "--problem-set", "p")), k=1) == {1: 0.5}


@pytest.mark.skipif(not GSM8K.exists(), reason="../shared/data is not here, so GSM8K's real solutions are not read")
def test_gsm8k_is_imported_by_its_questions(run_import: Import, client: httpx.Client) -> None:
    fields = ("--problem", "question", "--passed", "175b_verification.is_correct")
    done = run_import(GSM8K, "--run", "175b", "--problem-set", "gsm8k", *fields)
    assert "1,319 completions: 1,319 new" in done.stdout, done.stderr
    assert curve(client, imported(done)) == {1: pytest.approx(0.5625473844, abs=1e-10)}


def test_a_text_that_fits_into_no_request_is_found_before_anything_is_sent(
    run_import: Import, client: httpx.Client, tmp_path: Path
) -> None:
    assert LARGEST_ROW < BODY_LIMIT
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"problem": "x", "passed": True, "text": "x" * BODY_LIMIT}))
    assert f"has a text of {BODY_LIMIT + 2:,} bytes" in run_import(path, "--run", "r", "--problem-set", "p").stderr
    path.write_text(json.dumps({"problem": "x", "passed": True, "text": "x" * (LARGEST_ROW - 2)}))
    imported(run_import(path, "--run", "r", "--problem-set", "p"))


def test_more_completions_than_declared_are_refused(run_import: Import, client: httpx.Client, tmp_path: Path) -> None:
    path = results(tmp_path / "a.jsonl", {"x": [True, False], "y": [True, True, False]})
    done = run_import(path, "--run", "r", "--problem-set", "p", "--n", "2")
    assert done.stderr == "pkpo: --n 2 says that every problem got 2 completions, and 'y' has 3\n"
    assert client.get("/v1/runs").json()["runs"] == []


def test_a_file_that_is_named_twice_is_not_its_own_continuation(run_import: Import, tmp_path: Path) -> None:
    path = results(tmp_path / "a.jsonl", {"x": [True, False]})
    (tmp_path / "link.jsonl").symlink_to(path)
    done = run_import(path, tmp_path / "link.jsonl", "--run", "r", "--problem-set", "p")
    assert done.stderr == f"pkpo: {path} is named 2 times\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--run", "r"], "--problem-set"),
        (["--run", "no spaces", "--problem-set", "p"], "run"),
        (["--run", "r", "--problem-set", "p", "--step", "-1"], "step"),
        (["--run", "r", "--problem-set", "p", "--format", "parquet"], "parquet"),
        (["--run", "r", "--problem-set", "p", "--url", "ftp://here"], "http://"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(run_import: Import, tmp_path: Path, arguments: list[str], said: str) -> None:
    done = run_import(results(tmp_path / "a.jsonl", {"x": [True]}), *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("pkpo: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("sampling", "said"), [("{", "not JSON"), ("[1]", "must be a JSON object")])
def test_a_sampling_that_is_no_object_is_a_mistake_in_the_arguments(
    run_import: Import, tmp_path: Path, sampling: str, said: str
) -> None:
    path = results(tmp_path / "a.jsonl", {"x": [True]})
    done = run_import(path, "--run", "r", "--problem-set", "p", "--sampling", sampling)
    assert done.returncode == 2
    assert done.stderr.startswith("pkpo: argument --sampling: ")
    assert said in done.stderr


def test_a_file_that_is_not_there_is_named(run_import: Import, tmp_path: Path) -> None:
    done = run_import(tmp_path / "none.jsonl", "--run", "r", "--problem-set", "p")
    assert done.stderr == f"pkpo: {tmp_path / 'none.jsonl'}: No such file or directory\n"


def test_a_server_that_is_not_there_is_named(run_import: Import, tmp_path: Path) -> None:
    path = results(tmp_path / "a.jsonl", {"x": [True]})
    done = run_import(path, "--run", "r", "--problem-set", "p", url="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "http://127.0.0.1:9" in done.stderr
    assert "pkpo serve" in done.stderr


def test_other_verdicts_for_the_same_completions_are_a_conflict(
    run_import: Import, client: httpx.Client, tmp_path: Path
) -> None:
    imported(run_import(results(tmp_path / "a.jsonl", {"x": [True, False]}), "--run", "r", "--problem-set", "p"))
    done = run_import(results(tmp_path / "a.jsonl", {"x": [True, True]}), "--run", "r", "--problem-set", "p")
    assert done.returncode == 1
    assert "/completions/1" in done.stderr
    assert "give it a --step or --run of its own" in done.stderr
