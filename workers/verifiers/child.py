"""`python -m workers.verifiers.child N`: scores answers for a worker, which may end it at any time.

Scorers are libraries that were not written for hostile texts: they hang, take memory, use `signal.alarm`, and
evaluate. So they run
here, one answer at a time, with bounds and without the worker's environment.
"""

import contextlib
import os
import resource
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from workers.sandbox.inside.wire import Ended, receive, send

MEMORY = 4 << 30


def main() -> None:
    """Loads the scorer that the worker names, then answers until the worker closes the channel."""
    channel = int(sys.argv[1])
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with contextlib.suppress(Ended):
        try:
            score, version = _scorer(**receive(channel))
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            send(channel, {"refused": str(error)})
            return
        send(channel, {"version": version})
        while True:
            send(channel, _scored(score, receive(channel)))


def _end_with_the_worker() -> None:
    """The worker holds the other end of standard input: an answer that never ends must not outlive it."""
    os.read(0, 1)
    os._exit(1)


def _scorer(name: str, mark: str | None) -> tuple[Callable[..., Any], str | None]:
    """The function called `module:function`, and its version: the attribute that it must have where `mark` names
    one.
    """
    module, _, function = name.partition(":")
    found = getattr(import_module(module), function)
    version = getattr(found, mark, None) if mark else None
    if not callable(found) or (mark and not isinstance(version, str)):
        raise TypeError(f"no function with an attribute {mark}, its version as a text")
    return found, version


def _scored(score: Callable[..., Any], request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": score(**request)}
    except MemoryError:
        return {"error": "MemoryError"}
    except Exception as error:  # noqa: BLE001 - whatever a scorer raises is told, and judged by who asked
        return {"error": f"{type(error).__name__}: {error}"[:500]}


if __name__ == "__main__":
    main()
