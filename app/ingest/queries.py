"""The SQL of the write side. Whoever writes completions or verdicts calls `lock_problems` first: see there."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from psycopg import Connection, sql
from psycopg.types.json import Jsonb
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.ingest.canonical import canonical_json

Key = tuple[int, int]  # problem_id, sample_index
VerdictKey = tuple[int, int, int]  # problem_id, sample_index, verifier_id
VersionedName = tuple[str, str]  # name, version
Author = tuple[int | None, int | None]  # job, attempt
NO_JOB: Final[Author] = (None, None)


class CountContent(NamedTuple):
    """What counts say of a problem: completions judged, and of them passed."""

    n: int
    c: int

    def as_stored(self) -> tuple[object, ...]:
        """The same."""
        return self


class CompletionContent(NamedTuple):
    """What a row of `completions` says under its key, in the order of COMPLETION_COLUMNS; `text_sha256` aside."""

    text: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    logprob: float | None
    seed: int | None

    def as_stored(self) -> tuple[Any, ...]:
        """The same without its text, which the hash stands for."""
        return (_sha256(self.text), *self[1:])


class VerdictContent(NamedTuple):
    """What a row of `verifications` says under its key, in the order of VERDICT_COLUMNS."""

    reward: float | None
    passed: bool | None
    status: str
    answer: str | None
    detail: str | None  # canonical JSON

    def as_stored(self) -> tuple[Any, ...]:
        """The same."""
        return self


COMPLETION_COLUMNS: Final = {
    "evaluation_id": "int8",
    "problem_id": "int8",
    "sample_index": "int4",
    "text": "text",
    "text_sha256": "bytea",
    "finish_reason": "text",
    "prompt_tokens": "int4",
    "completion_tokens": "int4",
    "logprob": "float8",
    "seed": "int8",
}
VERDICT_COLUMNS: Final = {
    "evaluation_id": "int8",
    "problem_id": "int8",
    "sample_index": "int4",
    "verifier_id": "int8",
    "reward": "float8",
    "passed": "bool",
    "status": "text",
    "answer": "text",
    "detail": "jsonb",
}

# Which attempt at which job has written the row.
AUTHOR_COLUMNS: Final = {"job_id": "int8", "attempt": "int4"}

VERIFIER_IDS: Final = text(
    "SELECT name, version, id FROM unnest(CAST(:names AS text[]), CAST(:versions AS text[])) AS wanted (name, version)"
    " JOIN verifiers USING (name, version) WHERE project_id = :project_id"
)
ADD_VERIFIERS: Final = text(
    "INSERT INTO verifiers (project_id, name, version)"
    " SELECT :project_id, * FROM unnest(CAST(:names AS text[]), CAST(:versions AS text[])) ON CONFLICT DO NOTHING"
)
PROBLEM_IDS: Final = text(
    "SELECT name, id FROM problems WHERE problem_set_id = :problem_set_id AND name = ANY(CAST(:names AS text[]))"
)
ADD_PROBLEMS: Final = text(
    "INSERT INTO problems (problem_set_id, name) SELECT :problem_set_id, unnest(CAST(:names AS text[]))"
    " ON CONFLICT DO NOTHING"
)
# FOR SHARE: whoever closes the set waits until those who add problems to it have finished.
IS_CLOSED: Final = text("SELECT closed FROM problem_sets WHERE id = :problem_set_id FOR SHARE")

ADD_EVALUATION_PROBLEMS: Final = text(
    "INSERT INTO evaluation_problems (evaluation_id, problem_id)"
    " SELECT :evaluation_id, unnest(CAST(:problem_ids AS bigint[])) ON CONFLICT DO NOTHING"
)
LOCK_EVALUATION_PROBLEMS: Final = text(
    "SELECT problem_id, completions FROM evaluation_problems"
    " WHERE evaluation_id = :evaluation_id AND problem_id = ANY(CAST(:problem_ids AS bigint[]))"
    " ORDER BY problem_id FOR UPDATE"
)
COUNT_COMPLETIONS: Final = text(
    "UPDATE evaluation_problems AS problem SET completions = problem.completions + added.completions"
    " FROM unnest(CAST(:problem_ids AS bigint[]), CAST(:added AS integer[])) AS added (problem_id, completions)"
    " WHERE problem.evaluation_id = :evaluation_id AND problem.problem_id = added.problem_id"
)

# LATERAL makes the planner look up key by key. Left to choose, it reads the whole evaluation, or, where a table has
# grown since it was last analyzed, all of its verdicts again for every key: 10 s in place of 6 ms for 5,000 keys.
STORED_COMPLETIONS: Final = text(
    "SELECT stored.* FROM unnest(CAST(:problem_ids AS bigint[]), CAST(:sample_indexes AS integer[]))"
    " AS key (problem_id, sample_index) CROSS JOIN LATERAL ("
    "SELECT problem_id, sample_index, text_sha256, finish_reason, prompt_tokens, completion_tokens, logprob, seed"
    " FROM completions WHERE evaluation_id = :evaluation_id AND problem_id = key.problem_id"
    " AND sample_index = key.sample_index LIMIT 1) AS stored"
)
STORED_VERDICTS: Final = text(
    "SELECT stored.* FROM unnest(CAST(:problem_ids AS bigint[]), CAST(:sample_indexes AS integer[]))"
    " AS key (problem_id, sample_index) CROSS JOIN LATERAL ("
    "SELECT problem_id, sample_index, verifier_id, reward, passed, status, answer, detail"
    " FROM verifications WHERE evaluation_id = :evaluation_id AND problem_id = key.problem_id"
    " AND sample_index = key.sample_index OFFSET 0) AS stored"
)
VERDICTS_TO_HISTORY: Final = text(
    "WITH replaced AS (DELETE FROM verifications AS verdict"
    " USING unnest(CAST(:problem_ids AS bigint[]), CAST(:sample_indexes AS integer[]), CAST(:verifier_ids AS bigint[]))"
    " AS key (problem_id, sample_index, verifier_id)"
    " WHERE verdict.evaluation_id = :evaluation_id AND verdict.problem_id = key.problem_id"
    " AND verdict.sample_index = key.sample_index AND verdict.verifier_id = key.verifier_id RETURNING verdict.*)"
    " INSERT INTO verification_history"
    " (evaluation_id, problem_id, sample_index, verifier_id, reward, passed, status, answer, detail)"
    " SELECT evaluation_id, problem_id, sample_index, verifier_id, reward, passed, status, answer, detail FROM replaced"
)
# OFFSET 0 keeps the verifier out of the choice of an index: see above.
DERIVE_STATISTICS: Final = text(
    "INSERT INTO group_statistics AS stored"
    " (evaluation_id, problem_id, verifier_id, n, c, n_rewards, infrastructure_errors, rewards, version)"
    " SELECT :evaluation_id, problem_id, verifier_id, counted.*, 1"
    " FROM unnest(CAST(:problem_ids AS bigint[]), CAST(:verifier_ids AS bigint[])) AS key (problem_id, verifier_id)"
    " CROSS JOIN LATERAL ("
    "SELECT count(passed), count(*) FILTER (WHERE passed), count(reward),"
    " count(*) FILTER (WHERE status = 'infrastructure_error'),"
    " coalesce(array_agg(reward ORDER BY sample_index) FILTER (WHERE reward IS NOT NULL), '{}')"
    " FROM (SELECT verifier_id, sample_index, reward, passed, status FROM verifications"
    " WHERE evaluation_id = :evaluation_id AND problem_id = key.problem_id OFFSET 0) AS verdict"
    " WHERE verdict.verifier_id = key.verifier_id) AS counted"
    " ON CONFLICT (evaluation_id, problem_id, verifier_id) DO UPDATE SET n = excluded.n, c = excluded.c,"
    " n_rewards = excluded.n_rewards, infrastructure_errors = excluded.infrastructure_errors,"
    " rewards = excluded.rewards, version = stored.version + 1"
)


# Counts have no verdicts to derive them from, and no rewards.
STORED_COUNTS: Final = text(
    "SELECT problem_id, verifier_id, n, c FROM group_statistics WHERE evaluation_id = :evaluation_id"
    " AND problem_id = ANY(CAST(:problem_ids AS bigint[]))"
)
ADD_COUNTS: Final = text(
    "INSERT INTO group_statistics"
    " (evaluation_id, problem_id, verifier_id, n, c, n_rewards, infrastructure_errors, rewards, version)"
    " SELECT :evaluation_id, key.*, 0, 0, '{}', 1 FROM unnest(CAST(:problem_ids AS bigint[]),"
    " CAST(:verifier_ids AS bigint[]), CAST(:n AS integer[]), CAST(:c AS integer[])) AS key"
)


def verifier_ids(session: Session, project_id: int, wanted: Collection[VersionedName]) -> dict[VersionedName, int]:
    """The ids of the verifiers, made where there are none, whoever makes them at the same time.

    Made in the order of their names: two writers with verifiers in common would wait for each other otherwise.
    """
    if not wanted:
        return {}
    known = _verifier_ids(session, project_id, wanted)
    if unknown := sorted(set(wanted) - known.keys()):
        session.execute(ADD_VERIFIERS, _names_and_versions(project_id, unknown))
        known |= _verifier_ids(session, project_id, unknown)
    return known


def _verifier_ids(session: Session, project_id: int, wanted: Collection[VersionedName]) -> dict[VersionedName, int]:
    rows = session.execute(VERIFIER_IDS, _names_and_versions(project_id, wanted))
    return {(name, version): id_ for name, version, id_ in rows}


def _names_and_versions(project_id: int, wanted: Collection[VersionedName]) -> dict[str, Any]:
    names, versions = zip(*wanted, strict=True)
    return {"project_id": project_id, "names": list(names), "versions": list(versions)}


def problem_ids(session: Session, problem_set_id: int, names: Iterable[str]) -> dict[str, int]:
    """The ids of those of the problems that the set has."""
    rows = session.execute(PROBLEM_IDS, {"problem_set_id": problem_set_id, "names": list(names)})
    return {row.name: row.id for row in rows}


def add_problems(session: Session, problem_set_id: int, names: Iterable[str]) -> dict[str, int]:
    """The ids of problems that the set had not, whoever else adds the same; none where the set is closed.

    Added in the order of their names: two writers with problems in common would wait for each other otherwise.
    """
    if session.scalar(IS_CLOSED, {"problem_set_id": problem_set_id}):
        return {}
    session.execute(ADD_PROBLEMS, {"problem_set_id": problem_set_id, "names": sorted(names)})
    return problem_ids(session, problem_set_id, names)


def lock_problems(session: Session, evaluation_id: int, problems: Iterable[int]) -> dict[int, int]:
    """How many completions each problem has, which until the end of the transaction nobody else will change.

    First the rows that are not there are added, in key order, then all are locked, in key order. Who waits in the
    first step holds no lock that is asked for in the second, so that no circle can form.
    """
    wanted = {"evaluation_id": evaluation_id, "problem_ids": sorted(problems)}
    session.execute(ADD_EVALUATION_PROBLEMS, wanted)
    return {row.problem_id: row.completions for row in session.execute(LOCK_EVALUATION_PROBLEMS, wanted)}


def stored_completions(session: Session, evaluation_id: int, keys: Collection[Key]) -> dict[Key, tuple[Any, ...]]:
    """What is stored under the keys, as CompletionContent shows it."""
    if not keys:
        return {}
    rows = session.execute(STORED_COMPLETIONS, {"evaluation_id": evaluation_id, **_columns(keys)})
    return {(row[0], row[1]): tuple(row[2:]) for row in rows}


def stored_verdicts(session: Session, evaluation_id: int, keys: Collection[Key]) -> dict[VerdictKey, tuple[Any, ...]]:
    """What all verifiers have said of the completions under the keys, as VerdictContent shows it."""
    if not keys:
        return {}
    rows = session.execute(STORED_VERDICTS, {"evaluation_id": evaluation_id, **_columns(keys)})
    return {(row[0], row[1], row[2]): (*row[3:-1], _spelled(row.detail)) for row in rows}


def _spelled(detail: Any) -> str | None:
    return None if detail is None else canonical_json(detail)


def move_to_history(session: Session, evaluation_id: int, keys: Collection[VerdictKey]) -> None:
    """Take verdicts that are about to be replaced out of `verifications`, and keep them as history."""
    if not keys:
        return
    session.execute(VERDICTS_TO_HISTORY, {"evaluation_id": evaluation_id, **_columns(keys)})


def add_completions(
    session: Session, evaluation_id: int, rows: Mapping[Key, CompletionContent], author: Author = NO_JOB
) -> None:
    """Store completions that are not stored, and count them."""
    if not rows:
        return
    # Made one by one: Postgres, which takes longer, stores the first ones meanwhile.
    each = ((evaluation_id, *key, row.text, _sha256(row.text), *row[1:], *author) for key, row in rows.items())
    _copy(session, "completions", COMPLETION_COLUMNS | AUTHOR_COLUMNS, each)
    added = Counter(problem_id for problem_id, _ in rows)
    keys = {"evaluation_id": evaluation_id, "problem_ids": list(added), "added": list(added.values())}
    session.execute(COUNT_COMPLETIONS, keys)


def add_verdicts(
    session: Session, evaluation_id: int, rows: Mapping[VerdictKey, VerdictContent], author: Author = NO_JOB
) -> None:
    """Store verdicts that are not stored, and derive the statistics of their problems anew."""
    if not rows:
        return
    each = ((evaluation_id, *key, *row[:-1], _as_jsonb(row.detail), *author) for key, row in rows.items())
    _copy(session, "verifications", VERDICT_COLUMNS | AUTHOR_COLUMNS, each)
    problems, verifiers = zip(*{(problem_id, verifier_id) for problem_id, _, verifier_id in rows}, strict=True)
    groups = {"problem_ids": list(problems), "verifier_ids": list(verifiers)}
    session.execute(DERIVE_STATISTICS, {"evaluation_id": evaluation_id, **groups})


def stored_counts(session: Session, evaluation_id: int, problems: Collection[int]) -> dict[Key, tuple[Any, ...]]:
    """What is stored of these problems by problem and verifier, as CountContent shows it."""
    rows = session.execute(STORED_COUNTS, {"evaluation_id": evaluation_id, "problem_ids": list(problems)})
    return {(row[0], row[1]): tuple(row[2:]) for row in rows}


def add_counts(session: Session, evaluation_id: int, rows: Mapping[Key, CountContent]) -> None:
    """Store counts, by problem and verifier, that are not stored."""
    if not rows:
        return
    columns = zip(*((*key, *row) for key, row in rows.items()), strict=True)
    names = ("problem_ids", "verifier_ids", "n", "c")
    values = {name: list(column) for name, column in zip(names, columns, strict=True)}
    session.execute(ADD_COUNTS, {"evaluation_id": evaluation_id, **values})


def _sha256(text: str | None) -> bytes | None:
    return None if text is None else sha256(text.encode()).digest()


def _as_jsonb(detail: str | None) -> Jsonb | None:
    return None if detail is None else Jsonb(detail, dumps=str)


def _columns(keys: Collection[Sequence[int]]) -> dict[str, list[int]]:
    names = ("problem_ids", "sample_indexes", "verifier_ids")
    return {name: list(column) for name, column in zip(names, zip(*keys, strict=True), strict=False)}


def _copy(session: Session, table: str, columns: Mapping[str, str], rows: Iterable[tuple[Any, ...]]) -> None:
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, Connection)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(table), names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(list(columns.values()))
        for row in rows:
            copy.write_row(row)
