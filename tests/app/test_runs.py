"""GET /v1/runs, /v1/runs/{run}, /v1/runs/{run}/curves, and the runs of the home page."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from app.estimates.curves import EvaluationCurve
from app.estimates.errors import NoVerdict
from app.estimates.runs import EvaluationOutcome, runs_with_latest
from app.estimates.schemas import RunsQuery
from app.models import Project, Run
from pkpo.curves import PassAtKCurve
from tests.app.evaluations import Verdict, assert_refused, create_evaluation, curve, every_page, record


def names(answer: httpx.Response) -> list[str]:
    return [run["run"] for run in answer.raise_for_status().json()["runs"]]


def project_id(session: Session) -> int:
    return session.scalars(select(Project.id).filter_by(name="default")).one()


def test_runs_are_listed_newest_first_with_how_much_there_is_of_each(client: httpx.Client) -> None:
    assert client.get("/v1/runs").json() == {"runs": [], "next_cursor": None}
    for step in (0, 100):
        create_evaluation(client, run="countdown-k8", step=step, problem_set="countdown")
    create_evaluation(client, run="codellama-7b", problem_set="cruxeval-output")
    create_evaluation(client, run="codellama-7b", problem_set="cruxeval-input")
    answer = client.get("/v1/runs").json()
    counts = [(run["run"], run["latest_step"], run["checkpoints"], run["evaluations"]) for run in answer["runs"]]
    assert counts == [("codellama-7b", 0, 1, 2), ("countdown-k8", 100, 2, 2)]
    assert client.get("/v1/runs/countdown-k8").json() == answer["runs"][1]
    assert_refused(client.get("/v1/runs/countdown-k1"), 404, "not-found")


def test_pages_of_runs_join_up_while_runs_are_added(client: httpx.Client) -> None:
    for step in range(5):
        create_evaluation(client, run=f"run-{step}")
    seen = []
    for page in every_page(client, "/v1/runs", limit=2):
        seen += [run["run"] for run in page["runs"]]
        create_evaluation(client)
    assert seen == [f"run-{step}" for step in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        *((f"limit={limit}", "query/limit") for limit in ("0", "1001", "-1", "1e2", "9" * 4999, "ten", "")),
        *((f"cursor={cursor}", "query/cursor") for cursor in ("x", "", "%00", "WzFd%20", "é", "A" * 5000)),
        # null, [], [true], [1.5], ["a"], [10^20], [[]]
        *((f"cursor={cursor}", "query/cursor") for cursor in ("bnVsbA", "W10", "W3RydWVd", "WzEuNV0", "WyJhIl0")),
        *((f"cursor={cursor}", "query/cursor") for cursor in ("WzEwMDAwMDAwMDAwMDAwMDAwMDAwMF0", "W1tdXQ")),
        ("limit=1&limit=2", "query"),
        ("page=2", "query"),
    ],
)
def test_a_page_is_asked_for_to_the_letter(shared_client: httpx.Client, query: str, pointer: str) -> None:
    problem = assert_refused(shared_client.get(f"/v1/runs?{query}"), 422, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("name", ["%00", "a%20b", "x" * 201, "%C3%A9", "a%0A"])
def test_a_name_that_no_run_can_have_is_refused(shared_client: httpx.Client, name: str) -> None:
    for path in (f"/v1/runs/{name}", f"/v1/runs/{name}/curves"):
        assert_refused(shared_client.get(path), 422, "invalid-request")


SOLVED: dict[str, list[Verdict]] = {"sample_0": [True, False, False], "sample_1": [False, False, True]}


def checkpoints(client: httpx.Client, run: str, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/v1/runs/{run}/curves?{query}").raise_for_status().json()["checkpoints"]
    return found


def test_a_runs_curves_are_its_evaluations_by_step(shared_client: httpx.Client) -> None:
    run, problem_set = f"countdown-{uuid4()}", f"countdown-{uuid4()}"
    later = create_evaluation(shared_client, run=run, step=100, problem_set=problem_set)
    first = create_evaluation(shared_client, run=run, step=0, problem_set=problem_set)
    record(shared_client, first, SOLVED)
    record(shared_client, later, SOLVED | {"sample_0": [True, True, False]})
    found = checkpoints(shared_client, run, "k=1&k=3")
    assert [(each["step"], each["evaluation"]) for each in found] == [(0, first), (100, later)]
    for each in found:
        alone = curve(shared_client, each["evaluation"], "k=1&k=3").json()
        assert each == {
            **{key: alone[key] for key in ("points", "problems_used", "problems_total", "n_min", "n_max")},
            **{key: alone[key] for key in ("unbiased", "verifier")},
            **{"step": each["step"], "evaluation": each["evaluation"]},
            **{"problem_set": f"{problem_set}@1", "refused": None},
        }


def test_a_runs_curves_are_sent_again_only_when_they_changed(shared_client: httpx.Client) -> None:
    run, problem_set = f"countdown-{uuid4()}", f"countdown-{uuid4()}"
    record(shared_client, create_evaluation(shared_client, run=run, step=0, problem_set=problem_set), SOLVED)
    path = f"/v1/runs/{run}/curves"
    known = {"If-None-Match": shared_client.get(path).headers["etag"]}
    again = shared_client.get(path, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    record(shared_client, create_evaluation(shared_client, run=run, step=1, problem_set=problem_set), SOLVED)
    assert len(shared_client.get(path, headers=known).raise_for_status().json()["checkpoints"]) == 2


def test_a_refused_curve_says_why_in_its_place(shared_client: httpx.Client) -> None:
    run = f"run-{uuid4()}"
    evaluation = create_evaluation(shared_client, run=run)
    record(shared_client, evaluation, SOLVED)
    (found,) = checkpoints(shared_client, run, "k=4")
    refusal = curve(shared_client, evaluation, "k=4").json()
    assert found["refused"] == {"type": "k-exceeds-n", "detail": refusal["detail"]}
    assert (found["points"], found["n_min"], found["unbiased"]) == ([], None, None)


def test_a_runs_curves_can_be_those_of_one_problem_set(shared_client: httpx.Client) -> None:
    run, name = f"run-{uuid4()}", f"set-{uuid4()}"
    first = create_evaluation(shared_client, run=run, problem_set=f"{name}@1")
    second = create_evaluation(shared_client, run=run, problem_set=f"{name}@2")
    assert [each["evaluation"] for each in checkpoints(shared_client, run)] == [first, second]
    assert [each["evaluation"] for each in checkpoints(shared_client, run, f"problem_set={name}@2")] == [second]
    path = f"/v1/runs/{run}/curves"
    assert_refused(shared_client.get(path, params={"problem_set": name}), 422, "ambiguous-problem-set")
    assert_refused(shared_client.get(path, params={"problem_set": f"{name}@3"}), 404, "not-found")
    assert_refused(shared_client.get(path, params={"problem_set": f"{uuid4()}"}), 404, "not-found")
    assert_refused(shared_client.get(f"/v1/runs/{uuid4()}/curves"), 404, "not-found")


def test_pages_of_a_runs_curves_join_up(shared_client: httpx.Client) -> None:
    run = f"run-{uuid4()}"
    made = [create_evaluation(shared_client, run=run, step=step // 2) for step in range(5)]
    pages = every_page(shared_client, f"/v1/runs/{run}/curves", limit=2)
    assert [[each["evaluation"] for each in page["checkpoints"]] for page in pages] == [made[:2], made[2:4], made[4:]]


def test_the_latest_evaluation_of_each_run_comes_with_its_curve(client: httpx.Client, session: Session) -> None:
    old = create_evaluation(client, run="countdown-k8", step=0)
    record(client, old, SOLVED)
    new = create_evaluation(client, run="countdown-k8", step=100)
    record(client, new, SOLVED | {"sample_1": [True, True, True]})
    record(client, create_evaluation(client, run="scored"), {"sample_0": [0.25, 0.5]}, "judge")
    create_evaluation(client, run="not-yet-graded")
    session.add(Run(project_id=project_id(session), name="no-checkpoint"))
    session.commit()

    listed = runs_with_latest(session, project_id(session), RunsQuery()).items
    assert [each.run.run for each in listed] == ["no-checkpoint", "not-yet-graded", "scored", "countdown-k8"]
    latest = [each.latest for each in listed]
    assert latest[0] is None
    assert latest[1] is not None
    assert isinstance(latest[1].outcome, NoVerdict)
    assert points(latest[2]) == PassAtKCurve.from_rewards([[0.25, 0.5]]).value.tolist()
    assert points(latest[3]) == PassAtKCurve.from_counts([3, 3], [1, 3]).value.tolist()
    assert latest[3] is not None
    assert (str(latest[3].found.evaluation.uuid), latest[3].found.step) == (new, 100)


def points(latest: EvaluationOutcome | None) -> list[float]:
    assert latest is not None
    assert isinstance(latest.outcome, EvaluationCurve)
    return [point.value for point in latest.outcome.curve.points]


def test_more_runs_take_no_more_queries(client: httpx.Client, session: Session) -> None:
    def queries() -> int:
        executed: list[str] = []
        engine = session.get_bind()
        event.listen(engine, "before_cursor_execute", lambda *call: executed.append(call[2]))
        runs_with_latest(session, owner, RunsQuery())
        return len(executed)

    owner = project_id(session)
    for name in ("one", "two"):
        record(client, create_evaluation(client, run=name), SOLVED)
        record(client, create_evaluation(client, run=f"{name}-scored"), {"sample_0": [0.5]})
    with_two = queries()
    for name in ("three", "four", "five"):
        record(client, create_evaluation(client, run=name), SOLVED)
        record(client, create_evaluation(client, run=f"{name}-scored"), {"sample_0": [0.5]})
    assert queries() == with_two


def test_runs_of_another_project_are_not_seen(client: httpx.Client, session: Session) -> None:
    other = Project(name="other")
    session.add(other)
    session.flush()
    session.add(Run(project_id=other.id, name="theirs"))
    session.commit()
    assert names(client.get("/v1/runs")) == []
    assert_refused(client.get("/v1/runs/theirs"), 404, "not-found")


def test_archived_runs_are_listed_where_they_are_asked_for(client: httpx.Client) -> None:
    for name in ("first", "second", "third"):
        create_evaluation(client, run=name)
    client.patch("/v1/runs/second", json={"archived": True}).raise_for_status()

    def listed(query: str) -> list[str]:
        return [each["run"] for each in client.get(f"/v1/runs{query}").raise_for_status().json()["runs"]]

    assert listed("") == listed("?archived=false") == ["third", "first"]
    assert listed("?archived=true") == ["second"]
    assert listed("?archived=all") == ["third", "second", "first"]
    assert [each["run"] for page in every_page(client, "/v1/runs", limit=1) for each in page["runs"]] == listed("")
    home = client.get("/").text
    assert "/runs/first" in home
    assert "/runs/second" not in home
    assert_refused(client.get("/v1/runs?archived=yes"), 422, "invalid-request")
