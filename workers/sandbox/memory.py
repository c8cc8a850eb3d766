"""Bounds on the memory and the processes of a whole sandbox: limits of processes alone let eight of them take eight
times as much.

Where the worker may make memory cgroups (version 1, or version 2 with the controllers delegated), the kernel holds
the bound; beside
that, and elsewhere alone, the worker adds up what the processes have, every few milliseconds while a program runs.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
SELF = Path("/proc/self/cgroup")
MOUNTS = Path("/sys/fs/cgroup")


def resident_bytes(pid: int) -> int:
    """The resident memory of all descendants of a process, each counted from what that process has, in bytes.

    What they share with each other is counted once for each of them, what they share with that process not at all.
    """
    own = _resident_pages(pid)
    return PAGE * sum(max(0, _resident_pages(child) - own) for child in _descendants(pid))


def _resident_pages(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _descendants(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in map(int, children):
        yield child
        yield from _descendants(child)


class Cgroup:
    """A cgroup for one sandbox, with bounds that the kernel holds."""

    def __init__(self, folders: dict[str, Path], version: int) -> None:
        self._folders, self.version = folders, version

    @classmethod
    def make(cls, name: str, memory_bytes: int, processes: int) -> "Cgroup | None":
        """A new one below the worker's own, or None where the worker may make none."""
        for version, folders in ((2, _parents_v2()), (1, _parents_v1())):
            for parent in set(folders.values()):
                _remove_left(parent)
            made = {controller: parent / name for controller, parent in folders.items()}
            try:
                for folder in made.values():
                    folder.mkdir(exist_ok=True)
                cgroup = cls(made, version)
                cgroup._set(memory_bytes, processes)
            except OSError:
                for folder in made.values():
                    with contextlib.suppress(OSError):
                        folder.rmdir()
                continue
            if made:
                return cgroup
        return None

    def _set(self, memory_bytes: int, processes: int) -> None:
        for controller, folder in self._folders.items():
            if controller == "pids":
                (folder / "pids.max").write_text(str(processes))
            elif self.version == 2:
                (folder / "memory.max").write_text(str(memory_bytes))
            else:
                (folder / "memory.limit_in_bytes").write_text(str(memory_bytes))

    def add(self, pid: int) -> None:
        """Puts a process, and all that it will start, under the bounds."""
        for folder in set(self._folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    def out_of_memory(self) -> int:
        """How many processes of it the kernel has killed for memory."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        lines = (self._folders["memory"] / name).read_text().splitlines()
        return int(dict(line.split() for line in lines)["oom_kill"])

    def remove(self) -> None:
        """Removes it, once no process is left in it."""
        for folder in set(self._folders.values()):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _remove_left(parent: Path) -> None:
    """Removes the cgroups of workers that were killed: their names begin with pkpo and the worker's process id."""
    for folder in parent.glob("pkpo-*-*"):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            with contextlib.suppress(OSError):
                folder.rmdir()


def _own(controller: str) -> str | None:
    """The path of this process's cgroup under a controller of version 1, or of version 2 for the empty name."""
    for line in SELF.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(",") or controllers == controller:
            return path.lstrip("/")
    return None


def _parents_v1() -> dict[str, Path]:
    paths = {controller: _own(controller) for controller in ("memory", "pids")}
    if paths["memory"] is None:
        return {}
    return {controller: MOUNTS / controller / path for controller, path in paths.items() if path is not None}


def _parents_v2() -> dict[str, Path]:
    """The worker's own cgroup, where it already hands memory and pids on to those below it."""
    path = _own("")
    if path is None:
        return {}
    parent = MOUNTS / path
    handed_on = parent / "cgroup.subtree_control"
    if not handed_on.is_file() or not {"memory", "pids"} <= set(handed_on.read_text().split()):
        return {}
    return {"memory": parent, "pids": parent}
