"""Names of problems whose source gives them none, and problems that a source has twice."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from itertools import count
from typing import Final

from pkpo.problems.problem import Problem, ProblemsError
from pkpo.readers.rows import shown

DIGITS: Final = 12  # of 48 bits: among 10,000 problems two alike have odds of 2 in 10^7


def digest_name(source: str, prompt: str) -> str:
    """A name that a problem keeps in whichever file and order it comes, such as gsm8k/1f0c24cd9e31.

    A number would be another problem's in another split of the same data, and a prompt is too long for a name.
    """
    return f"{source}/{_digest(prompt)}"


def _digest(prompt: str) -> str:
    return sha256(prompt.encode(errors="surrogatepass")).hexdigest()[:DIGITS]


def without_repeats(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Each problem once. What differs under one prompt and has no name of its own gets -2, -3, … behind its digest.

    Raises:
      ProblemsError: two problems differ and have one name.
    """
    seen: dict[str, Problem] = {}
    for problem in problems:
        for name in _names(problem):
            named = replace(problem, name=name)
            known = seen.setdefault(name, named)
            if known is named:
                yield named
            if known == named:
                break
        else:
            differ = _difference(seen[problem.name], problem)
            raise ProblemsError(f"two problems are called {shown(problem.name)}, and differ in {differ}")


def _names(problem: Problem) -> Iterator[str]:
    yield problem.name
    if problem.name.endswith(f"/{_digest(problem.prompt)}"):
        yield from (f"{problem.name}-{i}" for i in count(2))


def _difference(a: Problem, b: Problem) -> str:
    fields = ("prompt", "answer", "tests", "metadata")
    return " and ".join(field for field in fields if getattr(a, field) != getattr(b, field))
