"""Verification jobs by a real worker: what a verifier has not judged is judged, and the curve fills in."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import httpx
import pytest

from app.jobs.options.verifiers import VERIFIER_OPTIONS, VERSIONS
from app.jobs.specs import RAREST, VERIFIERS
from tests.app.ingesting import completion, evaluation, post_completions
from tests.workers.working import ended, submit
from workers.verifiers import KINDS

ANSWERS = {"sum": "4", "product": "6"}


def answered(client: httpx.Client, run: str, tests: Any = None, answers: Mapping[str, str | None] = ANSWERS) -> str:
    """The path of an evaluation: of each problem's four completions, i are right for the i-th, and none judged."""
    set_ = f"answers-{run}@1"
    client.put(f"/v1/problem-sets/{set_}", json={}).raise_for_status()
    problems = [{"problem": name, "prompt": "?", "answer": answer, "tests": tests} for name, answer in answers.items()]
    client.post(f"/v1/problem-sets/{set_}/problems", json={"problems": problems}).raise_for_status()
    path = evaluation(client, run=run, problem_set=set_)
    rows = [
        completion(name, j, text=answer if j <= i else "5")
        for i, (name, answer) in enumerate(ANSWERS.items())
        for j in range(4)
    ]
    post_completions(client, path, *rows).raise_for_status()
    return path


def verify(client: httpx.Client, path: str, name: str = "exact-match", **options: Any) -> dict[str, Any]:
    spec = {"evaluation": path.rpartition("/")[2], "verifier": name, "options": options}
    return ended(client, submit(client, "verification", spec))


def events_of(client: httpx.Client, job: dict[str, Any]) -> str:
    """All that followers of the job are told."""
    return client.get(f"/v1/jobs/{job['id']}/events").text


def test_the_service_knows_the_verifiers_that_workers_have() -> None:
    assert set(VERIFIERS) == set(KINDS)
    assert set(VERIFIERS.values()) == set(RAREST)
    assert {name: kind.Options for name, kind in KINDS.items()} == dict(VERIFIER_OPTIONS)
    assert {name: kind.version for name, kind in KINDS.items()} == dict(VERSIONS)


@pytest.mark.parametrize(
    ("name", "options", "pointer", "says"),
    [
        ("exact-match", {"ignore_spaces": True}, "", "no such option; there are extract, ignore_case, ignore_space"),
        ("numeric-match", {"relative_tolerance": -1}, "/relative_tolerance", "greater than or equal to 0"),
        ("format", {}, "", "format needs marks"),
        (
            "weighted",
            {"terms": [{"verifier": "length", "options": {"free": 9, "most": 3}}]},
            "/terms/0/options",
            "most",
        ),
        ("weighted", {"terms": [{"verifier": "luck"}]}, "/terms/0/verifier", "no such verifier; there are exact-match"),
        ("weighted", {"terms": [{"verifier": "weighted"}]}, "/terms/0/verifier", "weighted does not nest"),
        ("weighted", {"terms": [{"verifier": "length@7"}]}, "/terms/0/verifier", "no such version; there is length@1"),
        ("my.module:judge", {"secs": 3}, "", "no such option; there are options, seconds, processes"),
    ],
)
def test_options_that_a_verifier_does_not_take_are_refused_at_submission(
    working_client: httpx.Client, name: str, options: dict[str, Any], pointer: str, says: str
) -> None:
    path = evaluation(working_client, run="wrong-options", problem_set="wrong-options")
    spec = {"evaluation": path.rpartition("/")[2], "verifier": name, "options": options}
    answer = working_client.post("/v1/jobs", json={"kind": "verification", "spec": spec})
    assert (answer.status_code, answer.json()["type"]) == (422, "invalid-request")
    error = answer.json()["errors"][0]
    assert error["pointer"] == f"/spec/options{pointer}"
    assert says in error["code"]


def test_every_kind_of_job_lists_the_verifiers_where_there_is_no_such_one(working_client: httpx.Client) -> None:
    path = evaluation(working_client, run="no-such", problem_set="no-such")
    told = {
        "verification": {"evaluation": path.rpartition("/")[2], "verifier": "luck"},
        "sampling": {"run": "r", "problem_set": "no-such@1", "model": "m", "n": 1, "verifiers": ["luck"]},
        "training": {"run": "r", "model": "m", "problem_set": "no-such@1", "k": 1, "steps": 1, "verifier": "luck"},
    }
    for kind, spec in told.items():
        answer = working_client.post("/v1/jobs", json={"kind": kind, "spec": spec})
        assert answer.status_code == 422
        assert f"such verifier; there are {', '.join(VERIFIER_OPTIONS)}, and module:function" in answer.text, kind


def test_a_version_that_there_is_not_is_refused_at_submission(working_client: httpx.Client) -> None:
    path = evaluation(working_client, run="wrong-version", problem_set="wrong-version")
    spec = {"evaluation": path.rpartition("/")[2], "verifier": "exact-match@7"}
    answer = working_client.post("/v1/jobs", json={"kind": "verification", "spec": spec})
    assert (answer.status_code, answer.json()["type"]) == (422, "verifier-not-offered")
    assert answer.json()["errors"] == [{"pointer": "/spec/verifier", "code": "no such version"}]
    assert "exact-match@1" in answer.json()["detail"]


def test_completions_are_judged_once_and_the_curve_is_there(working_client: httpx.Client) -> None:
    path = answered(working_client, "judged")
    job = verify(working_client, path)
    assert (job["state"], job["progress"]["done"], job["progress"]["total"]) == ("succeeded", 8, 8)
    curve = working_client.get(f"{path}/curve?k=1").json()
    assert (curve["verifier"], curve["points"][0]["value"], curve["n_min"]) == ("exact-match@1", 3 / 8, 4)
    assert "5 failed, 3 passed" in events_of(working_client, job)
    again = verify(working_client, path, ignore_case=False)  # the default, said
    assert (again["state"], again["progress"]["total"]) == ("succeeded", 0)
    said = "nothing is left to judge: exact-match@1 has judged all, and its verdicts stay"
    assert said in events_of(working_client, again)


def test_two_options_of_a_verifier_give_two_curves_and_nothing_mixes(working_client: httpx.Client) -> None:
    path = answered(working_client, "two-options")
    near = "numeric-match@1-" + sha256(b'{"absolute_tolerance":1}').hexdigest()[:8]
    choices: tuple[dict[str, float], ...] = ({}, {"absolute_tolerance": 1})
    for options in choices:
        job = verify(working_client, path, "numeric-match", **options)
        assert (job["state"], job["progress"]["total"]) == ("succeeded", 8)
    totals = working_client.get(path).json()["verifiers"]
    assert [(each["verifier"], each["options"], each["n"], each["c"]) for each in totals] == [
        ("numeric-match@1", {}, 8, 3),
        (near, {"absolute_tolerance": 1}, 8, 8),  # the wrong answers are all 5, and the right ones 4 and 6
    ]
    for name, value in (("numeric-match", 3 / 8), ("numeric-match@1", 3 / 8), (near, 1.0)):
        assert working_client.get(f"{path}/curve?k=1&verifier={name}").json()["points"][0]["value"] == value
    unnamed = working_client.get(f"{path}/curve?k=1")
    assert (unnamed.status_code, near in unnamed.text) == (422, True)
    choices = ({"relative_tolerance": 0}, {"absolute_tolerance": 1.0, "relative_tolerance": 0.0})
    for options in choices:
        again = verify(working_client, path, "numeric-match@1", **options)
        assert (again["state"], again["progress"]["total"]) == ("succeeded", 0)
    assert working_client.get(path).json()["verifiers"] == totals


def test_a_verdict_that_is_there_stays_and_an_infrastructure_error_is_tried_again(working_client: httpx.Client) -> None:
    path = answered(working_client, "judged-before")
    said = [
        {"problem": "sum", "sample_index": 0, "verifier": "exact-match", "passed": False},  # by somebody else
        {"problem": "sum", "sample_index": 1, "verifier": "exact-match", "status": "infrastructure_error"},
    ]
    working_client.post(f"{path}/verifications", json={"verifications": said}).raise_for_status()
    job = verify(working_client, path)
    assert (job["state"], job["progress"]["total"]) == ("succeeded", 7)
    stored = working_client.get(f"{path}/completions?problem=sum").json()["completions"]
    assert [each["verifications"][0]["status"] for each in stored] == ["failed"] * 4


def test_the_log_says_why_there_is_no_verdict(working_client: httpx.Client) -> None:
    job = verify(working_client, answered(working_client, "half", answers=ANSWERS | {"product": None}))
    assert (job["state"], job["progress"]["done"]) == ("succeeded", 8)
    log = events_of(working_client, job)
    assert "4 infrastructure_error" in log
    assert "exact-match@1 has no verdict on 4: the problem has no answer" in log


WITH_TESTS = {"terms": [{"verifier": "length", "options": {"free": 9, "most": 99}}, {"verifier": "python-tests@1"}]}
WITH_BOTH = {"terms": [{"verifier": "exact-match"}, {"verifier": "python-tests"}]}


@pytest.mark.parametrize(("name", "options"), [("python-tests", {}), ("weighted", WITH_TESTS), ("weighted", WITH_BOTH)])
def test_a_set_of_which_nothing_could_be_judged_is_refused_at_submission(
    working_client: httpx.Client, name: str, options: dict[str, Any]
) -> None:
    path = answered(working_client, "unjudgeable")
    spec = {"evaluation": path.rpartition("/")[2], "verifier": name, "options": options}
    answer = working_client.post("/v1/jobs", json={"kind": "verification", "spec": spec})
    assert (answer.status_code, answer.json()["errors"]) == (
        422,
        [{"pointer": "/spec/verifier", "code": "without tests"}],
    )
    says = (
        "The verifier python-tests needs the tests of a problem, and none of these has any: there would be no verdict"
    )
    assert says in answer.json()["detail"]


def test_a_sum_needs_one_problem_with_what_all_of_its_terms_need(working_client: httpx.Client) -> None:
    working_client.put("/v1/problem-sets/either@1", json={}).raise_for_status()
    problems = {"problems": [{"problem": "a", "answer": "4", "tests": None}, {"problem": "b", "tests": "assert True"}]}
    working_client.post("/v1/problem-sets/either@1/problems", json=problems).raise_for_status()
    path = evaluation(working_client, run="either", problem_set="either")
    spec = {"evaluation": path.rpartition("/")[2], "verifier": "weighted", "options": WITH_BOTH}
    answer = working_client.post("/v1/jobs", json={"kind": "verification", "spec": spec})
    assert answer.status_code == 422
    assert "need the answer and the tests of a problem, and none of these has both" in answer.json()["detail"]


def test_what_a_verifier_refuses_fails_the_job_with_its_sentence(working_client: httpx.Client) -> None:
    job = verify(working_client, answered(working_client, "refused"), "os:system")
    assert (job["state"], job["attempt"]) == ("failed", 1)
    assert "os:system" in job["error"]["detail"]


def test_completions_without_a_text_are_nothing_to_judge(working_client: httpx.Client) -> None:
    working_client.put("/v1/problem-sets/textless@1", json={}).raise_for_status()
    problems = {"problems": [{"problem": "p", "answer": "4"}]}
    working_client.post("/v1/problem-sets/textless@1/problems", json=problems).raise_for_status()
    path = evaluation(working_client, run="textless", problem_set="textless")
    rows = [{"problem": "p", "sample_index": i} for i in range(2)]
    working_client.post(f"{path}/completions", json={"completions": rows}).raise_for_status()
    job = verify(working_client, path)
    assert job["state"] == "failed"
    assert "None of the completions has a text" in job["error"]["detail"]


@pytest.mark.parametrize(
    ("name", "terms", "capability"),
    [
        ("exact-match@1", (), "verify"),
        ("python-tests", (), "verify:python"),
        ("weighted", ("format", "math-verify"), "verify:math"),
        ("weighted", ("python-tests@1", "length"), "verify:python"),
        ("weighted", ("length",), "verify"),
    ],
)
def test_a_job_asks_for_a_worker_that_has_what_its_verifier_needs(
    working_client: httpx.Client, name: str, terms: tuple[str, ...], capability: str
) -> None:
    run = f"asks-{name.partition('@')[0]}-{len(terms)}-{capability[7:]}".rstrip("-")
    path = answered(working_client, run, tests="assert True")
    told = {"format": {"marks": ["<answer>"]}, "length": {"free": 100, "most": 200}}
    options = {"terms": [{"verifier": term, "options": told.get(term, {})} for term in terms]} if terms else {}
    spec = {"evaluation": path.rpartition("/")[2], "verifier": name, "options": options}
    job = working_client.post("/v1/jobs", json={"kind": "verification", "spec": spec}).json()
    assert job["capability"] == capability
