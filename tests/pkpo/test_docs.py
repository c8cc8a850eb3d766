"""Every example of the pages about the library prints what the page shows."""

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import pkpo
from tests.documents import ADDRESS, ROOT, checkout, examples, run

SERVED = {"rest.md", "client.md", "training.md"}  # run against a server, in tests/app
PAGES = sorted(
    f"docs/{path.name}"
    for path in (ROOT / "docs").glob("*.md")
    if path.name not in SERVED and "```python" in path.read_text()
)


@pytest.mark.parametrize("page", PAGES)
def test_every_example_of_a_page_prints_what_it_shows(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout(tmp_path))  # a page may write files and go on with them
    names: dict[str, Any] = {"__name__": page}
    for example in examples(page):
        if example.language == "sh":
            example.assert_shown(run(["bash", "-euc"], example.code, tmp_path, ADDRESS))  # nothing that needs a server
            continue
        with redirect_stdout(StringIO()) as printed:
            exec(example.code, names)  # each block goes on from the ones above it
        example.assert_shown(printed.getvalue())


def test_the_pages_have_examples() -> None:
    assert all(list(examples(page)) for page in PAGES)
    assert sum(len(list(examples(page))) for page in PAGES) > 40


def test_every_function_that_computes_is_on_a_page() -> None:
    pages = "".join((ROOT / page).read_text() for page in PAGES)
    functions = {name for name in pkpo.__all__ if name.islower()} - {"default_ks", "smallest_n", "transform"}
    assert not {name for name in functions if f"`{name}" not in pages}
