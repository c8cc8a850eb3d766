"""Runs a completion and answers calls of its functions; it knows neither the tests nor the verdict."""

import sys
from types import ModuleType
from typing import Any

from workers.sandbox.inside.wire import Ended, Refused, decode, encode, receive, send

CHANNEL = 3
LONGEST_TEXT = 500


def run(job: dict[str, Any]) -> None:
    """Executes `job["source"]` as a module, then answers calls until the tests end."""
    # A module that can be found: dataclasses and typing look their class's module up.
    module = ModuleType("completion")
    sys.modules["completion"] = module
    try:
        exec(compile(job["source"], "<completion>", "exec"), module.__dict__)  # noqa: S102
    except BaseException as error:  # noqa: BLE001 - SystemExit too is an answer
        send(CHANNEL, ["raised", 0, *_told(error)])
        return
    send(CHANNEL, ["loaded", 0])
    _answer_calls(module.__dict__)


def _answer_calls(namespace: dict[str, Any]) -> None:
    objects: list[Any] = []

    def kept(value: Any) -> int:
        objects.append(value)
        return len(objects) - 1

    def value(message: Any) -> Any:
        return decode(message, objects.__getitem__)

    def answer(what: str, target: Any, rest: Any, named: dict[str, Any]) -> Any:
        if isinstance(target, str) and target not in namespace:
            raise NameError(f"the completion defines no {target}")
        found = namespace[target] if isinstance(target, str) else value(target)
        if what == "get":
            return getattr(found, rest)
        return found(*value(rest), **{key: value(named[key]) for key in named})

    while True:
        try:
            number, *request = receive(CHANNEL)
            reply = ["returned", number, encode(answer(*request), kept)]
        except Ended:
            return
        except Refused as refused:
            reply = ["raised", number, "TypeError", f"the completion returned {refused}"]
        except BaseException as error:  # noqa: BLE001 - whatever it raises is its answer
            reply = ["raised", number, *_told(error)]
        try:
            send(CHANNEL, reply)
        except Ended:
            return
        except Refused as refused:
            send(CHANNEL, ["raised", number, "TypeError", f"the completion returned {refused}"])


def _told(error: BaseException) -> tuple[str, str]:
    """The name of the nearest builtin class of an exception, and what it says."""
    name = next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins")
    try:
        return name, str(error)[:LONGEST_TEXT]
    except BaseException:  # noqa: BLE001 - a __str__ of the completion's own
        return name, ""
