"""Verifiers: functions from a completion and its problem to a reward, each with a name and a version. See
docs/verifiers.md.
"""

from workers.verifiers.children import ScorerRefused
from workers.verifiers.registry import KINDS, BadOptions, UnknownVerifier, check_options, verifier
from workers.verifiers.verification import Problem, Verification, Verifier

__all__ = [
    "KINDS",
    "BadOptions",
    "Problem",
    "ScorerRefused",
    "UnknownVerifier",
    "Verification",
    "Verifier",
    "check_options",
    "verifier",
]
