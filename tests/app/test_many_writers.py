"""More writers at once than the service has threads, all waiting for one evaluation, or one segment, to be free."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.app.evaluations import create_evaluation

WRITERS = 120


def at_once(client: httpx.Client, post: Callable[[httpx.Client, int], httpx.Response]) -> list[httpx.Response]:
    """The answers to requests that all are under way together."""
    limits = httpx.Limits(max_connections=WRITERS, max_keepalive_connections=WRITERS)
    with (
        httpx.Client(base_url=client.base_url, timeout=60, limits=limits) as wide,
        ThreadPoolExecutor(WRITERS) as pool,
    ):
        return list(pool.map(lambda i: post(wide, i), range(WRITERS)))


def test_all_write_to_one_evaluation(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)

    def post(wide: httpx.Client, i: int) -> httpx.Response:
        rows = [{"problem": "p", "sample_index": i, "verifications": [{"verifier": "v", "passed": i % 3 == 0}]}]
        return wide.post(f"/v1/evaluations/{evaluation}/completions", json={"completions": rows})

    answers = at_once(client, post)
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    curve = client.get(f"/v1/evaluations/{evaluation}/curve?k=1").json()
    assert curve["n_min"] == WRITERS
    assert curve["points"][0]["value"] == pytest.approx(1 / 3)


def test_transforms_that_record_and_a_log_write_to_one_segment(client: httpx.Client) -> None:
    def post(wide: httpx.Client, i: int) -> httpx.Response:
        body: dict[str, Any] = {"rewards": [[0, 1, 1, 0]], "k": 2}
        if i % 2:
            where = {"run": "r", "segment": 1, "step": i, "problems": ["p"]}
            return wide.post("/v1/transforms", json=body | {"record": where})
        metric = {"segment": 1, "step": i, "name": "loss", "value": 1}
        return wide.post("/v1/runs/r/metrics", json={"metrics": [metric]})

    answers = at_once(client, post)
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
