"""math-verify, as a child process imports it."""

from typing import Any

from workers.verifiers.answers import extracted
from workers.verifiers.guard import disarm

disarm("math_verify")

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify  # noqa: E402

WAYS = (LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig())


def compared(completion: str, expected: str) -> dict[str, Any]:
    """Whether both texts mean the same: `{"unreadable": bool, "answer": text | None, "equal": bool}`."""
    marked = extracted(expected, ("hashes",))
    reference = marked or (expected if "\\boxed" in expected else f"${expected}$")
    gold, found = parse(reference, WAYS), parse(completion, WAYS)
    answer = str(found[-1]) if found else None
    return {"unreadable": not gold, "answer": answer, "equal": bool(gold and found and verify(gold, found))}
