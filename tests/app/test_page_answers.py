"""What a browser is answered where it asks for no data: errors as pages, the API's reference, the files of pages."""

import gzip

import httpx
import pytest

from app.pages.answers import csv_file
from dashboards.assets import CACHE_CONTROL
from dashboards.pages import CONTENT_SECURITY_POLICY
from tests.app.ingesting import completion, evaluation, exact, post_completions, post_verifications
from tests.dashboards.examples import Page

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def page(client: httpx.Client, path: str, status: int = 200, **headers: str) -> Page:
    answer = client.get(path, headers=BROWSER | headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    return Page(answer.text)


def test_a_browser_is_told_of_an_error_by_a_page(shared_client: httpx.Client) -> None:
    assert "There is nothing at this address" in page(shared_client, "/nowhere", 404).text
    assert "There is nothing at this address" in page(shared_client, "/evaluations/1", 404).text


def test_a_program_is_told_of_the_same_error_as_a_problem(shared_client: httpx.Client) -> None:
    answer = shared_client.get("/nowhere")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["/v1/nowhere", "/v1/evaluations/1/curve"])
def test_the_api_answers_problems_whoever_asks(shared_client: httpx.Client, path: str) -> None:
    answer = shared_client.get(path, headers=BROWSER)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_refusal_before_any_route_is_a_page_too(shared_client: httpx.Client) -> None:
    assert "PKPO_ALLOWED_HOSTS" in page(shared_client, "/", 400, Host="rebound.example.org").text


def test_a_method_that_a_page_has_not_keeps_its_headers(shared_client: httpx.Client) -> None:
    answer = shared_client.post("/docs", headers=BROWSER)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_the_reference_shows_every_call_with_the_address_that_the_reader_used(shared_client: httpx.Client) -> None:
    shown = page(shared_client, "/docs", Host="10.0.0.5:9000")
    calls = shared_client.get("/openapi.json").json()["paths"]
    assert "/v1/transforms" in calls
    assert not any("<" in path or path in ("/", "/docs") for path in calls), "pages are not calls"
    for path, methods in calls.items():
        for method, call in methods.items():
            assert f"{method.upper()} {path}" in shown.text
            assert call["summary"] in shown.text
    assert "curl 'http://10.0.0.5:9000/v1/transforms'" in shown.text


def test_a_file_of_a_page_is_kept_for_ever_and_gzipped_for_who_takes_it(shared_client: httpx.Client) -> None:
    address = next(each for each in page(shared_client, "/docs").values("href") if each.endswith("/app.css"))
    plain = shared_client.get(address, headers={"Accept-Encoding": "identity, gzip;q=0"})
    assert "content-encoding" not in plain.headers
    assert plain.headers["content-type"] == "text/css; charset=utf-8"
    with shared_client.stream("GET", address, headers={"Accept-Encoding": "br, gzip;q=0.5"}) as zipped:
        assert zipped.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(zipped.iter_raw())) == plain.content
    for answer in (plain, zipped):
        assert answer.headers["cache-control"] == CACHE_CONTROL
        assert answer.headers["vary"] == "Accept-Encoding"
    assert shared_client.get(address.replace("app.css", "plotly.js")).status_code == 404
    assert shared_client.get("/assets/0000000000000000/app.css").status_code == 404


def table(header: list[str], row: list[object]) -> str:
    return bytes(csv_file("a.csv", header, [row]).body).decode()


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "＝1", "\u00a0+1"])
def test_a_name_in_a_csv_is_no_formula(name: str) -> None:
    assert table(["problem"], [name]) == f"problem\r\n'{name}\r\n"


def test_values_of_a_csv_are_exact_and_the_unknown_is_empty() -> None:
    values = ['say "a,b"', 1 / 3, float("nan"), -0.5, True]
    assert table(["a", "b", "c", "d", "e"], values) == 'a,b,c,d,e\r\n"say ""a,b""",0.3333333333333333,,-0.5,true\r\n'


def test_the_page_of_an_evaluation_is_known_until_something_on_it_changes(client: httpx.Client) -> None:
    path = evaluation(client, run="tags", problem_set="tags", sampling={})
    address = f"/evaluations/{path.rpartition('/')[2]}"
    tags: list[str] = []

    def changed() -> bool:
        """Whether the page is another one than at the last look; else it is answered by 304."""
        known = {"If-None-Match": tags[-1]} if tags else {}
        answer = client.get(address, headers=BROWSER | known)
        tags.append(answer.headers["etag"])
        assert (answer.status_code, bool(answer.content)) in ((200, True), (304, False))
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        return answer.status_code == 200

    assert changed()
    assert not changed()
    post_completions(client, path, *(completion("p", i) for i in range(2))).raise_for_status()
    assert changed()
    assert not changed()
    verdict = {"problem": "p", "sample_index": 0} | exact(passed=False)
    post_verifications(client, path, verdict).raise_for_status()
    assert changed()
    client.post("/v1/problem-sets/tags@1/problems", json={"problems": [{"problem": "q"}]}).raise_for_status()
    assert changed()
    evaluation(client, run="tags", step=1, problem_set="tags", sampling={})
    assert changed()
    spec = {"evaluation": path.rpartition("/")[2], "verifier": "format", "options": {"marks": ["="]}}
    job = client.post("/v1/jobs", json={"kind": "verification", "spec": spec})
    assert job.status_code == 202, job.text
    assert changed()
    client.post(f"{job.headers['location']}/cancel", json={}).raise_for_status()
    assert changed()
    assert not changed()
    assert client.get(f"{address}?k=2", headers=BROWSER | {"If-None-Match": tags[-1]}).status_code == 200
