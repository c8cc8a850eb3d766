"""A bar on a terminal that counts completions."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def counting(what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of completions just done; where standard error is no terminal it is silent.

    Without a total the bar goes when it is done.
    """
    columns = TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    console, silent = Console(stderr=True), not sys.stderr.isatty()
    with Progress(*columns, console=console, disable=silent, transient=total is None) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)
