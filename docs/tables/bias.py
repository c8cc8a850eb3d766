"""Writes the table of docs/bias.md between its marks, all exact: `.venv/bin/python docs/tables/bias.py`."""

from pathlib import Path

from pkpo.baselines import BASELINES
from pkpo.commands.bias_table import as_markdown, factors

PAGE = Path(__file__).resolve().parents[1] / "bias.md"
START, END = "<!-- begin: docs/tables/bias.py -->\n", "\n<!-- end -->"
METHODS = ("sloo_minus_one", *BASELINES)


def table() -> str:
    """The factors at n = 16 as a table of Markdown."""
    return as_markdown(list(factors(METHODS, [16], [1, 4, 16], [0.1, 0.5, 0.9])))


def main() -> None:
    """Put the table in the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{START}{table()}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
