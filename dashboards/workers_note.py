"""What the first page says of the workers: who takes which jobs, or why nobody does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

KINDS: Final = {"sampling": "sampling", "train": "training", "verify": "verification", "import": "imports"}


@dataclass(frozen=True)
class Installing:
    """The part that is being installed; `done` of `steps` are over."""

    what: str
    done: int
    steps: int


@dataclass(frozen=True)
class WorkersNote:
    """The workers there are, and how far the one is that the launcher keeps."""

    live: int = 0
    capabilities: tuple[str, ...] = ()
    """Of all live workers together."""
    kept: bool = False
    """Whether the launcher keeps one."""
    installing: Installing | None = None
    given_up: str = ""
    """Why the launcher starts its worker no more."""
    not_installed: tuple[tuple[str, str], ...] = ()
    """What the worker goes without, and why."""
    log: str = ""
    """The file in which the launcher's worker, or what installs for it, says more."""

    @property
    def starting(self) -> bool:
        """Whether the launcher's worker will soon be there."""
        return self.kept and not (self.live or self.installing or self.given_up)

    @property
    def changes_soon(self) -> bool:
        """Whether it is worth looking again in some seconds."""
        return self.starting or self.installing is not None

    @property
    def takes(self) -> str:
        """The kinds of jobs that the live workers take: sampling (vllm, openai), training (math), imports."""
        said = [_kind(kind, name, self.capabilities) for kind, name in KINDS.items()]
        return ", ".join(each for each in said if each)


NOBODY: Final = WorkersNote()


def _kind(kind: str, name: str, capabilities: Sequence[str]) -> str:
    offered = [each for each in capabilities if each.partition(":")[0] == kind]
    variants = [variant for each in offered if (variant := each.partition(":")[2])]
    return f"{name} ({', '.join(variants)})" if variants else name if offered else ""
