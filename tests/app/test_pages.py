"""Pages and their files over HTTP, with rows written through the API: the numbers are those that REST answers."""

import csv
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.auth.service import create_key
from app.ingest.verifiers import record_options
from app.models import Project
from dashboards.numerals import rate
from tests.app.evaluations import create_evaluation, queries_counted, record
from tests.app.test_page_answers import page
from tests.dashboards.examples import Page

CRUXEVAL = Path(__file__).resolve().parents[3] / "shared/data/cruxeval/sample_scored_codellama-7b_temp0.2_output.json"
GRADED = {"a": [True] * 10, "b": [True] * 3 + [False] * 7, "c": [False] * 10}


def graded(client: httpx.Client, run: str = "codellama-7b", **fields: Any) -> str:
    """The address of the page of an evaluation of three problems: all, three and none of ten completions passed."""
    evaluation = create_evaluation(client, run=run, n=10, **fields)
    record(client, evaluation, GRADED)
    return f"/evaluations/{evaluation}"


def points(client: httpx.Client, address: str, query: str = "") -> list[dict[str, Any]]:
    """What REST says of the same evaluation."""
    found: list[dict[str, Any]] = client.get(f"/v1{address}/curve?{query}").raise_for_status().json()["points"]
    return found


def table(client: httpx.Client, address: str) -> list[dict[str, str]]:
    answer = client.get(address).raise_for_status()
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text)))


def addresses(page: Page, start: str) -> list[str]:
    return [each for each in page.values("href") if each.startswith(start)]


def test_no_runs_yet_shows_what_to_do_with_the_address_that_the_reader_used(client: httpx.Client) -> None:
    first = page(client, "/")
    assert f"pkpo import FILE --run NAME --step 0 --url {str(client.base_url).rstrip('/')}" in first.text


def test_home_shows_each_run_with_its_latest_estimates_intervals_n_and_problems(client: httpx.Client) -> None:
    graded(client, step=0)
    latest = graded(client, step=200)
    of_k = {each["k"]: each for each in points(client, latest)}
    shown = [f"{rate(of_k[k]['value'])} [{rate(of_k[k]['low'])}, {rate(of_k[k]['high'])}]" for k in (1, 8, 10)]
    home = page(client, "/")
    assert "codellama-7b 200 cruxeval-" in home.text
    assert f"@1 10 3 {' '.join(shown)}" in home.text
    assert addresses(home, "/evaluations/") == [latest]


def test_home_says_why_a_run_has_no_number(client: httpx.Client) -> None:
    create_evaluation(client, run="fresh")
    record(client, create_evaluation(client, run="half", n=4), {"a": [True, False], "b": [True, True, None, None]})
    record(client, create_evaluation(client, run="unverified"), {"a": [None, None]})
    both = create_evaluation(client, run="both")
    for verifier in ("base", "plus"):
        record(client, both, {"a": [True, False]}, verifier)
    record(client, create_evaluation(client, run="scored"), {"a": [0.5, 2.0], "b": [-1.0, 3.0]})
    text = page(client, "/").text
    assert "no completions yet" in text
    assert "4 of 8 completions missing" in text
    assert "2 completions, no verdict yet" in text
    assert "2 verifiers: choose one" in text
    assert "max@1 1.125" in text
    assert "max@2 2.500" in text


def test_home_is_filtered_and_paged(client: httpx.Client) -> None:
    for i in range(51):
        create_evaluation(client, run=f"sweep-{i:02d}", problem_set="sums")
    create_evaluation(client, run="100_percent", problem_set="sums")
    first = page(client, "/?filter=sweep")
    assert "sweep-50" in first.text
    assert "sweep-00" not in first.text
    (following,) = addresses(first, "/?filter=sweep&cursor=")
    assert [f"sweep-{i:02d}" in page(client, following).text for i in (0, 1, 50)] == [True, False, False]
    assert "sweep" not in page(client, "/?filter=_PER&cursor=").text, "an underscore is itself, and empty is absent"
    assert "No run’s name contains “llama”" in page(client, "/?filter=llama").text


def test_an_evaluation_shows_the_numbers_of_rest(client: httpx.Client) -> None:
    address = graded(client, sampling={"temperature": 0.2}, model="codellama/CodeLlama-7b-hf", problem_set="cruxeval")
    shown = page(client, address)
    for point in points(client, address):
        low, high = rate(point["low"]), rate(point["high"])
        assert f"{rate(point['value'])} [{low}, {high}] {rate(point['standard_error'])}" in shown.text
        assert str(point["value"]) in shown.values("title")
    for fact in (
        "codellama-7b step 0 on cruxeval@1",
        "n, completions per problem 10",
        "problems 3",
        "completions 30",
        "verifier exact-match@1",
        "sampling temperature 0.2",
        "model codellama/CodeLlama-7b-hf",
        "none 1 33.3 % some 1 33.3 % all 1 33.3 %",
        "b 10 3 0.300 0.533 1.000",  # pass@2 = 1 - C(7, 2) / C(10, 2); ten draws of which seven failed hold no eight
    ):
        assert fact in shown.text
    assert "Not unbiased" not in shown.text


def test_further_k_are_shown_beside_the_usual_ones(client: httpx.Client) -> None:
    address = graded(client)
    shown = page(client, f"{address}?k=5,+3&k=8")
    for point in points(client, address, "k=3&k=5"):
        assert str(point["value"]) in shown.values("title")
    rows = table(client, next(iter(addresses(shown, f"{address}/curve.csv"))))
    assert [row["k"] for row in rows] == ["1", "2", "3", "4", "5", "8", "10"]
    assert "pass@11 needs 11 completions of each problem; n is 10." in page(client, f"{address}?k=11", 422).text


def test_the_curves_file_has_every_digit_and_all_that_a_point_needs(client: httpx.Client) -> None:
    address = graded(client, step=7, problem_set="cruxeval")
    rows = table(client, f"{address}/curve.csv")
    for row, point in zip(rows, points(client, address), strict=True):
        assert {name: float(row[name]) for name in point} == point
        whole = {name: row[name] for name in ("run", "step", "problem_set", "verifier", "metric", "level", "n_min")}
        assert whole == {
            "run": "codellama-7b",
            "step": "7",
            "problem_set": "cruxeval@1",
            "verifier": "exact-match@1",
            "metric": "pass_at_k",
            "level": "0.95",
            "n_min": "10",
        }
        assert (row["problems_used"], row["problems_total"], row["unbiased"]) == ("3", "3", "true")


def test_the_problems_file_has_every_problem_with_the_metric_at_every_k(client: httpx.Client) -> None:
    address = graded(client)
    rows = table(client, f"{address}/problems.csv")
    shown = [(row["problem"], row["n"], row["c"], row["missing"], row["pass_at_1"], row["pass_at_10"]) for row in rows]
    assert shown == [
        ("a", "10", "10", "0", "1.0", "1.0"),
        ("b", "10", "3", "0", "0.3", "1.0"),
        ("c", "10", "0", "0", "0.0", "0.0"),
    ]


def test_a_file_without_a_curve_says_why(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    for name in ("curve.csv", "problems.csv"):
        answer = client.get(f"/evaluations/{evaluation}/{name}")
        assert (answer.status_code, answer.json()["type"]) == (409, "no-verdict")


def test_problems_are_sorted_filtered_and_paged(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {f"sum/{i:02d}": [i > 40, i > 20] for i in range(60)} | {"100%": [True, True]})
    address = f"/evaluations/{evaluation}"

    shown = page(client, f"{address}?sort=-solve_rate&filter=sum")
    assert "60 problems" in shown.text
    assert shown.text.index("sum/41 2 2 1.000") < shown.text.index("sum/21 2 1 0.500")
    (following,) = addresses(shown, f"{address}?sort=-solve_rate&filter=sum&cursor=")
    last = page(client, following)
    assert ("sum/10 2 0 0.000" in shown.text, "sum/10 2 0 0.000" in last.text) == (True, False)
    assert ("sum/11 2 0 0.000" in shown.text, "sum/11 2 0 0.000" in last.text) == (False, True)
    assert "1 problem" in page(client, f"{address}?filter=0%25").text
    assert "No problem contains “minus”" in page(client, f"{address}?filter=minus").text


def test_numbers_in_names_are_sorted_as_numbers(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {f"sample_{i}": [True] for i in range(120)})
    address = f"/evaluations/{evaluation}"
    first = page(client, address)
    assert re.findall(r"sample_(\d+)", first.text) == [str(i) for i in range(50)]
    (following,) = addresses(first, f"{address}?cursor=")
    assert re.findall(r"sample_(\d+)", page(client, following).text) == [str(i) for i in range(50, 100)]
    backwards = page(client, f"{address}?sort=-problem")
    assert re.findall(r"sample_(\d+)", backwards.text)[:3] == ["119", "118", "117"]
    rows = table(client, f"{address}/problems.csv")
    assert [row["problem"] for row in rows] == [f"sample_{i}" for i in range(120)]


def test_missing_completions_have_their_own_page_and_ways_round(client: httpx.Client) -> None:
    evaluation = create_evaluation(client, n=4)
    record(client, evaluation, {"a": [True, False, True, "infrastructure_error"], "b": [True] * 4, "c": [None]})
    address = f"/evaluations/{evaluation}"
    shown = page(client, address)
    assert "5 of 12 completions are missing" in shown.text
    assert "Never sent: 3; without a verdict: 1; lost to infrastructure errors: 1; on 2 of 3 problems." in shown.text
    assert "a 3 1 2 0.667" in shown.text, "n, missing, c, solve rate"
    dropped = page(client, addresses(shown, f"{address}?missing=drop")[0])
    assert "2 of 3 are in it" in dropped.text
    assert "Not unbiased. Completions are missing" in dropped.text
    failed = page(client, addresses(shown, f"{address}?missing=fail")[0])
    assert "the curve can only be too low" in failed.text


def test_verifiers_are_chosen_between(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {"a": [True, True], "b": [False, True]}, "base")
    record(client, evaluation, {"a": [True, False], "b": [False, False]}, "plus")
    address = f"/evaluations/{evaluation}"
    assert "Which verifier?" in page(client, address).text
    assert "1 0.750" in page(client, addresses(page(client, address), f"{address}?verifier=base")[0]).text
    plus = page(client, f"{address}?verifier=plus")
    assert "1 0.250" in plus.text
    assert f"{address}/curve.csv?verifier=plus%401" in plus.values("href")
    assert "unknown" in page(client, f"{address}?verifier=minus", 404).text


def test_what_a_verifier_was_told_stands_under_its_name(client: httpx.Client, session: Session) -> None:
    evaluation = create_evaluation(client, run="codellama-7b")
    record(client, evaluation, {"a": [True, True]}, "python-tests@1")
    record(client, evaluation, {"a": [True, False]}, "python-tests@1-0a1b2c3d")
    project = session.scalars(select(Project.id)).one()
    record_options(session, project, "python-tests@1-0a1b2c3d", {"reward": "fraction"})
    session.commit()
    paths = [f"/evaluations/{evaluation}", "/runs/codellama-7b", f"/evaluations/{evaluation}/problem?problem=a"]
    for path in (*paths, f"/compare?a={evaluation}&b={evaluation}&verifier=python-tests@1-0a1b2c3d"):
        assert "python-tests@1-0a1b2c3d reward fraction" in page(client, path).text, path


def test_rewards_without_a_verdict_are_shown_as_max_at_k(client: httpx.Client) -> None:
    evaluation = create_evaluation(client)
    record(client, evaluation, {"a": [0.5, 2.0, -1.0], "b": [1.0, 3.0, 0.0]})
    address = f"/evaluations/{evaluation}"
    shown = page(client, address)
    assert "max@k" in shown.text
    assert "Solve rates" not in shown.text
    assert "a 3 0.5000 1.500" in shown.text, "n, mean reward, and max@2: 2.0 in two of three pairs, else 0.5"
    rows = table(client, f"{address}/problems.csv")
    shown_of = [(row["c"], row["mean_reward"], row["max_at_3"]) for row in rows]
    assert shown_of == [("", "0.5", "2.0"), ("", str(4 / 3), "3.0")]


def test_one_run_too_large_to_estimate_leaves_the_others_their_page(client: httpx.Client, session: Session) -> None:
    graded(client)
    evaluation = create_evaluation(client, run="six-hundred-thousand")
    record(client, evaluation, {"a": [0.5]})
    session.execute(text("UPDATE evaluation_problems SET completions = 600000 WHERE completions = 1"))
    larger = "UPDATE group_statistics SET n_rewards = 600000, rewards = array_fill(rewards[1], ARRAY[600000])"
    session.execute(text(f"{larger} WHERE n_rewards = 1"))
    session.commit()
    assert "six-hundred-thousand 0 cruxeval" in (home := page(client, "/").text)
    assert "too much to estimate here" in home
    assert "codellama-7b" in home
    shown = page(client, f"/evaluations/{evaluation}").text
    assert "These estimates take 12600000 steps, and one request at most 8388608" in shown


def test_an_estimate_that_is_not_unbiased_says_why(client: httpx.Client) -> None:
    topped_up = create_evaluation(client, n=2, run="topped-up")
    record(client, topped_up, {"a": [True, True], "b": [False, False, False, True]})
    searched = create_evaluation(client, iid=False, run="searched")
    record(client, searched, {"a": [True, True], "b": [False, True]})
    assert "n was declared as 2, and some problems have up to 4" in page(client, f"/evaluations/{topped_up}").text
    assert "not drawn independently" in page(client, f"/evaluations/{searched}").text
    assert page(client, "/").text.count("biased") == 4, "pass@1 and pass@n of both; there is no pass@8"


@pytest.mark.parametrize(
    "query",
    ["sort=name", "missing=perhaps", "k=0", "k=1.5", "k=9999999999", "cursor=abc", "filter=%00", "verifier=a b"],
)
def test_a_query_that_means_nothing_is_refused_in_words(client: httpx.Client, query: str) -> None:
    name = query.partition("=")[0]
    assert f"query/{name}" in page(client, f"{graded(client)}?{query}", 422).text


def test_empty_fields_of_a_form_ask_for_nothing(client: httpx.Client) -> None:
    address = graded(client)
    plain = client.get(address).text
    assert client.get(f"{address}?verifier=&missing=&sort=&filter=&cursor=&k=").text == plain


def test_an_evaluation_that_does_not_exist_is_404(shared_client: httpx.Client) -> None:
    shown = page(shared_client, "/evaluations/00000000-0000-0000-0000-000000000000", 404)
    assert "This project has no evaluation of this id." in shown.text


def test_a_browser_without_a_key_learns_how_pages_are_read(client: httpx.Client, session: Session) -> None:
    token = create_key(session, "laptop", ["read"], None)
    session.commit()
    for address in ("/", "/evaluations/00000000-0000-0000-0000-000000000000"):
        assert "give the key as the password" in page(client, address, 401).text
    assert client.get("/", headers={"Accept": "text/html"}).headers["www-authenticate"].startswith("Basic")
    assert "There are no runs yet" in page(client, "/", Authorization=f"Bearer {token}").text
    assert "POST /v1/transforms" in page(client, "/docs").text, "as open as /openapi.json"


def test_a_page_asks_the_database_a_fixed_number_of_times(client: httpx.Client) -> None:
    with queries_counted(client) as queries_of:
        address = graded(client, run="run-0")
        few, of_evaluation = queries_of("/"), queries_of(address)
        for i in range(1, 20):
            graded(client, run=f"run-{i}")
        assert queries_of("/") == few <= 10
        assert of_evaluation <= 16


@pytest.mark.skipif(not CRUXEVAL.exists(), reason="../shared/data is not here, so real results are not shown")
def test_cruxeval_is_shown_as_it_is_known(client: httpx.Client) -> None:
    command = [sys.executable, "-m", "pkpo", "import", str(CRUXEVAL), "--run", "codellama-7b"]
    sent = [*command, "--url", str(client.base_url)]
    address = subprocess.run(sent, check=True, capture_output=True, text=True).stdout.split()[-1]
    shown = page(client, f"{address}?k=5")
    assert "1 0.342 [0.311, 0.373]" in shown.text
    assert "5 0.403 [0.370, 0.436]" in shown.text
    assert "10 = n 0.419 [0.384, 0.453]" in shown.text
    assert "none 465 58.1 % some 116 14.5 % all 219 27.4 %" in shown.text
    exact = {row["k"]: float(row["value"]) for row in table(client, f"{address}/curve.csv?k=5")}
    assert exact["1"] == pytest.approx(0.342125, abs=1e-12)
    assert exact["5"] == pytest.approx(0.40286706349206347, abs=1e-12)
