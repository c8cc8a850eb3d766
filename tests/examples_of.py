"""How many examples Hypothesis tries: what is usual, or PKPO_EXAMPLES where that is more, as `make test-thoroughly`."""

import os

_LEAST = int(os.environ.get("PKPO_EXAMPLES", "0"))


def examples(usual: int) -> int:
    """The number of examples for a test that usually tries so many."""
    return max(usual, _LEAST)
