"""What is graded, within which limits, and what comes out."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["passed", "failed", "timeout", "oom", "output_limit", "crash", "infrastructure_error"]


@dataclass(frozen=True)
class Limits:
    """Bounds on one completion, and on its tests alike.

    Attributes:
      seconds: wall time for loading the completion and all tests together.
      memory_bytes: memory of all its processes together; no single one may map more either.
      processes: processes and threads at one time.
      output_bytes: what it may print.
      disk_bytes, files: what it may write in /tmp, the only place that it can write to.
    """

    seconds: float = 10.0
    memory_bytes: int = 512 << 20
    processes: int = 16
    output_bytes: int = 256 << 10
    disk_bytes: int = 16 << 20
    files: int = 256


@dataclass(frozen=True)
class Program:
    """A completion and its tests.

    Attributes:
      source: a Python module: the completion, with whatever it continues.
      tests: a Python module that calls the completion's functions by their names and asserts. Names that neither it nor
        `helpers` define are the completion's.
      helpers: Python that the tests may use, such as the problem's prompt, taken from the problem and never from the
      completion.
      entry_point: a function that is the completion's even where `helpers` define it.
    """

    source: str
    tests: str
    helpers: str = ""
    entry_point: str | None = None


@dataclass(frozen=True)
class Verdict:
    """How a completion did. `infrastructure_error` says nothing about it: grade it again.

    Attributes:
      passed_tests, total_tests: asserts that held, and that there are; 0 of 0 where the tests were cut off.
      detail: the first failure in words.
      output: the beginning of what the completion printed.
      seconds: wall time.
      sandbox: the backend that held the completion.
    """

    status: Status
    passed_tests: int
    total_tests: int
    detail: str
    output: str
    seconds: float
    sandbox: str

    @property
    def passed(self) -> bool:
        return self.status == "passed"
