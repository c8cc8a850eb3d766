"""`pkpo problems import`: problem sets to a server, once however often it is repeated."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.evaluations import every_page
from tests.documents import ADDRESS, checkout, examples, run

ROOT = Path(__file__).resolve().parents[2]
HUMAN_EVAL = ROOT.parent / "shared/data/human_eval/HumanEval.jsonl.gz"

Import = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_import(base_url: str) -> Import:
    """`pkpo problems import` as a user runs it, against the test's own server."""

    def run(*arguments: str | Path, url: str = base_url) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pkpo", "problems", "import", "--url", url, *map(str, arguments)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    return run


def written(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def stored(client: httpx.Client, problem_set: str) -> dict[str, dict[str, Any]]:
    """The problems that the server has of a set, by name."""
    pages = every_page(client, f"/v1/problem-sets/{problem_set}/problems", limit=100)
    return {each["problem"]: each for page in pages for each in page["problems"]}


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("pkpo: ")
    return done.stderr.removeprefix("pkpo: ").rstrip()


@pytest.mark.skipif(not HUMAN_EVAL.exists(), reason=f"REAL DATA NOT TESTED: {HUMAN_EVAL} is absent")
def test_human_eval_arrives_whole_and_once(run_import: Import, client: httpx.Client) -> None:
    arguments = (HUMAN_EVAL, "--problem-set", "humaneval", "--close")
    first, second = run_import(*arguments), run_import(*arguments)
    assert first.stdout.splitlines() == [
        "HumanEval: functions to complete, with tests: 164 problems",
        "humaneval: 164 new, 0 there already, closed",
    ]
    assert "humaneval: 0 new, 164 there already, closed" in second.stdout
    problems = stored(client, "humaneval")
    last = problems["HumanEval/163"]
    assert (len(problems), last["tests"]["entry_point"]) == (164, "generate_integers")
    assert last["prompt"].startswith("\ndef generate_integers(a, b):\n")
    assert client.get("/v1/problem-sets/humaneval").json()["closed"] is True


def test_more_problems_than_one_request_takes_arrive(run_import: Import, client: httpx.Client, tmp_path: Path) -> None:
    rows = [{"problem": f"p{i}", "prompt": "?"} for i in range(2500)]
    path = written(tmp_path / "many.jsonl", *rows)
    assert "many: 2,500 new, 0 there already" in run_import(path, "--problem-set", "many").stdout
    assert client.get("/v1/problem-sets/many").json()["problems"] == 2500
    written(path, *rows[:2400], rows[2400] | {"prompt": "!"}, *rows[2401:])
    assert "\n  'p2400', prompt: stored with another content\n" in refusal(run_import(path, "--problem-set", "many"))


def test_what_is_stored_otherwise_is_told_by_name_and_not_changed(
    run_import: Import, client: httpx.Client, tmp_path: Path
) -> None:
    rows = [{"problem": f"capital of {each}", "prompt": f"{each}?", "answer": each[0]} for each in ("France", "Italy")]
    path = written(tmp_path / "capitals.jsonl", *rows)
    run_import(path, "--problem-set", "capitals")
    written(path, rows[0], rows[1] | {"answer": "Rome"}, {"problem": "new", "prompt": "?"})
    told = refusal(run_import(path, "--problem-set", "capitals")).splitlines()
    assert told[1:] == [
        "  'capital of Italy', answer: stored with another content",
        "Problems that changed make another version of the set: --problem-set NAME@VERSION.",
    ]
    assert {name: each["answer"] for name, each in stored(client, "capitals").items()} == {
        "capital of France": "F",
        "capital of Italy": "I",
    }
    assert "capitals@2: 3 new" in run_import(path, "--problem-set", "capitals@2").stdout


def test_a_closed_set_names_what_it_does_not_take(run_import: Import, tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", {"problem": "a", "prompt": "?"})
    run_import(path, "--problem-set", "closed", "--close")
    written(path, *({"problem": name, "prompt": "?"} for name in "abcdefgh"))
    told = refusal(run_import(path, "--problem-set", "closed")).splitlines()
    assert told[0] == "The problem set is closed, and some of these problems are not in it."
    assert told[1:3] == ["  'b', problem: not in the set", "  'c', problem: not in the set"]
    assert told[6] == "  and 2 more"


def test_a_dry_run_needs_no_server_and_shows_three_problems(run_import: Import, tmp_path: Path) -> None:
    rows = ({"problem": f"p{i}", "prompt": "\x1b[31m" + "x" * 1000, "answer": i} for i in range(5))
    path = written(tmp_path / "a.jsonl", *rows)
    done = run_import(path, "--problem-set", "s", "--dry-run", url="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("problem ")] == [
        f'problem  "p{i}"' for i in range(3)
    ]
    assert done.stdout.endswith("\ns: 5 problems, none of them sent\n")
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) == 9 + 300


def test_a_mistake_anywhere_in_a_file_sends_nothing(run_import: Import, client: httpx.Client, tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", {"prompt": "?"}, {"prompt": 7})
    assert refusal(run_import(path, "--problem-set", "s")) == f'{path}:2: the field "prompt" must be text, and is 7'
    assert client.get("/v1/problem-sets/s").status_code == 404


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"problem": "a", "prompt": "?", "tests": 1e999}', "the problem 'a' is not JSON: Out of range float values"),
        ('{"problem": "a", "prompt": "\\ud800"}', "the problem 'a' has text that is not Unicode"),
    ],
)
def test_what_no_request_can_hold_is_refused_before_anything_is_sent(
    run_import: Import, client: httpx.Client, tmp_path: Path, line: str, message: str
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{line}\n")
    assert refusal(run_import(path, "--problem-set", "s")).startswith(message)
    assert client.get("/v1/problem-sets/s").status_code == 404


def test_what_the_service_cannot_keep_is_told_by_name(run_import: Import, tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", {"problem": "a", "prompt": "?", "metadata": {"text": "x" * 70_000}})
    assert "\n  'a', metadata: " in refusal(run_import(path, "--problem-set", "s"))


def test_long_names_are_cut_as_those_of_results_are(run_import: Import, client: httpx.Client, tmp_path: Path) -> None:
    question = "How many?\n" * 60
    path = written(tmp_path / "a.jsonl", {"question": question, "passed": True})
    run_import(path, "--problem-set", "s", "--problem", "question", "--prompt", "question")
    results = ["--run", "r", "--problem-set", "s", "--problem", "question", "--url", str(client.base_url)]
    command = [sys.executable, "-m", "pkpo", "import", str(path), *results]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    ((name, problem),) = stored(client, "s").items()
    assert (len(name), problem["prompt"]) == (500, question)


def test_a_split_makes_two_sets(run_import: Import, client: httpx.Client, tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", *({"problem": f"p{i}", "prompt": "?"} for i in range(10)))
    run_import(path, "--problem-set", "s@3", "--split", "train=0.8", "--limit", "5")
    train, held_out = stored(client, "s-train@3"), stored(client, "s-held-out@3")
    assert (len(train), len(held_out)) == (4, 1)
    assert train.keys() | held_out.keys() == {f"p{i}" for i in range(5)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name where problems come from: FILE or --hub or --reasoning-gym"),
        (["a", "--hub", "b"], "problems come from FILE and --hub together, which are two imports"),
        (["a"], "a: No such file or directory"),
        (["a", "--size", "3"], "--size says nothing about problems from FILE"),
        (
            ["--reasoning-gym", "gcd", "--size", "3", "--answer", "x"],
            "--answer says nothing about problems from --reas",
        ),
        (["--reasoning-gym", "gcd"], "reasoning-gym makes any number of problems: add --size N"),
        (["--reasoning-gym", "gcd", "--size", "0"], "argument --size: '0' is not a whole number from 1 up"),
        (["--hub", "docs", "--revision", "v1"], "docs is a folder, which has no --revision"),
        (["a", "--split", "train=1.5"], "'train=1.5' is not the name of a part and its share, such as train=0.9"),
        (["a", "--seed", "-1"], "argument --seed: '-1' is not a whole number between 0 and 4294967295"),
        (["--reasoning-gym", "gcd", "--size", "3", "--config", "[]"], "must be a JSON object"),
        (["README.md"], "README.md:1: not JSON: Expecting value (column 1)"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_a_sentence(arguments: list[str], message: str) -> None:
    command = [sys.executable, "-m", "pkpo", "problems", "import", "--problem-set", "s", *arguments]
    told = refusal(subprocess.run(command, cwd=ROOT, capture_output=True, text=True))
    assert message in told
    assert "\n" not in told


def test_a_name_that_no_set_can_have_is_refused(run_import: Import, tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", {"prompt": "?"})
    for name in ("a/b", "a@b@c", "..", "x" * 201, ""):
        assert "is not name or name@version" in refusal(run_import(path, "--problem-set", name))
    assert "No answer from http://127.0.0.1:9" in refusal(
        run_import(path, "--problem-set", "s", url="http://127.0.0.1:9")
    )


def test_every_example_of_the_problem_sets_does_what_it_shows(tmp_path: Path, base_url: str) -> None:
    pytest.importorskip("reasoning_gym", reason="NOT TESTED: requirements/install.sh workers was not run")
    shown = list(examples("docs/problem-sets.md"))
    assert len(shown) >= 3
    folder = checkout(tmp_path)
    for example in shown:
        printed = run(["bash", "-euo", "pipefail", "-c"], example.code, folder, base_url)
        example.assert_shown(printed.replace(base_url, ADDRESS))
