"""The page of a run of 10,000 steps while it trains: asked again when nothing is new, and after each step."""

from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Final

import httpx

from benchmarks.curves import service
from benchmarks.ratio import Ratio, best_seconds

STEPS: Final = 10_000
GROUPS: Final = 16  # of a step, of 16 completions each
NAMES: Final = (
    *("entropy", "k", "reward/mean", "reward/std", "cumulative_solve_rate", "zero_signal_share", "grad_norm", "loss"),
    *("pass@1", "pass@2", "pass@4", "pass@8", "pass@12", "pass@16", "kl", "learning_rate", "tokens", "mean_abs_credit"),
    *("seconds/sampling", "seconds/verifying", "seconds/learning", "seconds/pkpo"),
)
ROUNDS: Final = 9
METRICS: Final = (
    "INSERT INTO metrics (run_id, segment, name, step, value)"
    " SELECT runs.id, 0, metric, step, abs(sin(step * 0.01 + length(metric)))"
    " FROM runs, unnest(%(names)s::text[]) AS metric, generate_series(2, %(steps)s) AS step WHERE runs.name = 'long'"
)
OF_GROUPS: Final = (
    "INSERT INTO training_groups (run_id, segment, step, group_index, problem, rewards, credits, k, transform, scale)"
    " SELECT runs.id, 0, step, i, 'p' || (step * 7 + i) %% 3000, array_fill((step %% 2)::float8, ARRAY[16]),"
    " array_fill(0.5::float8, ARRAY[16]), '{\"8\": 1.0}', 'sloo_minus_one', 'mean'"
    " FROM runs, generate_series(1, %(steps)s) AS step, generate_series(0, %(groups)s - 1) AS i"
    " WHERE runs.name = 'long'"
)


def measure() -> Iterator[Ratio]:
    """Of a run that a training job logs: every metric that the page draws, and every group."""
    with service() as (client, connection):
        _log(client, 1)
        for statement in (METRICS, OF_GROUPS):
            connection.execute(statement, {"names": list(NAMES), "steps": STEPS, "groups": GROUPS})
        connection.execute("VACUUM ANALYZE")
        tag = client.get("/runs/long", headers=_asked("")).raise_for_status().headers["etag"]
        same, echo = best_seconds(partial(_same, client, tag), partial(client.get, "/healthz"), repeats=ROUNDS)
        detail = f"{same * 1e3:.1f} ms, /healthz {echo * 1e3:.1f} ms"
        yield Ratio(f"unchanged, {STEPS:,} steps", same / echo, "/healthz", detail=detail)
        steps = count(STEPS + 1)
        drawn, again = best_seconds(partial(_drawn, client, steps), partial(_same_after, client), repeats=ROUNDS)
        detail = f"{drawn * 1e3:.0f} ms, unchanged {again * 1e3:.1f} ms"
        yield Ratio(f"after a step, {STEPS:,} steps", drawn / again, "unchanged", detail=detail)


def _asked(tag: str) -> dict[str, str]:
    return {"Accept": "text/html", "If-None-Match": tag}


def _log(client: httpx.Client, step: int) -> None:
    metrics = [{"segment": 0, "step": step, "name": name, "value": 0.5} for name in NAMES]
    client.post("/v1/runs/long/metrics", json={"metrics": metrics}).raise_for_status()


def _same(client: httpx.Client, tag: str) -> None:
    assert client.get("/runs/long", headers=_asked(tag)).status_code == 304


def _drawn(client: httpx.Client, steps: Iterator[int]) -> None:
    """The page after a step, with the time that it takes to log the step, a few milliseconds."""
    _log(client, next(steps))
    answer = client.get("/runs/long", headers=_asked("")).raise_for_status()
    client.headers["x-known"] = answer.headers["etag"]


def _same_after(client: httpx.Client) -> None:
    _same(client, client.headers["x-known"])
