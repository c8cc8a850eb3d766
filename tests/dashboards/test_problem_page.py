from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.pages import ProblemRow
from dashboards.problem_page import (
    FOLDED_FROM,
    MOST_SHOWN,
    Mark,
    ProblemPage,
    ShownCompletion,
    Verdict,
    folded,
    render_problem,
)
from tests.dashboards.examples import EVALUATION, Page
from tests.dashboards.test_pages import HOSTILE

SAID = Verdict("exact@1", "failed", False, 0.0, "42", '{"line": 3}')
COMPLETION = ShownCompletion(2, "def f():\n    return 42", (("finish reason", "stop"),), (SAID,))
PAGE = ProblemPage(
    url=f"/evaluations/{EVALUATION}/problem",
    evaluation_url=f"/evaluations/{EVALUATION}",
    evaluation=EVALUATION,
    run="llama-pkpo",
    run_url="/runs/llama-pkpo",
    step=400,
    problem_set="sums@1",
    problem="sum/1",
    row=ProblemRow("sum/1", 4, 1, 0.25, 0, (0.25, 0.5, 1.0)),
    metric="pass_at_k",
    ks=(1, 2, 4),
    verifiers=("exact@1",),
    verifier="exact@1",
    marks=(Mark(0, "passed", "passed"), Mark(2, "failed", "timeout"), Mark(3, "unknown", "no verdict")),
    at=1,
    more_before=False,
    more_after=False,
    completion=COMPLETION,
)


def shown(**changes: Any) -> Page:
    return Page(render_problem(replace(PAGE, **changes)))


def link(index: int) -> str:
    return f"/evaluations/{EVALUATION}/problem?problem=sum%2F1&index={index}"


def test_n_c_and_the_estimates_stand_with_the_completion_and_its_verdict() -> None:
    text = shown().text
    for words in (
        "sum/1 llama-pkpo · step 400 on sums@1",
        "n, completions with a result 4 c, passed 1",
        "pass@1 0.250 pass@2 0.500 pass@4 1.000",
        "Completion 2",
        "finish reason stop",
        "def f(): return 42",
        "exact@1 failed reward 0.0",
        "answer 42",
        'detail {"line": 3}',
    ):
        assert words in text


def test_an_estimate_beyond_the_problems_n_is_left_out() -> None:
    text = shown(row=ProblemRow("sum/1", 2, 1, 0.5, 2, (0.5, 1.0, float("nan")))).text
    assert "missing 2 pass@1 0.500 pass@2 1.000 verifier" in text


def test_the_strip_leads_to_each_completion_and_says_each_verdict_in_words() -> None:
    page = shown()
    assert [link(i) in page.values("href") for i in (0, 2, 3)] == [True] * 3
    assert {"0: passed", "2: timeout", "3: no verdict"} <= set(page.values("title"))
    current = [attributes for _, attributes in page.elements if "aria-current" in attributes]
    assert [each["href"] for each in current] == [link(2)]


def test_next_and_previous_are_the_neighbours_that_there_are() -> None:
    def turns(page: Page) -> dict[str | None, str | None]:
        return {a["rel"]: a["href"] for tag, a in page.elements if tag == "a" and "rel" in a}

    assert turns(shown()) == {"prev": link(0), "next": link(3)}
    assert turns(shown(at=0)) == {"next": link(2)}
    assert turns(shown(at=2)) == {"prev": link(2)}
    assert "Next j or → , previous k or ←" in shown().text


def test_a_part_of_a_long_strip_leads_on() -> None:
    titles = shown(more_before=True, more_after=True).values("title")
    assert {"earlier completions", "later completions"} <= set(titles)
    assert not {"earlier completions", "later completions"} & set(shown().values("title"))


def test_the_verifier_stays_chosen_from_completion_to_completion() -> None:
    page = shown(verifiers=("base@1", "exact@1"))
    chosen = f"/evaluations/{EVALUATION}/problem?problem=sum%2F1&verifier="
    assert f"{chosen}exact%401&index=3" in page.values("href")
    assert f"{chosen}base%401&index=2" in page.values("href")
    assert f"/evaluations/{EVALUATION}?verifier=exact%401" in page.values("href")


def test_a_problem_without_completions_or_a_completion_without_text_says_so() -> None:
    assert "no completions here" in shown(marks=(), at=None, completion=None).text
    bare = ShownCompletion(2, None, (), ())
    text = shown(completion=bare, row=None, verifiers=(), verifier=None).text
    assert "Its text was not recorded." in text
    assert "No verifier has looked at it." in text


@given(st.text(alphabet="ab\n", max_size=40).map(lambda text: text * 700))
def test_a_folded_text_is_the_whole_text(text: str) -> None:
    parts = folded(text)
    assert parts.head + parts.rest == text
    assert len(parts.head) <= FOLDED_FROM
    assert parts.cut == 0


def test_a_text_is_folded_at_the_end_of_a_line_and_a_huge_one_is_cut_and_says_so() -> None:
    lines = "x" * 99 + "\n"
    assert folded(lines * 100).head == lines * (FOLDED_FROM // 100)
    huge = folded("x" * (MOST_SHOWN + 5))
    assert (len(huge.head), len(huge.head + huge.rest), huge.cut) == (FOLDED_FROM, MOST_SHOWN, 5)
    page = shown(completion=replace(COMPLETION, text="x" * (MOST_SHOWN + 5)))
    assert "194,000 more characters" in page.text
    assert "5 characters are left out here" in page.text
    assert f"/v1/evaluations/{EVALUATION}/completions?problem=sum%2F1" in page.values("href")


@pytest.mark.parametrize(
    "text", [*HOSTILE, "</pre><script>alert(1)</script>", "</details><img src=x onerror=alert(1)>"]
)
def test_hostile_text_is_shown_and_makes_no_element(text: str) -> None:
    def page_of(said: str) -> Page:
        verdict = Verdict(said, said, None, None, said, said)
        completion = ShownCompletion(2, said, ((said, said),), (verdict,))
        return shown(problem=said, run=said, completion=completion, verifiers=(said,), verifier=said)

    unkind = page_of(text)
    assert unkind.shape == page_of("kind").shape
    assert unkind.text.count(" ".join(text.split())) >= 9


def test_a_text_keeps_its_first_empty_line() -> None:
    html = render_problem(replace(PAGE, completion=replace(COMPLETION, text="\n  x")))
    assert '<pre class="text">\n\n  x</pre>' in html, "the parser drops the first line feed only"
