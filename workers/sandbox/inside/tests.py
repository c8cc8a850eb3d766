"""Runs tests against a completion in another sandbox, and writes the verdict where the completion cannot reach.

Every `assert` that stands at the top of the tests, or in their function `check`, is one test: a failed one is
recorded and the next
one runs, so that the share of tests that passed is known. The verdict is `passed` exactly where plain Python would
have come to the
end without an exception.
"""

import ast
import builtins
import os
import sys
import time
from collections.abc import Callable
from types import CodeType, ModuleType, TracebackType
from typing import Any

from workers.sandbox.inside.wire import Ended, Handle, Refused, decode, encode, receive, send

CHANNEL = 3
VERDICT = 4
TEST = "__pkpo_test__"
LONGEST_TEXT = 500
BLOCKS = (ast.If, ast.For, ast.While, ast.With)


class Stopped(BaseException):
    """No test can follow: the completion is gone or out of time. Not an Exception, so that no test swallows it by
    the way.
    """


class Completion:
    """The other side of the channel. `ended` says why nothing more will come from it, once that is so."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.calls = 0
        self.ended: tuple[str, str] | None = None

    def load(self) -> None:
        """Waits until the completion's definitions have run."""
        self._reply(0)

    def call(self, target: "str | Object", positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """What a function or object of the completion returns, or what it raises."""
        return self._ask(
            "call", target, lambda: [self._sent(positional), {key: self._sent(named[key]) for key in named}]
        )

    def attribute(self, target: "str | Object", name: str) -> Any:
        """An attribute of a function or object of the completion."""
        return self._ask("get", target, lambda: [name, {}])

    def _ask(self, what: str, target: "str | Object", rest: Callable[[], list[Any]]) -> Any:
        if self.ended:
            raise Stopped
        self.calls += 1
        try:
            send(CHANNEL, [self.calls, what, self._sent(target), *rest()])
        except Refused as refused:
            raise self._stopped("infrastructure_error", f"the tests call the completion with {refused}") from None
        except Ended:
            raise self._stopped("crash", "the completion's process ended by itself") from None
        # What a function gives must be a value: an object's own `startswith` could say anything. A class is tested
        # by its objects.
        is_of_class = isinstance(target, Object) or target[:1].isupper()
        return self._reply(self.calls, (lambda number: Object(number, self)) if is_of_class else Handle)

    def _sent(self, value: Any) -> Any:
        return encode(value, self._number)

    def _reply(self, number: int, held: Callable[[int], Handle] = Handle) -> Any:
        try:
            reply = receive(CHANNEL, self.deadline)
        except Ended:
            raise self._stopped("crash", "the completion's process ended by itself") from None
        except TimeoutError:
            raise self._stopped("timeout", "the time was over") from None
        except Refused as refused:
            raise self._stopped("failed", f"the completion replied with {refused}") from None
        match reply:
            case ["loaded", 0] if number == 0:
                return None
            case ["returned", int(answered), value] if answered == number:
                return decode(value, held)
            case ["raised", int(answered), str(name), str(text)] if answered == number:
                raise _exception(name, text)
        raise self._stopped("failed", "the completion wrote to the channel itself")

    def _number(self, value: Any) -> int:
        if isinstance(value, Handle):
            return value._handle
        raise Refused(f"an argument of type {type(value).__name__}, which cannot be sent")

    def _stopped(self, status: str, why: str) -> Stopped:
        self.ended = status, why
        return Stopped()


class Remote(Exception):
    """What the completion raised, where that is no Exception of Python's own."""


def _exception(name: str, text: str) -> Exception:
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(text)
        except TypeError:  # UnicodeDecodeError and its like take more than a text
            pass
    return Remote(f"{name}: {text}")


class Function:
    """Stands in the tests for a function of the completion."""

    def __init__(self, name: str, completion: Completion) -> None:
        self.__name__ = name
        self._completion = completion

    def __call__(self, *positional: Any, **named: Any) -> Any:
        return self._completion.call(self.__name__, positional, named)


class Class(Function):
    """Stands in the tests for a class of the completion: what is called with a capital letter."""

    def __getattr__(self, name: str) -> Any:
        return self._completion.attribute(self.__name__, _plain(name))


class Object(Handle):
    """Stands in the tests for an object of a class of the completion's own, or for one of its methods.

    Its attributes and calls are asked for; operators are not, so `==` asks nobody.
    """

    __slots__ = ("_completion",)

    def __init__(self, number: int, completion: Completion) -> None:
        super().__init__(number)
        self._completion = completion

    def __call__(self, *positional: Any, **named: Any) -> Any:
        return self._completion.call(self, positional, named)

    def __getattr__(self, name: str) -> Any:
        return self._completion.attribute(self, _plain(name))


def _plain(name: str) -> str:
    """A name that a test may ask for. Python itself asks for the others, as in a copy, where their absence is the
    answer.
    """
    if name.startswith("__"):
        raise AttributeError(name)
    return name


class Tally:
    """Which asserts ran, which failed, and what the first failure said."""

    def __init__(self) -> None:
        self.sources: list[str] = []
        self.ran: set[int] = set()
        self.failed: set[int] = set()
        self.first: tuple[str, str] | None = None

    def record(self, error: BaseException, where: str = "") -> None:
        said = f"{where}: {_said(error)}" if where else _said(error)
        self.first = self.first or ("oom" if isinstance(error, MemoryError) else "failed", said)

    def test(self, number: int) -> "Test":
        return Test(self, number)


class Test:
    """Around one assert: notes how it ended, and lets the next one run."""

    def __init__(self, tally: Tally, number: int) -> None:
        self.tally, self.number = tally, number

    def __enter__(self) -> None:
        self.tally.ran.add(self.number)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if error is not None:
            self.tally.failed.add(self.number)
        if not isinstance(error, Exception):
            return False
        self.tally.record(error, self.tally.sources[self.number])
        return True


def run(job: dict[str, Any]) -> None:
    """Writes `{nonce, status, passed_tests, total_tests, detail}` for the tests in `job` to the verdict's
    descriptor.
    """
    verdict = _verdict(job, Completion(time.monotonic() + job["seconds"]))
    send(VERDICT, {"nonce": job["nonce"], **verdict})
    os._exit(0)


def _verdict(job: dict[str, Any], completion: Completion) -> dict[str, Any]:
    tally = Tally()
    try:
        code, namespace = _prepared(job, completion, tally)
    except Exception as error:  # noqa: BLE001 - nothing of the completion has run: the tests themselves are wrong
        return _found("infrastructure_error", tally, f"the tests do not load: {_said(error)}")
    try:
        completion.load()
    except Stopped:
        return _concluded(completion, tally)
    except Exception as error:  # noqa: BLE001 - what the completion raised
        tally.record(error, "loading the completion")
        return _concluded(completion, tally)
    try:
        exec(code, namespace)  # noqa: S102
    except Stopped:
        pass
    except BaseException as error:  # noqa: BLE001 - a test ends by whatever it raises
        if completion.calls == 0:
            return _found("infrastructure_error", tally, f"the tests fail by themselves: {_said(error)}")
        tally.record(error)
    return _concluded(completion, tally)


def _concluded(completion: Completion, tally: Tally) -> dict[str, Any]:
    if tally.first:
        return _found(tally.first[0], tally, tally.first[1])
    if completion.ended:
        return _found(completion.ended[0], tally, completion.ended[1])
    if completion.calls == 0:
        return _found("infrastructure_error", tally, "the tests never call the completion")
    return _found("passed", tally, "")


def _found(status: str, tally: Tally, detail: str) -> dict[str, Any]:
    total = max(1, len(tally.sources))
    passed = total if status == "passed" else min(len(tally.ran - tally.failed), total - 1)
    return {"status": status, "passed_tests": passed, "total_tests": total, "detail": detail[:LONGEST_TEXT]}


def _said(error: BaseException) -> str:
    try:
        text = str(error)
    except ValueError:  # a number of more digits than Python prints
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _prepared(job: dict[str, Any], completion: Completion, tally: Tally) -> tuple[CodeType, dict[str, Any]]:
    """The tests with their asserts counted, and the names that they find."""
    module = ModuleType("tests")
    sys.modules["tests"] = module
    namespace = module.__dict__
    if helpers := _parsed_prompt(job["helpers"]):
        exec(compile(helpers, "<helpers>", "exec"), namespace)  # noqa: S102
    if "random" in job["tests"]:
        import random

        random.seed(0)  # the same completion meets the same tests
    tree = ast.parse(job["tests"], "<tests>")
    if entry_point := job["entry_point"]:
        namespace[entry_point] = Function(entry_point, completion)
    for name in _free_names(tree) - namespace.keys() - vars(builtins).keys():
        namespace[name] = (Class if name[:1].isupper() else Function)(name, completion)
    tree.body = _counted(tree.body, tally)
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "check":
            statement.body = _counted(statement.body, tally)
    namespace[TEST] = tally.test
    return compile(ast.fix_missing_locations(tree), "<tests>", "exec"), namespace


def _parsed_prompt(prompt: str) -> ast.Module | None:
    """A prompt as a module of its own: its last function may still want a body. None where it is no Python."""
    for ending in ("", "\n    pass\n", "\n        pass\n"):
        try:
            return ast.parse(prompt + ending, "<helpers>")
        except SyntaxError:
            continue
    return None


def _free_names(tree: ast.Module) -> set[str]:
    """Names that the tests use and nowhere define: they are the completion's."""
    used: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.alias(name=name, asname=renamed):
                bound.add(renamed or name.split(".")[0])
    return used - bound


def _counted(body: list[ast.stmt], tally: Tally) -> list[ast.stmt]:
    """The statements, each assert of them inside `with test(number)`. Not in `try`: there an assert may be meant to
    fail.
    """
    return [_counted_statement(statement, tally) for statement in body]


def _counted_statement(statement: ast.stmt, tally: Tally) -> ast.stmt:
    if isinstance(statement, ast.Assert) and any(isinstance(node, ast.Name) for node in ast.walk(statement.test)):
        tally.sources.append(ast.unparse(statement)[:LONGEST_TEXT])
        call = ast.Call(ast.Name(TEST, ast.Load()), [ast.Constant(len(tally.sources) - 1)], [])
        around: ast.stmt = ast.With(items=[ast.withitem(context_expr=call)], body=[statement])
        return ast.copy_location(around, statement)
    if isinstance(statement, BLOCKS):
        statement.body = _counted(statement.body, tally)
        if not isinstance(statement, ast.With):
            statement.orelse = _counted(statement.orelse, tally)
    return statement
