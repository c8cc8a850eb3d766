"""`pkpo jobs` as a person runs it, against a server with a worker."""

import json
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import httpx

from tests.app.processes import CHECKOUT
from tests.workers.working import results


def jobs(client: httpx.Client, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pkpo", "jobs", "--url", str(client.base_url), *map(str, arguments)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=90)


def test_a_file_is_uploaded_imported_and_followed_to_the_end(working_client: httpx.Client, tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    file.write_bytes(results(problems=3, n=4))
    spec = json.dumps({"run": "by-command", "problem_set": "by-command"})
    done = jobs(working_client, "submit", "import", spec, "--upload", file, "--follow")
    assert done.returncode == 0, done.stderr
    id_, *log, last = done.stdout.splitlines()
    assert any("12 completions new" in line for line in log)
    assert last == "succeeded: 12 done"
    assert json.loads(jobs(working_client, "show", id_).stdout)["state"] == "succeeded"
    listed = jobs(working_client, "list", "--state", "succeeded").stdout
    assert f"{id_}\timport\tsucceeded\tattempt 1\t12/12" in listed


def test_who_follows_a_job_that_fails_learns_why(working_client: httpx.Client, tmp_path: Path) -> None:
    file = tmp_path / "results.xml"
    file.write_text("<xml/>")
    spec = json.dumps({"run": "by-command", "problem_set": "by-command"})
    done = jobs(working_client, "submit", "import", spec, "--upload", file, "--follow")
    assert done.returncode == 1
    assert "the job is failed" in done.stderr
    assert "none of the formats" in done.stderr
    assert "\tfailed\tattempt 1\t" in jobs(working_client, "list", "--kind", "import").stdout


def test_a_job_is_cancelled_and_retried(client: httpx.Client, tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    file.write_bytes(results(1, 1))
    spec = json.dumps({"run": "r", "problem_set": "s"})
    submitted = jobs(client, "submit", "import", spec, "--upload", file)
    assert "No worker is there that could take it" in submitted.stderr
    id_ = submitted.stdout.strip()
    url = str(client.base_url).rstrip("/")
    assert submitted.stderr.startswith(f"pkpo jobs follow {id_}, or {url}/jobs/{id_}\n")
    assert jobs(client, "cancel", id_).stdout == "cancelled\n"
    assert jobs(client, "retry", id_).stdout == "queued\n"


def test_a_mistake_is_told_in_a_sentence(client: httpx.Client) -> None:
    for arguments, sentence in [
        (("show", str(uuid4())), "no job of this id"),
        (("show", "../runs"), "no job has the id '../runs'"),
        (("follow", "nonsense"), "no job has the id 'nonsense'; pkpo jobs list shows those there are"),
        (("submit", "import", "{"), "not JSON"),
        (("submit", "import", "{}", "--upload", "nowhere.jsonl"), "nowhere.jsonl: No such file"),
    ]:
        done = jobs(client, *arguments)
        assert done.returncode in (1, 2)
        assert sentence in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
