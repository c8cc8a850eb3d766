"""A run's page and two runs side by side over HTTP, from what their training loops log."""

import json
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Run
from app.pages.training import ROLLING_STEPS, training_log
from app.training.series import MOST_BUCKETS
from dashboards.training_log import TrainingLog
from pkpo.estimators import pass_at_k
from tests.app.evaluations import create_evaluation, queries_counted, record, statements_sent
from tests.app.test_page_answers import page
from tests.app.test_pages import addresses

RUN = "pkpo-k8"


def log_metrics(client: httpx.Client, values: dict[str, dict[int, Any]], run: str = RUN, segment: int = 0) -> None:
    """The values by name and step."""
    rows = [
        {"segment": segment, "name": name, "step": step, "value": value}
        for name, steps in values.items()
        for step, value in steps.items()
    ]
    for start in range(0, len(rows), 10_000):
        body = {"metrics": rows[start : start + 10_000]}
        client.post(f"/v1/runs/{run}/metrics", json=body).raise_for_status()


def read(session: Session, run: str = RUN) -> TrainingLog:
    found = training_log(session, session.scalars(select(Run.id).filter_by(name=run)).one())
    assert found is not None
    return found


def means(log: TrainingLog, name: str) -> dict[int, float]:
    return {point.first_step: point.mean for point in log.known[name].points}


def test_each_step_of_a_short_run_is_a_point(client: httpx.Client, session: Session) -> None:
    entropy = {step: 2.0 / step for step in range(1, 51)}
    log_metrics(client, {"entropy": entropy, "pass@8": {10: 0.5, 20: 0.625}})
    found = read(session)
    assert found.width == 1
    assert means(found, "entropy") == entropy
    assert means(found, "pass@8") == {10: 0.5, 20: 0.625}
    shown = page(client, f"/runs/{RUN}")
    assert "Training step 50" in shown.text
    assert "Each point is the mean" not in shown.text


def test_a_long_run_is_drawn_by_means_whose_extent_is_kept(client: httpx.Client, session: Session) -> None:
    values = np.random.default_rng(0).normal(size=1_000).round(6)
    log_metrics(client, {"loss": dict(enumerate(values.tolist())), "other": {5: 1.0}})
    found = read(session)
    points = found.known["loss"].points
    assert found.width == 3
    assert len(points) == 334 <= MOST_BUCKETS
    for i, point in enumerate(points):
        part = values[3 * i : 3 * i + 3]
        assert (point.first_step, point.last_step, point.steps) == (3 * i, 3 * i + len(part) - 1, len(part))
        assert_allclose([point.mean, point.low, point.high], [part.mean(), part.min(), part.max()], atol=1e-12)
    assert [series.name for series in found.others] == ["other"]
    assert "Each point is the mean of 3 steps" in page(client, f"/runs/{RUN}").text


def test_of_a_step_logged_twice_the_later_segment_wins_and_the_earlier_is_kept_apart(
    client: httpx.Client, session: Session
) -> None:
    log_metrics(client, {"entropy": dict.fromkeys(range(1, 21), 1.0)})
    log_metrics(client, {"entropy": dict.fromkeys(range(11, 15), 2.0)}, segment=1)
    found = read(session)
    assert means(found, "entropy") == dict.fromkeys(range(1, 11), 1.0) | dict.fromkeys(range(11, 15), 2.0)
    ((segment, given_up),) = found.known["entropy"].given_up
    assert (segment, [point.first_step for point in given_up]) == (0, list(range(11, 21)))
    assert {point.mean for point in given_up} == {1.0}
    shown = page(client, f"/runs/{RUN}").text
    assert "step 14 segments 2" in shown, "where the latest segment stands"
    assert "Segment 0 was taken over at step 11 by segment 1: what it logged from there to step 20" in shown

    log_metrics(client, {"entropy": {6: 3.0}}, segment=2)
    again = read(session)
    assert means(again, "entropy") == dict.fromkeys(range(1, 6), 1.0) | {6: 3.0}
    assert [segment for segment, _ in again.known["entropy"].given_up] == [0, 1]


def test_what_is_no_number_is_counted_and_warned_of(client: httpx.Client, session: Session) -> None:
    words = {2: "NaN", 3: "Infinity", 4: None, 5: 1e308, 6: -1e308}
    log_metrics(client, {"grad_norm": {1: 1.0, **words, 900: 2.0}})
    (first, *_, last) = read(session).known["grad_norm"].points
    assert (first.mean, first.not_finite, first.first_not_finite) == (1.0, 2, 2), "steps 1 to 3 are one point"
    assert last.mean == 2.0
    assert "grad_norm is not a finite number at step 2, 5 times in all." in page(client, f"/runs/{RUN}").text


def test_what_was_not_logged_is_estimated_from_the_groups(client: httpx.Client, session: Session) -> None:
    rng = np.random.default_rng(1)
    passed = rng.random((60, 4, 8)) < 0.4  # steps, problems, completions
    groups = [
        {"step": step + 1, "problem": f"p{(step + i) % 7}", "rewards": rewards.astype(float).tolist()}
        | {"credits": [0.0 if rewards.all() or not rewards.any() else 1.0] * 8, "transform": "sloo_minus_one"}
        | {"k": 4 if step < 30 else {"1": 0.5, "3": 0.5}}
        for step, problems in enumerate(passed)
        for i, rewards in enumerate(problems)
    ]
    client.post(f"/v1/runs/{RUN}/groups", json={"groups": groups}).raise_for_status()
    found = read(session)
    c = passed.sum(axis=2)
    for k in (1, 2, 4, 8):
        last = c[-ROLLING_STEPS:].ravel()
        expected = pass_at_k(np.full(last.size, 8), last, k).mean()
        assert_allclose(found.known[f"pass@{k}"].points[-1].mean, expected)
    assert_allclose(list(means(found, "reward/mean").values()), passed.mean(axis=(1, 2)))
    assert_allclose(list(means(found, "zero_signal_share").values()), ((c == 0) | (c == 8)).mean(axis=1))
    assert set(means(found, "k").values()) == {4.0, 2.0}
    solved = found.known["cumulative_solve_rate"].points
    assert solved[-1].mean == 1.0
    first = {f"p{i % 7}" for i in range(4)}
    assert solved[0].mean == sum(bool(each) for each in c[0]) / len(first)
    assert "Estimated from the logged groups" in page(client, f"/runs/{RUN}").text

    log_metrics(client, {"pass@1": {1: 0.25}})
    assert set(read(session).passes()) == {1}, "what the loop says itself goes first"


def test_rewards_that_nobody_called_passed_have_no_pass_at_k(client: httpx.Client, session: Session) -> None:
    group = {"step": 1, "problem": "p", "rewards": [0.5, None, 1.0], "credits": [0.0, None, 0.0], "k": 2}
    body = {"groups": [group | {"transform": "s"}]}
    client.post(f"/v1/runs/{RUN}/groups", json=body).raise_for_status()
    found = read(session)
    assert set(found.known) == {"k", "zero_signal_share"}
    assert means(found, "zero_signal_share") == {1: 1.0}


def test_steps_at_the_end_of_their_range_are_drawn(client: httpx.Client, session: Session) -> None:
    log_metrics(client, {"loss": {0: 1.0, 2**63 - 1: 2.0}})
    assert [point.mean for point in read(session).known["loss"].points] == [1.0, 2.0]
    page(client, f"/runs/{RUN}")


def test_more_metrics_than_the_list_holds_are_counted(client: httpx.Client) -> None:
    log_metrics(client, {f"layer/{i:03}<script>": {1: float(i)} for i in range(100)})
    shown = page(client, f"/runs/{RUN}")
    assert "40 more metrics are logged" in shown.text
    assert "layer/059<script>" in shown.text


def test_the_page_of_a_run_that_stands_still_is_answered_by_304(client: httpx.Client) -> None:
    log_metrics(client, {"loss": {1: 1.0}})
    before = client.get(f"/runs/{RUN}")
    known = {"If-None-Match": before.headers["etag"]}
    assert client.get(f"/runs/{RUN}", headers=known).status_code == 304
    log_metrics(client, {"loss": {2: 0.5}})
    assert client.get(f"/runs/{RUN}", headers=known).status_code == 200


def checkpoints(client: httpx.Client, run: str = RUN) -> list[str]:
    evaluations = []
    for step, passes in ((0, (0, 1, 3)), (100, (2, 0, 4)), (200, (2, 2, 4))):
        evaluations.append(create_evaluation(client, run=run, step=step, problem_set="sums", n=4))
        record(client, evaluations[-1], {f"p{i}": [j < c for j in range(4)] for i, c in enumerate(passes)})
    return evaluations


def test_checkpoints_say_what_they_newly_solve_and_forget(client: httpx.Client) -> None:
    first, second, third = checkpoints(client)
    shown = page(client, f"/runs/{RUN}")
    assert addresses(shown, "/compare?a=")[:2] == [f"/compare?a={first}&b={second}", f"/compare?a={second}&b={third}"]
    assert "+1 −1" in shown.text
    assert "+1 −0" in shown.text
    compared = page(client, f"/compare?a={first}&b={second}")
    assert "1 newly solved" in compared.text
    assert "1 forgotten" in compared.text
    rest = client.get(f"/v1/comparisons?a={first}&b={second}").json()
    for point in rest["points"]:
        assert str(point["difference"]) in compared.values("title")
    assert addresses(compared, f"/evaluations/{second}/problem") == [
        f"/evaluations/{second}/problem?problem=p0&verifier=exact-match%401"
    ]
    assert addresses(page(client, f"/evaluations/{second}"), "/compare") == [f"/compare?a={first}&b={second}"]


def test_evaluations_are_chosen_from_those_of_one_problem_set(client: httpx.Client) -> None:
    first, *_ = checkpoints(client)
    other = create_evaluation(client, run="elsewhere", step=5, problem_set="others")
    both = client.get("/compare").text
    assert "elsewhere, step 5 on others@1" in both
    assert f'value="{other}"' in both
    chosen = client.get(f"/compare?a={first}").text
    assert f'value="{other}"' not in chosen
    assert f'<option value="{first}" selected>' in chosen
    assert "There is no evaluation to choose of such a run." in client.get("/compare?filter=nobody").text
    refused = page(client, f"/compare?a={first}&b={other}")
    assert "on two problem sets" in refused.text


@pytest.mark.parametrize("query", ["a=1", "runs=a,b,c", "runs=a%20b,c", "k=0", "filter=%00"])
def test_an_address_that_means_nothing_is_refused_in_words(client: httpx.Client, query: str) -> None:
    assert f"query/{query.partition('=')[0]}" in page(client, f"/compare?{query}", 422).text


def test_who_is_not_there_is_not_compared(client: httpx.Client) -> None:
    shown = page(client, "/compare?runs=nobody,none", 404)
    assert "This project has no run nobody and no run none ." in shown.text
    assert {"nobody", "none"} <= set(shown.values("value")), "to be typed anew"
    page(client, f"/compare?a={'0' * 8}-0000-0000-0000-{'0' * 12}", 404)


def test_missing_completions_are_said_with_what_to_do(client: httpx.Client) -> None:
    first, *_ = checkpoints(client)
    short = create_evaluation(client, run=RUN, step=300, problem_set="sums", n=4)
    record(client, short, {"p0": [True] * 4})
    shown = page(client, f"/compare?a={first}&b={short}")
    assert "Evaluation b: Of 12 completions expected, 8 do not exist" in shown.text
    (dropped,) = addresses(shown, f"/compare?a={first}&b={short}&missing=drop")
    assert "problems 1 of 3" in page(client, dropped).text


def test_two_runs_are_drawn_in_one_figure_each(client: httpx.Client) -> None:
    for run, value in ((RUN, 1.0), ("pkpo-k1", 2.0)):
        log_metrics(client, {"entropy": {1: value, 2: value}}, run)
        checkpoints(client, run)
    shown = page(client, f"/compare?runs={RUN},pkpo-k1")
    figures = [json.loads(each) for each in shown.data]
    assert [[trace["name"] for trace in figure["data"]] for figure in figures] == [["A", "B"], ["A", "B"]]
    assert page(client, f"/compare?runs={RUN}&runs=pkpo-k1").data == shown.data


def test_groups_are_not_read_where_all_that_they_would_say_is_logged(client: httpx.Client, session: Session) -> None:
    group = {"step": 1, "problem": "p", "rewards": [1.0, 0.0], "credits": [1.0, -1.0], "k": 2, "transform": "s"}
    client.post(f"/v1/runs/{RUN}/groups", json={"groups": [group]}).raise_for_status()
    logged = ("k", "zero_signal_share", "reward/mean", "cumulative_solve_rate", "pass@1")
    with statements_sent() as asked:
        for i, name in enumerate(logged):
            log_metrics(client, {name: {1: 0.25}})
            asked.clear()
            found = read(session)
            reads = [each for each in asked if "training_groups.rewards" in each]
            assert bool(reads) == (i < len(logged) - 1)
    assert {name: means(found, name) for name in logged} == {name: {1: 0.25} for name in logged}


def test_the_lists_of_evaluations_say_where_they_are_cut(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    *_, third = checkpoints(client)
    assert 'id="cut"' not in client.get("/compare").text
    monkeypatch.setattr("app.pages.compare.MOST_CHOICES", 2)
    shown = client.get("/compare").text
    assert "The lists have the first 2 evaluations" in shown
    assert third not in shown
    assert third in client.get(f"/compare?b={third}").text, "what is chosen stays"


def test_two_runs_are_chosen_where_evaluations_are(client: httpx.Client) -> None:
    checkpoints(client)
    shown = page(client, "/compare")
    assert "Or two runs" in shown.text
    assert RUN in shown.values("value")
    alone = page(client, f"/compare?runs={RUN}&runs=")
    assert f"Choose the run that is to lie beside {RUN} ." in alone.text
    assert RUN in alone.values("value")


def test_the_page_asks_the_database_a_fixed_number_of_times(client: httpx.Client) -> None:
    with queries_counted(client) as queries_of:
        log_metrics(client, {"entropy": {1: 1.0}})
        few = queries_of(f"/runs/{RUN}")
        log_metrics(client, {f"metric/{i}": dict.fromkeys(range(20), 1.0) for i in range(50)})
        assert queries_of(f"/runs/{RUN}") == few <= 18
