"""The verifier that a job names, while the job needs it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from workers.child.work import JobFailed
from workers.sandbox import NotOffered
from workers.verifiers import Verifier, verifier


@contextmanager
def at_hand(name: str, options: Mapping[str, Any]) -> Iterator[Verifier]:
    """It, until the end of the block; JobFailed where it is not to be had with these options, or on this machine."""
    try:
        judge = verifier(name, options)
    except (ValueError, NotOffered) as error:  # all of the registry's refusals are ValueErrors
        raise JobFailed(f"{error}.".replace("..", ".")) from error
    with judge:
        yield judge
