"""What verifiers were told stands in plain words under their names, on every page that lists them."""

from dataclasses import replace

import pytest

from dashboards.compare_page import ComparePage, render_compare
from dashboards.pages import VerifierNeeded
from dashboards.problem_page import render_problem
from dashboards.run_page import render_run
from dashboards.verifier_options import MOST_CHARACTERS, in_words
from tests.dashboards import test_problem_page, test_run_page
from tests.dashboards.examples import Page
from tests.dashboards.test_compare_page import side
from tests.dashboards.test_pages import HOSTILE, evaluation

NAME = "python-tests@1-0a1b2c3d"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reward": "fraction", "seconds": 5}, "reward fraction; seconds 5"),
        ({"extract": ["boxed", "hashes"], "ignore_case": True}, "extract boxed, hashes; ignore_case true"),
        ({"extract": []}, "extract []"),
        ({"options": {"most": 5}}, 'options {"most": 5}'),
        (
            {
                "terms": [
                    {"verifier": "exact-match@1", "options": {}, "weight": 1},
                    {"verifier": "format@1", "options": {"marks": ["<a>"]}, "weight": 0.1},
                ]
            },
            "terms exact-match@1 + 0.1 × format@1 (marks <a>)",
        ),
        ({"terms": [{"verifier": 1, "weight": "x"}, 2]}, 'terms {"verifier": 1, "weight": "x"} + 2'),
    ],
)
def test_options_in_words(options: dict[str, object], words: str) -> None:
    assert in_words(options) == words


def test_words_without_end_are_cut() -> None:
    words = in_words({"marks": ["x" * 10_000]})
    assert (len(words), words[-1]) == (MOST_CHARACTERS, "…")


def every_page(options: dict[str, dict[str, object]]) -> list[Page]:
    """Each page on which two sets of options stand to choose from, and the evaluation's without a choice."""
    names = ("python-tests@1", NAME)
    two = {"verifiers": names, "options": options}
    compared = ComparePage(side("a"), side("b"), "Choose one.", (), False, verifiers=names, options=options)
    sides = test_problem_page.PAGE
    return [
        evaluation(**two, verifier=NAME),
        evaluation(**two, verifier=None, outcome=VerifierNeeded(names), solved=None, problems=None),
        Page(render_problem(replace(sides, **two, verifier=NAME))),  # type: ignore[arg-type]
        Page(render_run(replace(test_run_page.PAGE, **two))),  # type: ignore[arg-type]
        Page(render_compare(compared)),
    ]


def test_every_page_that_lists_verifiers_says_what_each_was_told() -> None:
    for page in every_page({NAME: {"reward": "fraction"}}):
        assert "reward fraction" in page.text
        assert page.text.count("reward fraction") <= 2


@pytest.mark.parametrize("text", HOSTILE)
def test_what_was_told_is_only_ever_text(text: str) -> None:
    plain = [len(page.elements) for page in every_page({NAME: {"marks": "x"}})]
    assert [len(page.elements) for page in every_page({NAME: {"marks": [text], text: text}})] == plain
