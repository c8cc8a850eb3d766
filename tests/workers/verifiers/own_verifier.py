"""Verifiers of a user's own, as tests/workers/verifiers/test_functions.py names them."""

import os
import time
from typing import Any


def graded(completion: str, problem: dict[str, Any], **options: Any) -> Any:
    """Does what the completion says, for the tests."""
    match completion:
        case "hang":
            time.sleep(60)
        case "die":
            os._exit(3)
        case "raise":
            raise RuntimeError("no such file")
        case "environment":
            return {"passed": "PKPO_DATABASE_URL" not in os.environ}
        case "nothing":
            return None
        case "number":
            return 0.25
        case "not a number":
            return float("nan")
        case "dict":
            return {"reward": 0.5, "passed": True, "answer": "a", "detail": {"seen": problem["answer"], **options}}
    return completion == problem["answer"]


graded.pkpo_verifier = "3"  # type: ignore[attr-defined]


def unmarked(completion: str, problem: dict[str, Any]) -> bool:
    """Not a verifier, whatever its arguments are."""
    return True
