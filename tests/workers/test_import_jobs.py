"""Import jobs by a real worker: an uploaded file becomes an evaluation whose curve can be read."""

import gzip
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.ingesting import completion, evaluation, post_completions
from tests.workers.working import ended, results, submit_import, worker


def log_of(client: httpx.Client, path: str) -> str:
    return client.get(f"{path}/events").text


def evaluation_of(client: httpx.Client, path: str) -> str:
    found = re.search(r"evaluation ([0-9a-f-]{36})", log_of(client, path))
    assert found is not None
    return f"/v1/evaluations/{found[1]}"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_becomes_a_curve(working_client: httpx.Client, pack: Any) -> None:
    client = working_client
    path = submit_import(client, pack(results(problems=30, n=40)), run=f"{pack.__name__}")
    job = ended(client, path)
    assert (job["state"], job["attempt"], job["error"]) == ("succeeded", 1, None)
    assert (job["progress"]["done"], job["progress"]["total"]) == (1200, 1200)
    assert "1200 completions new" in log_of(client, path)
    curve = client.get(f"{evaluation_of(client, path)}/curve?k=1").json()
    assert (curve["points"][0]["value"], curve["problems_used"], curve["n_min"]) == (0.5, 30, 40)


def test_what_is_stored_stays_and_is_counted(working_client: httpx.Client) -> None:
    """The first completion of the file is stored with another text, the second as it is."""
    client = working_client
    stored = evaluation(client, run="stored", problem_set="sums", sampling={})
    said = [completion("p0", 0, text="another"), completion("p0", 1, text="0 1")]
    post_completions(client, stored, *said).raise_for_status()
    path = submit_import(client, results(problems=2, n=4), run="stored")
    assert ended(client, path)["state"] == "succeeded"
    assert evaluation_of(client, path) == stored
    assert "6 completions new, 1 there already, 1 there with another content" in log_of(client, path)
    kept = client.get(f"{stored}/completions?problem=p0").json()["completions"]
    assert [(each["text"], len(each["verifications"])) for each in kept] == [
        ("another", 0),  # the verdict was on another text
        ("0 1", 1),
        ("0 2", 1),
        ("0 3", 1),
    ]


def test_a_file_of_counts_is_imported_too(working_client: httpx.Client) -> None:
    counts = b'{"problem": "a", "n": 10, "c": 3}\n{"problem": "b", "n": 10, "c": 0}\n'
    path = submit_import(working_client, counts, problem_set="counted")
    assert ended(working_client, path)["state"] == "succeeded"
    assert working_client.get(f"{evaluation_of(working_client, path)}/curve?k=1").json()["points"][0]["value"] == 0.15


@pytest.mark.parametrize(
    ("content", "spec", "sentence"),
    [
        (b"<xml/>", {}, "none of the formats"),
        (b'{"problem": "a", "passed": true}\n{"problem": ', {}, "r.jsonl:2: "),
        (b'{"problem": "a", "passed": true}\n', {"problem_set": None}, "name them in the spec"),
        (results(problems=1, n=3), {"n": 2}, "n = 2 says"),
    ],
)
def test_a_file_that_cannot_be_imported_fails_the_job_at_once_with_the_cause(
    working_client: httpx.Client, content: bytes, spec: dict[str, Any], sentence: str
) -> None:
    job = ended(working_client, submit_import(working_client, content, run="unsound", **spec))
    assert (job["state"], job["attempt"]) == ("failed", 1)
    assert sentence in job["error"]["detail"]
    assert "/uploads/" not in job["error"]["detail"], "where the service keeps files is nobody's business"
    assert working_client.get("/v1/runs/unsound").status_code == 404


def test_a_worker_without_the_file_says_what_it_must_share(
    client: httpx.Client, database_url: str, tmp_path: Path
) -> None:
    with worker(database_url, tmp_path / "elsewhere"):
        job = ended(client, submit_import(client, results(1, 1)))
    assert job["state"] == "failed"
    assert "PKPO_DATA_DIR" in job["error"]["detail"]
