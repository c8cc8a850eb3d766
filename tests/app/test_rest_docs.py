"""docs/rest.md: every example does what it shows, and its tables hold what the service can say."""

import re
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import httpx
import pytest

import app
from app.body import JSON, JSON_LINES, PARQUET
from app.errors import MOST_ERRORS, AppError
from app.estimates.schemas import MOST_KS, MOST_N
from app.ingest.schemas import MOST_ROWS, MOST_VERDICTS, MOST_VERDICTS_OF_A_REQUEST
from app.middleware import MIB, body_limit
from app.training.fields import MOST_WEIGHTS
from app.training.schemas import MOST_ROWS as MOST_LOGGED
from app.transforms.schemas import MOST_GROUPS
from app.transforms.wire import MOST_REWARDS
from tests.documents import ROOT, checkout, examples, run

PAGE = "docs/rest.md"
END = "end of a block"
ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (\d{3}) \|", re.MULTILINE)
# Errors that no class stands for are answered by a call of this function, or are the framework's own.
ANSWERED = re.compile(r'(?:problem_response|_unavailable)\((\d{3}), "([a-z0-9-]+)"')
OF_THE_FRAMEWORK = {("method-not-allowed", 405)}


def section(title: str) -> str:
    """The part of the page under a heading."""
    page = (ROOT / PAGE).read_text()
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_every_example_of_the_guide_does_what_it_shows(tmp_path: Path, base_url: str) -> None:
    """In one shell, for a reader's variables live from block to block."""
    tour = list(examples(PAGE))
    assert len(tour) >= 15
    blocks = [each.code if each.language == "sh" else f"python - <<'END'\n{each.code}END\n" for each in tour]
    script = "".join(f"{block}printf '\\n{END}\\n'\n" for block in blocks)
    printed = run(["bash", "-euo", "pipefail", "-c"], script, checkout(tmp_path), base_url).split(f"\n{END}\n")
    for example, output in zip(tour, printed[:-1], strict=True):
        example.assert_shown(output)


def test_the_table_of_errors_has_every_type_and_no_other() -> None:
    for module in walk_packages(app.__path__, "app."):
        import_module(module.name)
    classes, found = [AppError], set(OF_THE_FRAMEWORK)
    while classes:
        classes += (cause := classes.pop()).__subclasses__()
        if hasattr(cause, "type"):
            found.add((cause.type, cause.status))
    for source in Path(*app.__path__).rglob("*.py"):
        found |= {(type_, int(status)) for status, type_ in ANSWERED.findall(source.read_text())}
    rows = ROW.findall(section("Errors"))
    assert len(rows) == len(set(rows)) > 30
    assert {(type_, int(status)) for type_, status in rows} == found


def test_a_method_that_an_address_has_not_is_answered_as_the_table_says(shared_client: httpx.Client) -> None:
    answer = shared_client.put("/v1/runs")
    assert (answer.json()["type"], answer.status_code) in OF_THE_FRAMEWORK
    assert answer.headers["Allow"] == "GET"


@pytest.mark.parametrize(
    ("subject", "bound"),
    [
        (
            "body, sent and decoded",
            f"{body_limit('/v1/evaluations') // MIB} MiB; {body_limit('/v1/transforms') // MIB} MiB",
        ),
        ("rewards in a request", f"{MOST_REWARDS:,}"),
        ("completions, verdicts, groups to store, or metrics in a request", f"{MOST_ROWS:,}"),
        ("verdicts on one completion in a request", f"{MOST_VERDICTS}"),
        ("verdicts on all completions of a request", f"{MOST_VERDICTS_OF_A_REQUEST:,}"),
        ("k in a curve or an estimate", f"{MOST_KS}"),
        ("k in a weighted transform", f"{MOST_WEIGHTS:,}"),
        ("n that `…/missing` lists, and n of a problem in `/v1/estimates`", f"{MOST_N:,}"),
        ("`errors` in an answer", f"{MOST_ERRORS}"),
    ],
)
def test_the_limits_are_those_of_the_code(subject: str, bound: str) -> None:
    assert re.search(rf"^\| {re.escape(subject)} \| {bound}\b", section("Limits"), re.MULTILINE)


def test_what_is_stored_in_one_request_has_one_limit() -> None:
    assert MOST_ROWS == MOST_GROUPS == MOST_LOGGED


def test_the_forms_that_completions_come_in_are_shown() -> None:
    assert all(f"Content-Type: {media_type}" in (ROOT / PAGE).read_text() for media_type in (JSON, JSON_LINES, PARQUET))
