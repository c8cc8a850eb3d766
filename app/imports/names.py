"""Names of problems as a server keeps them. Files that name problems by their prompts have longer ones."""

import re
from hashlib import sha256
from typing import Final

LONGEST: Final = 500  # characters
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
HASH_DIGITS: Final = 16  # of 64 bits: among a million names two alike have odds of 3 in 10^8


def stored_name(problem: str) -> str:
    """The name itself where a server takes it, else its beginning, in one line, and a hash of the whole."""
    if len(problem) <= LONGEST and not CONTROL.search(problem):
        return problem
    suffix = f" #{sha256(problem.encode(errors='surrogatepass')).hexdigest()[:HASH_DIGITS]}"
    return CONTROL.sub(" ", problem)[: LONGEST - len(suffix)] + suffix
