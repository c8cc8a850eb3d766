"""What a training loop logs: stored once, and again in a new segment when the run was resumed."""

import json
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import event, select, text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from app.auth.service import create_key
from app.models import Metric, TrainingGroup
from pkpo.transforms import transform
from tests.app.evaluations import every_page
from tests.app.ingesting import JSON, assert_refused, pointers
from tests.app.processes import eventually

RUN = "qwen-gsm8k"
REWARDS: list[list[float | None]] = [[1, 0, 0.5, 0], [0.25, None, 1]]
PROBLEMS = ["gsm8k-17", "gsm8k-230"]


def post_transform(client: httpx.Client, **record: Any) -> httpx.Response:
    rewards = record.pop("rewards", REWARDS)
    where = {"run": RUN, "step": 120, "problems": PROBLEMS} | record
    return client.post("/v1/transforms", json={"rewards": rewards, "k": 2, "record": where})


def post_groups(client: httpx.Client, *groups: dict[str, Any]) -> httpx.Response:
    return client.post(f"/v1/runs/{RUN}/groups", json={"groups": groups})


def group(**fields: Any) -> dict[str, Any]:
    made = {"rewards": [1, 0, None], "credits": [1.5, -1.5, None], "k": 2, "transform": "rloo", "scale": "mean"}
    return {"step": 120, "problem": "gsm8k-17"} | made | fields


def post_metrics(client: httpx.Client, *metrics: dict[str, Any]) -> httpx.Response:
    return client.post(f"/v1/runs/{RUN}/metrics", json={"metrics": metrics})


def loss(value: Any, **fields: Any) -> dict[str, Any]:
    return {"step": 120, "name": "train/loss", "value": value} | fields


def stored_groups(session: Session) -> list[TrainingGroup]:
    session.rollback()
    session.expire_all()
    order = TrainingGroup.segment, TrainingGroup.step, TrainingGroup.group_index
    return list(session.scalars(select(TrainingGroup).order_by(*order)))


def stored_metrics(session: Session) -> list[Any]:
    session.rollback()
    columns = Metric.segment, Metric.step, Metric.name, Metric.value
    rows = session.execute(select(*columns).order_by(*columns[:3])).all()
    return list(rows)


def test_a_transform_stores_its_groups_before_it_answers(client: httpx.Client, session: Session) -> None:
    texts = [["a", "b", "c", "d"], ["e", "f", '"g"']]
    answer = post_transform(client, completions=texts).raise_for_status().json()
    assert answer["recorded"] == {"segment": 0, "accepted": 2, "replayed": 0}
    first, second = stored_groups(session)
    assert [first.problem, second.problem] == PROBLEMS
    assert (first.segment, first.step, first.group_index, second.group_index) == (0, 120, 0, 1)
    assert [first.rewards, second.rewards] == REWARDS
    assert [first.credits, second.credits] == answer["credits"]
    assert first.credits == transform("sloo_minus_one", [1, 0, 0.5, 0], 2).tolist()
    assert [first.completions, second.completions] == texts
    assert (first.k, first.transform, first.scale) == ({"2": 1.0}, "sloo_minus_one", "sum")


def test_the_weights_of_several_k_are_stored(client: httpx.Client, session: Session) -> None:
    record = {"run": RUN, "step": 0, "problems": ["gsm8k-17"]}
    body = {"rewards": [[1, 0, 1]], "k": {"1": 0.25, "2": 0.75}, "transform": "s", "scale": "mean", "record": record}
    client.post("/v1/transforms", json=body).raise_for_status()
    (stored,) = stored_groups(session)
    assert (stored.k, stored.transform, stored.scale) == ({"1": 0.25, "2": 0.75}, "s", "mean")


@pytest.mark.parametrize("name", ["mixed(0.25)", "mixed(+2.50e-1)"])
def test_the_name_of_mixed_is_kept_and_read_back_as_it_was_given(client: httpx.Client, name: str) -> None:
    record = {"run": "guide", "step": 1, "problems": ["gsm8k-17"]}
    body = {"rewards": [[1, 0, 0, 1]], "k": 2, "transform": name, "record": record}
    credits = client.post("/v1/transforms", json=body).raise_for_status().json()["credits"]
    made = {"step": 2, "problem": "a", "rewards": [1, 0], "credits": [1.0, 0.0], "k": 1, "transform": name}
    client.post("/v1/runs/guide/groups", json={"groups": [made]}).raise_for_status()
    groups = client.get("/v1/runs/guide/groups").raise_for_status().json()["groups"]
    assert [group["transform"] for group in groups] == [name, name]
    assert credits == [groups[0]["credits"]] == [transform("mixed(0.25)", [1, 0, 0, 1], 2).tolist()]


def test_a_transform_without_a_record_asks_the_database_nothing(client: httpx.Client) -> None:
    body = {"rewards": REWARDS, "k": 2}
    asked: list[str] = []

    def answer_without_a_question() -> httpx.Response | None:
        """Where whoever calls is known, which holds for a second, and the service does nothing by itself meanwhile."""
        asked.clear()
        answer = client.post("/v1/transforms", json=body).raise_for_status()
        return None if asked else answer

    def note(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        answer = eventually(answer_without_a_question, 20)
        post_transform(client).raise_for_status()
        assert asked != []
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert answer is not None
    assert "recorded" not in answer.json()


def test_the_same_step_again_is_a_replay(client: httpx.Client, session: Session) -> None:
    first = post_transform(client).raise_for_status().json()
    again = post_transform(client).raise_for_status().json()
    assert again["recorded"] == {"segment": 0, "accepted": 0, "replayed": 2}
    assert again["credits"] == first["credits"]
    assert len(stored_groups(session)) == 2


def test_a_resumed_run_logs_its_steps_again_in_a_new_segment(client: httpx.Client, session: Session) -> None:
    def segment_of(step: int, reward: float) -> int:
        answer = post_transform(client, step=step, rewards=[[reward, 0.0]], problems=["gsm8k-17"])
        segment: int = answer.raise_for_status().json()["recorded"]["segment"]
        return segment

    assert [segment_of(step, 0.5) for step in (100, 101, 102)] == [0, 0, 0]
    # It stopped after step 102, its last checkpoint being that of step 100; other completions are drawn now.
    assert [segment_of(step, 0.75) for step in (101, 102, 103)] == [1, 1, 1]
    assert [(each.segment, each.step, each.rewards[0]) for each in stored_groups(session)] == [
        (0, 100, 0.5),
        (0, 101, 0.5),
        (0, 102, 0.5),
        (1, 101, 0.75),
        (1, 102, 0.75),
        (1, 103, 0.75),
    ]


def test_groups_and_metrics_share_their_segments(client: httpx.Client) -> None:
    assert post_groups(client, group()).json()["segment"] == 0
    assert post_groups(client, group(credits=[1, -1, None])).json()["segment"] == 1
    assert post_metrics(client, loss(0.5)).json()["segment"] == 1


def test_a_segment_that_is_named_is_never_changed(client: httpx.Client, session: Session) -> None:
    post_transform(client, segment=3).raise_for_status()
    assert post_transform(client, segment=3).json()["recorded"] == {"segment": 3, "accepted": 0, "replayed": 2}
    refused = post_transform(client, segment=3, rewards=[[1, 0, 0.5, 0], [0.25, None, 0]])
    assert_refused(refused, 409, "log-conflict")
    assert pointers(refused) == ["/rewards/1"]
    assert [each.rewards for each in stored_groups(session)] == REWARDS
    assert post_transform(client, step=121).json()["recorded"]["segment"] == 3  # the latest


@pytest.mark.parametrize(
    ("record", "pointer"),
    [
        ({"problems": ["gsm8k-17"]}, "/record/problems"),
        ({"completions": [["a"]]}, "/record/completions"),
        ({"completions": [["a"] * 4, ["b"]]}, "/record/completions/1"),
        ({"completions": [["a"] * 4, ["b\0"] * 3]}, "/record/completions/1/0"),
        ({"step": -1}, "/record/step"),
        ({"step": 2**63}, "/record/step"),
        ({"segment": 2**31}, "/record/segment"),
        ({"run": "a b"}, "/record/run"),
        ({"epoch": 1}, "/record"),
    ],
)
def test_a_record_that_does_not_fit_stores_nothing(
    client: httpx.Client, session: Session, record: dict[str, Any], pointer: str
) -> None:
    answer = post_transform(client, **record)
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == [pointer]
    assert session.scalar(text("SELECT count(*) FROM runs")) == 0


@pytest.mark.parametrize("record", ["null", "[]", "1", '"qwen"'])
def test_a_record_is_an_object(shared_client: httpx.Client, record: str) -> None:
    answer = shared_client.post(
        "/v1/transforms", content=f'{{"rewards": [[1]], "k": 1, "record": {record}}}', headers=JSON
    )
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == ["/record"]


def test_a_key_twice_in_a_record_is_refused(shared_client: httpx.Client) -> None:
    record = '{"run": "a", "step": 1, "step": 2, "problems": ["gsm8k-17"]}'
    answer = shared_client.post(
        "/v1/transforms", content=f'{{"rewards": [[1]], "k": 1, "record": {record}}}', headers=JSON
    )
    assert_refused(answer, 422, "invalid-request")


def test_to_record_takes_the_scope_to_write(client: httpx.Client, session: Session) -> None:
    token = create_key(session, "reader", ["read"], None)
    session.commit()
    client.headers["Authorization"] = f"Bearer {token}"
    assert client.post("/v1/transforms", json={"rewards": REWARDS, "k": 2}).status_code == 200
    assert_refused(post_transform(client), 403, "forbidden")
    assert stored_groups(session) == []


def test_groups_of_the_loops_own_making_are_stored(client: httpx.Client, session: Session) -> None:
    answer = post_groups(client, group(), group(problem="gsm8k-230", completions=["a", "b", "c"]), group(step=121))
    assert answer.raise_for_status().json() == {"accepted": 3, "replayed": 0, "segment": 0}
    first, second, third = stored_groups(session)
    assert (first.rewards, first.credits, first.completions) == ([1, 0, None], [1.5, -1.5, None], None)
    assert (first.k, first.transform, first.scale) == ({"2": 1.0}, "rloo", "mean")
    assert second.completions == ["a", "b", "c"]
    assert [(each.step, each.group_index) for each in (first, second, third)] == [(120, 0), (120, 1), (121, 0)]
    assert post_groups(client, group()).json() == {"accepted": 0, "replayed": 1, "segment": 0}


def test_a_step_can_be_logged_in_parts(client: httpx.Client, session: Session) -> None:
    for index in (1, 0):
        post_groups(client, group(group_index=index, problem=PROBLEMS[index])).raise_for_status()
    assert [(each.segment, each.problem) for each in stored_groups(session)] == [(0, name) for name in PROBLEMS]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"credits": [1.0]}, "/groups/0"),
        ({"completions": ["a"]}, "/groups/0"),
        ({"k": {"1": 1e999}}, "/groups/0/k"),
        ({"k": {"1": 10**400}}, "/groups/0/k"),
        ({"rewards": [math.nan, 0, 0]}, "/groups/0/rewards/0/float"),
    ],
)
def test_a_group_that_does_not_fit_is_refused(
    shared_client: httpx.Client, fields: dict[str, Any], pointer: str
) -> None:
    body = json.dumps({"groups": [group(**fields)]})
    answer = shared_client.post(f"/v1/runs/{RUN}/groups", content=body, headers=JSON)
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer)[0].startswith(pointer.rpartition("/float")[0] or pointer)


def test_a_metric_may_be_no_finite_number(client: httpx.Client, session: Session) -> None:
    values = [0.1, 2, "NaN", "Infinity", "-Infinity", None]
    metrics = [loss(value, step=step) for step, value in enumerate(values)]
    assert post_metrics(client, *metrics).json() == {"accepted": 6, "replayed": 0, "segment": 0}
    found = [value for *_, value in stored_metrics(session)]
    assert found[:2] + found[3:5] == [0.1, 2.0, math.inf, -math.inf]
    assert math.isnan(found[2])
    assert math.isnan(found[5])
    assert post_metrics(client, *metrics).json() == {"accepted": 0, "replayed": 6, "segment": 0}


@pytest.mark.parametrize("value", ["1e999", "NaN", "Infinity", '"nan"', '"1"', "true", "[]", f"{10**400}"])
def test_a_value_that_is_no_number_is_refused(shared_client: httpx.Client, value: str) -> None:
    body = f'{{"metrics": [{{"step": 1, "name": "train/loss", "value": {value}}}]}}'
    answer = shared_client.post(f"/v1/runs/{RUN}/metrics", content=body, headers=JSON)
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == ["/metrics/0/value"]


def test_metrics_of_a_resumed_run_are_in_a_new_segment(client: httpx.Client, session: Session) -> None:
    post_metrics(client, loss(0.5), loss(0.25, step=121)).raise_for_status()
    assert post_metrics(client, loss(0.75)).json() == {"accepted": 1, "replayed": 0, "segment": 1}
    assert post_groups(client, group()).json()["segment"] == 1, "which the metrics opened"
    assert stored_metrics(session) == [
        (0, 120, "train/loss", 0.5),
        (0, 121, "train/loss", 0.25),
        (1, 120, "train/loss", 0.75),
    ]


def test_a_conflict_in_a_segment_that_is_named_stores_nothing(client: httpx.Client, session: Session) -> None:
    post_metrics(client, loss(0.5, segment=0)).raise_for_status()
    refused = post_metrics(client, loss(0.5, step=119, segment=0), loss(0.75, segment=0))
    assert_refused(refused, 409, "log-conflict")
    assert pointers(refused) == ["/metrics/1"]
    assert stored_metrics(session) == [(0, 120, "train/loss", 0.5)]


def test_rows_of_one_request_may_not_contradict_each_other(client: httpx.Client, session: Session) -> None:
    answer = post_metrics(client, loss(0.5), loss(0.75))
    assert_refused(answer, 422, "invalid-request")
    assert pointers(answer) == ["/metrics/1"]
    assert post_metrics(client, loss(0.5), loss(0.5)).json() == {"accepted": 1, "replayed": 1, "segment": 0}


def test_no_rows_are_nothing_to_refuse(shared_client: httpx.Client) -> None:
    assert post_metrics(shared_client).status_code == post_groups(shared_client).status_code == 200


def test_a_request_sent_again_under_its_key_is_answered_as_it_was(client: httpx.Client) -> None:
    for path, body in (("groups", {"groups": [group()]}), ("metrics", {"metrics": [loss(0.5)]})):
        headers = {"Idempotency-Key": path}
        first, again = (client.post(f"/v1/runs/{RUN}/{path}", json=body, headers=headers) for _ in range(2))
        assert first.content == again.content
        assert again.headers["idempotent-replayed"] == "true"


def at_once(count: int, send: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    ready = threading.Barrier(count)

    def wait_and_send(number: int) -> httpx.Response:
        ready.wait()
        return send(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(wait_and_send, range(count)))


def test_ranks_that_log_at_once_lose_nothing(client: httpx.Client, session: Session) -> None:
    def send(rank: int) -> httpx.Response:
        return post_groups(client, *(group(group_index=8 * rank + i, problem=f"gsm8k-{rank}-{i}") for i in range(8)))

    answers = at_once(8, send)
    assert [answer.json() for answer in answers] == [{"accepted": 8, "replayed": 0, "segment": 0}] * 8
    assert len(stored_groups(session)) == 64


def test_the_same_step_sent_at_once_is_stored_once(client: httpx.Client, session: Session) -> None:
    answers = at_once(8, lambda _: post_transform(client))
    assert sorted(answer.json()["recorded"]["accepted"] for answer in answers) == [0] * 7 + [2]
    assert len(stored_groups(session)) == 2


def test_groups_are_read_back_as_they_were_logged(client: httpx.Client) -> None:
    weighted = group(problem="gsm8k-230", k={"8": 0.25, "1": 0.5}, completions=["a", "b", "c"])
    post_groups(client, group(), weighted, group(step=121, segment=2)).raise_for_status()
    post_groups(client, group(rewards=[0, 0, None], segment=1)).raise_for_status()
    path = f"/v1/runs/{RUN}/groups"
    found = [each for page in every_page(client, path, limit=1) for each in page["groups"]]
    places = [(each["segment"], each["step"], each["group_index"]) for each in found]
    assert places == [(1, 120, 0), (2, 120, 0), (2, 120, 1), (2, 121, 0)]
    assert found[1] == found[1] | group(completions=None)
    assert found[2] == found[2] | weighted
    for query, expected in (("segment=1", places[:1]), ("step=121", places[3:]), ("segment=1&step=121", [])):
        listed = client.get(f"{path}?{query}").raise_for_status().json()["groups"]
        assert [(each["segment"], each["step"], each["group_index"]) for each in listed] == expected


def test_a_page_of_groups_ends_before_its_texts_are_more_than_a_request_may_hold(client: httpx.Client) -> None:
    for i, mebibytes in enumerate((12, 12, 24, 1)):
        long = group(group_index=i, completions=["€" * (mebibytes * 1024 * 1024 // 3), "", ""])
        post_groups(client, long).raise_for_status()
    pages = list(every_page(client, f"/v1/runs/{RUN}/groups", limit=1000))
    assert [[each["group_index"] for each in page["groups"]] for page in pages] == [[0, 1], [2], [3]]


def test_metrics_are_read_back_as_they_were_logged(client: httpx.Client) -> None:
    values = [0.25, "NaN", "Infinity", "-Infinity", 1e308]
    named = [{"step": step, "name": "train/kl", "value": value} for step, value in enumerate(values)]
    post_metrics(client, *(each | {"segment": 3} for each in reversed(named)), loss(1.5, segment=3)).raise_for_status()
    post_metrics(client, loss(0.5, segment=4)).raise_for_status()
    path = f"/v1/runs/{RUN}/metrics"
    found = [each for page in every_page(client, path, limit=2) for each in page["metrics"]]
    kl = [(3, "train/kl", step, value) for step, value in enumerate(values)]
    assert [(each["segment"], each["name"], each["step"], each["value"]) for each in found] == [
        *kl,
        (3, "train/loss", 120, 1.5),
        (4, "train/loss", 120, 0.5),
    ]
    named_loss = client.get(path, params={"name": "train/loss", "segment": 3}).raise_for_status().json()["metrics"]
    assert [each["value"] for each in named_loss] == [1.5]
    assert [each["value"] for each in client.get(f"{path}?step=3").json()["metrics"]] == ["-Infinity"]


@pytest.mark.parametrize("kind", ["groups", "metrics"])
@pytest.mark.parametrize(
    "query", ["segment=-1", "segment=2147483648", "step=1.0", "step=9223372036854775808", "cursor=W10", "step=1&step=2"]
)
def test_a_log_is_asked_for_in_its_own_words(client: httpx.Client, kind: str, query: str) -> None:
    post_metrics(client, loss(0.5)).raise_for_status()
    assert_refused(client.get(f"/v1/runs/{RUN}/{kind}?{query}"), 422, "invalid-request")
    assert_refused(client.get(f"/v1/runs/nobodys/{kind}"), 404, "not-found")
