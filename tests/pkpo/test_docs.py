"""Every example of docs/mathematics.md prints what the page shows."""

from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import pkpo
from tests.documents import ROOT, examples

PAGE = "docs/mathematics.md"


def test_every_example_of_the_mathematics_prints_what_it_shows() -> None:
    names: dict[str, Any] = {"__name__": "mathematics"}
    shown = list(examples(PAGE))
    assert len(shown) >= 6
    for example in shown:
        assert example.language == "python"
        with redirect_stdout(StringIO()) as printed:
            exec(example.code, names)  # each block goes on from the ones above it
        example.assert_shown(printed.getvalue())


def test_every_function_that_computes_is_on_the_page() -> None:
    page = (ROOT / PAGE).read_text()
    functions = {name for name in pkpo.__all__ if name.islower()} - {"default_ks", "smallest_n", "transform"}
    assert not {name for name in functions if f"`{name}" not in page}
