"""Curves from the statistics of ten million completions: the first after a start, and those that are kept."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import psycopg

from app.db import migrate
from app.embedded_postgres import EmbeddedPostgres
from app.estimates.kept import CACHE
from benchmarks.ratio import Ratio, best_seconds
from tests.app.serving import serving

# Problems and completions of each: ten million.
SHAPES: Final = ((1_000, 10_000), (10_000, 1_000), (100_000, 100))
METRICS: Final = ("pass_at_k", "max_at_k")
CHECKPOINTS: Final = 1_000
OF_A_CHECKPOINT: Final = (100, 10)
ROUNDS: Final = 3

PROBLEMS: Final = (
    "INSERT INTO problems (problem_set_id, name) SELECT %(problem_set)s, 'problem-' || i"
    " FROM generate_series(1, %(problems)s) AS i"
)
COMPLETIONS: Final = (
    "INSERT INTO evaluation_problems (evaluation_id, problem_id, completions) SELECT evaluations.id, problems.id, %(n)s"
    " FROM evaluations JOIN problems USING (problem_set_id) WHERE problem_set_id = %(problem_set)s ORDER BY 1, 2"
)
# As ingest keeps them. How many passed differs from problem to problem, and from checkpoint to checkpoint.
STATISTICS: Final = (
    "INSERT INTO group_statistics"
    " (evaluation_id, problem_id, verifier_id, n, c, n_rewards, infrastructure_errors, rewards, version)"
    " SELECT evaluations.id, problems.id, %(verifier)s, %(n)s, c, %(n)s, 0,"
    " array_fill(1::float8, ARRAY[c]) || array_fill(0::float8, ARRAY[%(n)s - c]), 1"
    " FROM evaluations JOIN problems USING (problem_set_id)"
    " CROSS JOIN LATERAL (SELECT ((problems.id * 31 + evaluations.id * 17) %% (%(n)s + 1))::int) AS passed (c)"
    " WHERE problem_set_id = %(problem_set)s ORDER BY 1, 2"
)
GROUPED: Final = (
    "SELECT group_statistics.evaluation_id, sum(group_statistics.n), sum(c) FROM group_statistics"
    " JOIN evaluations ON evaluations.id = evaluation_id WHERE problem_set_id = %s GROUP BY 1"
)


def measure() -> Iterator[Ratio]:
    """What HTTP takes, against the same counts summed by SQL, and against a request that reads nothing."""
    with service() as (client, connection):
        for problems, n in SHAPES:
            evaluation, problem_set = _filled(client, connection, problems, n, steps=1)
            for metric in METRICS:
                path = f"/v1/evaluations/{evaluation}/curve?metric={metric}"
                name = f"{metric}, {problems:,} problems × {n:,}"
                yield from _ratios(name, client, path, partial(_grouped, connection, problem_set))
        problems, n = OF_A_CHECKPOINT
        _, problem_set = _filled(client, connection, problems, n, steps=CHECKPOINTS)
        path = f"/v1/runs/run-of-{problems}/curves?k=1&limit=1000"
        name = f"{CHECKPOINTS:,} checkpoints, {problems:,} problems × {n:,}"
        yield from _ratios(name, client, path, partial(_grouped, connection, problem_set))


def _ratios(name: str, client: httpx.Client, path: str, grouped: Callable[[], object]) -> Iterator[Ratio]:
    cold, warm, sql, echo = best_seconds(
        partial(_cold, client, path),
        partial(_get, client, path),
        grouped,
        partial(_get, client, "/healthz"),
        repeats=ROUNDS,
    )
    yield Ratio(f"cold: {name}", cold / sql, "GROUP BY", detail=f"{cold * 1e3:.1f} ms, GROUP BY {sql * 1e3:.1f} ms")
    yield Ratio(f"warm: {name}", warm / echo, "/healthz", detail=f"{warm * 1e3:.1f} ms, /healthz {echo * 1e3:.1f} ms")


def _cold(client: httpx.Client, path: str) -> None:
    CACHE.clear()
    _get(client, path)


def _get(client: httpx.Client, path: str) -> None:
    client.get(path).raise_for_status()


def _grouped(connection: psycopg.Connection[Any], problem_set: int) -> None:
    connection.execute(GROUPED, [problem_set]).fetchall()


def _filled(
    client: httpx.Client, connection: psycopg.Connection[Any], problems: int, n: int, steps: int
) -> tuple[UUID, int]:
    """An evaluation and the id of its problem set, with statistics of each of so many steps of a run."""
    wanted = {"run": f"run-of-{problems}", "problem_set": f"set-of-{problems}", "n": n}
    for step in range(steps):
        evaluation = client.post("/v1/evaluations", json=wanted | {"step": step}).raise_for_status().json()["id"]
    found = connection.execute("SELECT problem_set_id FROM evaluations WHERE uuid = %s", [evaluation]).fetchone()
    assert found is not None
    verifier = "INSERT INTO verifiers (project_id, name, version) SELECT id, %s, '1' FROM projects RETURNING id"
    added = connection.execute(verifier, [f"exact-match-{problems}"]).fetchone()
    assert added is not None
    fields = {"problem_set": found[0], "problems": problems, "n": n, "verifier": added[0]}
    for statement in (PROBLEMS, COMPLETIONS, STATISTICS):
        connection.execute(statement, fields)
    connection.execute("VACUUM ANALYZE")
    return evaluation, found[0]


@contextmanager
def service() -> Iterator[tuple[httpx.Client, psycopg.Connection[Any]]]:
    """A client of a service in this process, whose cache it can empty, and a connection to its Postgres."""
    with ExitStack() as until_the_end:
        folder = until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="pkpo-bench-"))
        url = until_the_end.enter_context(EmbeddedPostgres(Path(folder))).url
        migrate(url)
        address = until_the_end.enter_context(serving(url))
        connection = until_the_end.enter_context(psycopg.connect(url.replace("+psycopg", ""), autocommit=True))
        yield until_the_end.enter_context(httpx.Client(base_url=address, timeout=600)), connection
