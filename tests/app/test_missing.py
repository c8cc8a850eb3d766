"""GET /v1/evaluations/{id}/missing and …/problems: what each problem has, and what it lacks."""

from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.estimates.problems import every_problem, problem_table
from app.estimates.schemas import ProblemsQuery
from app.models import Evaluation
from tests.app.evaluations import Verdict, assert_refused, create_evaluation, every_page, record

# Four of each were to be drawn.
DRAWN: dict[str, list[Verdict]] = {
    "sample_0": [True, False, True, False],
    "sample_1": [True, None, "infrastructure_error"],
    "sample_2": [],
    "sample_3": [False, "timeout", True, True],
}


@pytest.fixture
def client(shared_client: httpx.Client) -> httpx.Client:
    """Each evaluation has a run and a problem set of its own, so one server serves all tests."""
    return shared_client


@pytest.fixture
def drawn(client: httpx.Client) -> str:
    """An evaluation of four problems, one of which has no completion and one too few."""
    problem_set = f"cruxeval-{uuid4()}"
    record(client, create_evaluation(client, problem_set=problem_set), {problem: [True] for problem in DRAWN})
    evaluation = create_evaluation(client, problem_set=problem_set, n=4)
    record(client, evaluation, DRAWN)
    return evaluation


def missing(client: httpx.Client, evaluation: str, query: str = "") -> httpx.Response:
    return client.get(f"/v1/evaluations/{evaluation}/missing?{query}")


def problems(client: httpx.Client, evaluation: str, query: str = "") -> httpx.Response:
    return client.get(f"/v1/evaluations/{evaluation}/problems?{query}")


def names(answer: httpx.Response) -> list[str]:
    return [row["problem"] for row in answer.raise_for_status().json()["problems"]]


def test_missing_completions_are_listed_by_problem(client: httpx.Client, drawn: str) -> None:
    assert missing(client, drawn).raise_for_status().json() == {
        "n": 4,
        "total": 5,
        "missing": [
            {"problem": "sample_1", "sample_indexes": [3]},
            {"problem": "sample_2", "sample_indexes": [0, 1, 2, 3]},
        ],
        "next_cursor": None,
    }


def test_with_a_verifier_a_completion_without_its_verdict_is_missing_too(client: httpx.Client, drawn: str) -> None:
    answer = missing(client, drawn, "verifier=exact-match").raise_for_status().json()
    assert (answer["total"], answer["missing"][0]) == (7, {"problem": "sample_1", "sample_indexes": [1, 2, 3]})
    record(client, drawn, {"sample_0": [None, True]}, "judge")
    judged = missing(client, drawn, "verifier=judge@1").json()
    assert (judged["total"], judged["missing"][0]["sample_indexes"]) == (15, [0, 2, 3])
    assert_refused(missing(client, drawn, f"verifier={uuid4()}"), 404, "not-found")


def test_more_or_fewer_may_be_asked_for_than_were_declared(client: httpx.Client, drawn: str) -> None:
    fewer = missing(client, drawn, "n=3").json()
    assert (fewer["n"], fewer["total"], [each["problem"] for each in fewer["missing"]]) == (3, 3, ["sample_2"])
    more = missing(client, drawn, "n=6").json()
    assert (more["total"], more["missing"][0]) == (13, {"problem": "sample_0", "sample_indexes": [4, 5]})


def test_without_a_declared_n_the_largest_seen_is_expected(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    assert_refused(missing(client, evaluation), 422, "unknown-n")
    record(client, evaluation, {"sample_0": [True] * 3, "sample_1": [True]})
    answer = missing(client, evaluation).json()
    assert (answer["n"], answer["missing"]) == (3, [{"problem": "sample_1", "sample_indexes": [1, 2]}])


def test_pages_of_what_is_missing_join_up(client: httpx.Client) -> None:
    evaluation = create_evaluation(client, n=2)
    record(client, evaluation, {f"sample_{i}": [True] * (1 + i % 2) for i in range(9)})
    pages = list(every_page(client, f"/v1/evaluations/{evaluation}/missing", limit=2))
    assert [[each["problem"] for each in page["missing"]] for page in pages] == [
        ["sample_0", "sample_2"],
        ["sample_4", "sample_6"],
        ["sample_8"],
    ]
    assert {page["total"] for page in pages} == {5}


def test_a_page_lists_at_most_a_million_indexes(client: httpx.Client, drawn: str) -> None:
    answer = missing(client, drawn, "n=600000").raise_for_status().json()
    assert [len(each["sample_indexes"]) for each in answer["missing"]] == [599_996]
    assert answer["next_cursor"] is not None


def test_counts_without_completions_lack_none(client: httpx.Client, shared_session: Session, drawn: str) -> None:
    shared_session.execute(update(Evaluation).filter_by(uuid=UUID(drawn)).values(counts_only=True))
    shared_session.commit()
    assert_refused(missing(client, drawn), 409, "counts-only")


def test_problems_come_with_their_counts(client: httpx.Client, drawn: str) -> None:
    def row(problem: str, completions: int, n: int, c: int, mean: float | None) -> dict[str, object]:
        counts = {"completions": completions, "n": n, "c": c, "missing": 4 - n}
        return {"problem": problem, "mean_reward": mean, **counts}

    assert problems(client, drawn).raise_for_status().json() == {
        "verifier": "exact-match@1",
        "matching": 4,
        "problems": [
            row("sample_0", 4, 4, 2, 0.5),
            row("sample_1", 3, 1, 1, 1),
            row("sample_2", 0, 0, 0, None),
            row("sample_3", 4, 4, 2, 0.5),
        ],
        "next_cursor": None,
    }


def test_problems_can_be_listed_before_anything_was_graded(client: httpx.Client) -> None:
    evaluation = create_evaluation(client, n=2)
    assert problems(client, evaluation).json() == {"verifier": None, "matching": 0, "problems": [], "next_cursor": None}
    record(client, evaluation, {"sample_0": [None]})
    (row,) = problems(client, evaluation).json()["problems"]
    assert (row["completions"], row["n"], row["missing"]) == (1, 0, 2)


GRADED: dict[str, list[Verdict]] = {
    "b": [0.5, 1e308, 1e308],
    "a": [0.5, -0.25],
    "d": [None],
    "c": [True, False, 1e308],
    "e": [0.5, -0.25],
}


@pytest.fixture
def graded(client: httpx.Client) -> str:
    """Five problems: two alike, one without a verdict, means beyond what Postgres can compute."""
    evaluation = create_evaluation(client)
    record(client, evaluation, GRADED)
    return evaluation


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("problem", "abcde"),
        ("-problem", "edcba"),
        ("n", "daebc"),
        ("-n", "bcaed"),
        ("missing", "bcaed"),
        ("-missing", "daebc"),
        ("mean_reward", "aecbd"),
        ("-mean_reward", "bcaed"),
        ("solve_rate", "abcde"),  # of none it is known
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_problems_are_sorted_with_what_is_not_known_last_on_every_page(
    client: httpx.Client, graded: str, sort: str, order: str, limit: int
) -> None:
    pages = every_page(client, f"/v1/evaluations/{graded}/problems", sort=sort, limit=limit)
    listed = [row["problem"] for page in pages for row in page["problems"]]
    assert "".join(listed) == order


def test_problems_are_sorted_by_solve_rate(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {"a": [True, False], "b": [None], "c": [False], "d": [True], "e": [True, False]})
    for sort, order in (("solve_rate", "caedb"), ("-solve_rate", "daecb")):
        pages = every_page(client, f"/v1/evaluations/{evaluation}/problems", sort=sort, limit=1)
        assert "".join(row["problem"] for page in pages for row in page["problems"]) == order


def test_numbers_in_names_sort_as_numbers(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    in_order = ["HumanEval/2", "HumanEval/010", "HumanEval/10", "a" * 400, "b1c" * 166, "b1d"]
    record(client, evaluation, {name: [True] for name in reversed(in_order)})
    for sort, order in (("problem", in_order), ("-problem", [*in_order[:2:-1], *in_order[1:3], in_order[0]])):
        pages = every_page(client, f"/v1/evaluations/{evaluation}/problems", sort=sort, limit=1)
        assert [row["problem"] for page in pages for row in page["problems"]] == order


def test_problems_are_found_by_a_part_of_their_name(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    named = ("HumanEval/1", "HumanEval/11", "mbpp_1%", "mbpp\\2", "Ätna")
    record(client, evaluation, {problem: [True] for problem in named})
    found = {
        part: client.get(f"/v1/evaluations/{evaluation}/problems", params={"filter": part}).json()
        for part in ("eval/1", "%", "_", "\\", "ät", "'", "HumanEval/1")
    }
    assert {part: [row["problem"] for row in each["problems"]] for part, each in found.items()} == {
        "eval/1": ["HumanEval/1", "HumanEval/11"],
        "%": ["mbpp_1%"],
        "_": ["mbpp_1%"],
        "\\": ["mbpp\\2"],
        "ät": ["Ätna"],
        "'": [],
        "HumanEval/1": ["HumanEval/1", "HumanEval/11"],
    }
    assert found["eval/1"]["matching"] == 2


def test_a_page_knows_the_estimates_of_each_problem(client: httpx.Client, shared_session: Session, drawn: str) -> None:
    evaluation = shared_session.scalars(select(Evaluation).filter_by(uuid=UUID(drawn))).one()
    table = problem_table(shared_session, evaluation, "exact-match@1", ProblemsQuery(), "pass_at_k", (1, 2, 4))
    nan = float("nan")
    expected = [[0.5, 5 / 6, 1], [1, nan, nan], [nan] * 3, [0.5, 5 / 6, 1]]
    np.testing.assert_allclose([row.estimates for row in table.page.items], expected, rtol=1e-15)
    rows = every_problem(shared_session, evaluation, "exact-match@1", "max_at_k", (1, 2, 4))
    np.testing.assert_allclose([row.estimates for row in rows], expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("path", "query", "pointer"),
    [
        *(("missing", f"n={n}", "query/n") for n in ("0", "-1", "1000001", "9" * 4999, "4.0", "1e3", "nan", "")),
        *(("missing", f"verifier={name}", "query/verifier") for name in ("%00", "a@b@c", "")),
        *(("missing", f"cursor={cursor}", "query/cursor") for cursor in ("x", "WzEuNV0", "WyJhIiwxXQ")),
        *(("problems", f"sort={sort}", "query/sort") for sort in ("id", "--n", "c", "", "n;drop")),
        *(("problems", f"filter={part}", "query/filter") for part in ("%00", "%0A", "x" * 501)),
        # [1, 1] where a name is sorted by, ["a", 1] where a number is, ["\u0000", 1]
        *(("problems", f"cursor={cursor}", "query/cursor") for cursor in ("WzEsMV0", "WyJcdTAwMDAiLDFd")),
        ("problems", "sort=n&cursor=WyJhIiwxXQ", "query/cursor"),
        ("problems", "limit=0", "query/limit"),
        ("problems", "sort=n&sort=n", "query"),
        ("missing", "k=1", "query"),
    ],
)
def test_a_query_is_read_to_the_letter(client: httpx.Client, drawn: str, path: str, query: str, pointer: str) -> None:
    problem = assert_refused(client.get(f"/v1/evaluations/{drawn}/{path}?{query}"), 422, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_an_unknown_evaluation_is_not_found(client: httpx.Client) -> None:
    for path in ("missing", "problems"):
        assert_refused(client.get(f"/v1/evaluations/{uuid4()}/{path}"), 404, "not-found")


def test_several_verifiers_are_told_apart(client: httpx.Client, drawn: str) -> None:
    record(client, drawn, {"sample_0": [False] * 4}, "judge")
    assert assert_refused(problems(client, drawn), 422, "verifier-needed")["verifiers"] == ["exact-match@1", "judge@1"]
    assert problems(client, drawn, "verifier=judge").json()["problems"][0]["c"] == 0
    assert_refused(problems(client, drawn, "verifier=nobody"), 404, "unknown-verifier")
