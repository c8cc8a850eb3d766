"""Where an answer stands, by each way of marking it, and which number a text is."""

from fractions import Fraction

import pytest

from app.jobs.options.verifiers import Extraction
from workers.verifiers.answers import extracted, number


@pytest.mark.parametrize(
    ("way", "completion", "answer"),
    [
        ("boxed", r"so \boxed{\frac{1}{2}} and no more", r"\frac{1}{2}"),
        ("boxed", r"\boxed{1} then \boxed{2}", "2"),
        ("boxed", r"\fbox{7}", "7"),
        ("boxed", r"\boxed {3}", "3"),
        ("boxed", r"\boxed{1} and \boxed{unclosed", "1"),
        ("boxed", r"\boxed{\left\{ 1, 2 \right.}", r"\left\{ 1, 2 \right."),
        ("boxed", r"\boxed{a \boxed{b} c}", "b"),
        ("boxed", "none", None),
        ("hashes", "work\n#### 18\nafter", "18"),
        ("hashes", "#### 1\n#### 2", "2"),
        ("hashes", "none", None),
        ("tag", "<answer>a</answer> <ANSWER> b </ANSWER>", "b"),
        ("tag", "<answer>unclosed", None),
        ("last_number", "first 3, then 1,234.50 apples.", "1,234.50"),
        ("last_number", "it is -3.", "-3"),
        ("last_number", "5 of 7/8", "7/8"),
        ("last_number", "x2 and v1.0b", None),
        ("last_number", "1e5", "1e5"),
        ("last_number", ".5", ".5"),
        ("last_number", "none", None),
        ("last_line", "one\n two \n\n", "two"),
        ("last_line", "\n ", None),
        ("fence", "```python\nx = 1\n```\nand\n```\ny = 2\n```", "y = 2"),
        ("fence", "```python\nx = 1", "x = 1"),
        ("fence", "~~~\nx\n~~~", "x"),
        ("fence", "no `code`", None),
        ("text", " all of it ", "all of it"),
        ("text", " ", None),
    ],
)
def test_each_way_of_marking(way: Extraction, completion: str, answer: str | None) -> None:
    assert extracted(completion, (way,)) == answer


def test_the_first_way_that_finds_one_counts() -> None:
    text = "<answer>3</answer> or 4"
    assert extracted(text, ("boxed", "tag", "last_number")) == "3"
    assert extracted(text, ("last_number", "tag")) == "4"


@pytest.mark.parametrize(
    "text", ["\\boxed{" * 20_000, "[" * 200_000, "1" * 200_000, "1,1" * 60_000, "```\n" * 50_000], ids=range(5)
)
@pytest.mark.timeout(20)
def test_hostile_texts_take_no_time(text: str) -> None:
    for way in ("boxed", "hashes", "tag", "last_number", "last_line", "fence"):
        extracted(text, (way,))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234", Fraction(1234)),
        ("$18.50", Fraction(37, 2)),
        ("-3/4", Fraction(-3, 4)),
        ("1e-3", Fraction(1, 1000)),
        ("50%", Fraction(1, 2)),
        ("50\\%", Fraction(1, 2)),
        ("7.", Fraction(7)),
        ("1/0", None),
        ("1e999999999", None),
        ("9" * 61, None),
        ("nan", None),
        ("", None),
        ("3 apples", None),
        ("1,23", None),
    ],
)
def test_which_number_a_text_is(text: str, value: Fraction | None) -> None:
    assert number(text) == value
