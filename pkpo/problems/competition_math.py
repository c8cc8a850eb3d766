r"""MATH: competition problems whose solution has its answer in \boxed{}.

Hendrycks et al. (2021), arXiv:2103.03874; https://github.com/hendrycks/math. Also MATH-500, whose records have the
answer in a field of its own.
"""

import re
from collections.abc import Iterator

from pkpo.problems.naming import digest_name
from pkpo.problems.problem import Problem, Record

NAME = "math"
DESCRIPTION = "MATH: competition problems, with a formula as the answer"
BOX = re.compile(r"\\f?boxed\s*|\\fbox\s*")
KEPT = ("level", "type", "subject", "solution")


def recognises(record: Record) -> bool:
    """Whether the record is one of MATH's."""
    return {"problem", "solution"} <= record.fields.keys() and "prompt" not in record.fields


def problems(record: Record) -> Iterator[Problem]:
    r"""The problem; the answer is the field `answer`, else what stands in the solution's last \boxed{}."""
    text, solution = record.text("problem"), record.text("solution")
    answer = record.text("answer") if "answer" in record.fields else last_boxed(solution)
    if answer is None:
        raise record.error(r'the field "solution" has no \boxed{…} whose braces close, and there is no field "answer"')
    kept = {name: record.value(name) for name in KEPT if record.value(name) is not None}
    name = record.text("unique_id") if "unique_id" in record.fields else record.name
    yield Problem(name or digest_name(NAME, text), text, answer=answer, metadata={"form": "math@1", **kept})


def last_boxed(solution: str) -> str | None:
    r"""What stands in the last \boxed or \fbox: {…} with its braces closed, or `\boxed 7` up to a $; else None.

    As `last_boxed_only_string` of the data's authors, which knows both spellings.
    """
    boxes = list(BOX.finditer(solution))
    if not boxes:
        return None
    rest = solution[boxes[-1].end() :]
    if not rest.startswith("{"):
        return rest.partition("$")[0].strip() or None
    depth = 0
    for place, letter in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if depth == 0:
            return rest[1:place].strip() or None
    return None
