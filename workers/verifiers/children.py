"""Child processes that score answers, each until it hangs or dies; then another takes its place."""

import contextlib
import os
import queue
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from workers.sandbox.inside.wire import Ended, Refused, receive, send

CHECKOUT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
# Nothing of the worker's: its environment has the database's address.
ENVIRONMENT = ("PATH", "HOME", "LANG", "PYTHONPATH", "TZ")


class ScorerRefused(ValueError):
    """There is no such scorer; the message says why."""


class Child:
    """One process with one scorer in it."""

    def __init__(self, scorer: str, mark: str | None = None) -> None:
        """Starts it. With a `mark`, the function must have that attribute.

        Raises:
          ScorerRefused: the scorer cannot be loaded.
        """
        self._channel, inner = socket.socketpair()
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        with inner:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "workers.verifiers.child", str(inner.fileno())],
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=(inner.fileno(),),
            )
        try:
            send(self._channel.fileno(), {"name": scorer, "mark": mark})
            told = receive(self._channel.fileno(), time.monotonic() + START_SECONDS)
        except (Ended, TimeoutError):
            told = {"refused": "its process ended before it was ready"}
        if "refused" in told:
            self.close()
            raise ScorerRefused(f"{scorer}: {told['refused']}")
        self.version: str | None = told["version"]

    def score(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The scorer's answer: `{"result": …}` or `{"error": text}`.

        Raises:
          TimeoutError, Ended, Refused: it gave none in time, died, or wrote what is no message; close this child then.
        """
        send(self._channel.fileno(), request)
        answer = receive(self._channel.fileno(), time.monotonic() + seconds)
        assert isinstance(answer, dict)
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin
        self._process.stdin.close()
        self._channel.close()


class Children:
    """As many children as answers are scored at one time."""

    def __init__(self, scorer: str, count: int, seconds: float, mark: str | None = None) -> None:
        """Starts the first one, to know that the scorer loads; the others start when they are needed.

        Raises:
          ScorerRefused: it does not.
        """
        self._scorer, self._mark, self._seconds = scorer, mark, seconds
        self._free: queue.LifoQueue[Child | None] = queue.LifoQueue()
        for _ in range(count - 1):
            self._free.put(None)
        first = Child(scorer, mark)
        self.version = first.version
        self._free.put(first)

    def score(self, **request: Any) -> dict[str, Any]:
        """`{"result": …}`, `{"error": text}`, or `{"status": "timeout" | "crash", "reason": …}`."""
        child = self._free.get()
        try:
            child = child or Child(self._scorer, self._mark)
            return child.score(request, self._seconds)
        except (TimeoutError, Ended, Refused) as error:
            if child:
                child.close()
            child = None
            if isinstance(error, TimeoutError):
                return {"status": "timeout", "reason": f"not scored within {self._seconds:g} s"}
            return {"status": "crash", "reason": str(error) or "the scorer's process ended"}
        finally:
            self._free.put(child)

    def close(self) -> None:
        """Ends them all. No thread may be scoring."""
        with contextlib.suppress(queue.Empty):
            while True:
                if child := self._free.get_nowait():
                    child.close()
