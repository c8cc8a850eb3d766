"""Grades model-written code without trusting it: see docs/sandbox.md.

The completion runs in one sandbox and only answers calls; its tests run in another and alone know the verdict.
"""

from workers.sandbox.bubblewrap import NotOffered
from workers.sandbox.pool import Sandboxes
from workers.sandbox.program import Limits, Program, Status, Verdict

__all__ = ["Limits", "NotOffered", "Program", "Sandboxes", "Status", "Verdict"]
