"""How bubblewrap is asked for a sandbox: no network, nothing of the host but /usr and the interpreter, and those
read-only.
"""

import compileall
import os
import shutil
import sys
from functools import cache
from pathlib import Path

INSIDE = Path(__file__).parent / "inside"
SOURCES = "/sandbox"
CAP_SYS_ADMIN = 21
CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_KILL")
HOW_TO_GET_IT = "`make worker` gets it where it can. On Debian: apt-get install bubblewrap libseccomp2"


class NotOffered(RuntimeError):
    """Code cannot be graded safely here. The message says why, and what to do."""


def privileged() -> bool:
    """Whether this process is root with the right to make namespaces: each sandbox then has a user id of its own on
    the host.
    """
    if os.geteuid() != 0:
        return False
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> CAP_SYS_ADMIN & 1)


def program() -> str:
    """The path of bubblewrap.

    Raises:
      NotOffered: it is not installed, or cannot be used.
    """
    if sys.platform != "linux":
        raise NotOffered(f"grading code needs the namespaces of Linux; this is {sys.platform}")
    found = shutil.which("bwrap")
    if found is None:
        raise NotOffered(f"grading code needs bubblewrap, and there is no bwrap on the PATH. {HOW_TO_GET_IT}")
    if os.geteuid() == 0 and not privileged():
        raise NotOffered("root without CAP_SYS_ADMIN cannot make a sandbox: start the worker as an ordinary user")
    return found


@cache
def _compiled() -> str:
    """The folder of what runs inside, with its bytecode beside it: a sandbox can write none. Without, it starts in a
    fifth more time.
    """
    compileall.compile_dir(INSIDE, quiet=2)
    return str(INSIDE)


def command(uid: int, control: int) -> list[str]:
    """The command line of a sandbox whose first process is the zygote, with its control socket as that descriptor.

    It keeps the capabilities to make namespaces, to change its user and to end what has changed it; what it starts
    has none.
    """
    identity = [] if privileged() else ["--unshare-user", "--uid", str(uid), "--gid", str(uid)]
    return [
        program(),
        *("--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", *identity),
        *("--new-session", "--as-pid-1", "--hostname", "sandbox"),
        *("--cap-drop", "ALL", *(part for name in CAPABILITIES for part in ("--cap-add", name))),
        *_files(),
        *_readable(_compiled(), f"{SOURCES}/workers/sandbox/inside"),
        *("--dir", "/tmp"),  # noqa: S108 - each program gets an empty one over it
        *_devices(),
        *("--chdir", "/", "--remount-ro", "/"),
        # Sets and dicts of texts then come in the same order every time, and so do verdicts.
        *("--setenv", "PYTHONHASHSEED", "0", "--setenv", "PYTHONPATH", SOURCES),
        *("--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/tmp", "--setenv", "LANG", "C.UTF-8"),  # noqa: S108
        *("--setenv", "OMP_NUM_THREADS", "1", "--setenv", "OPENBLAS_NUM_THREADS", "1"),
        *(os.path.realpath(sys._base_executable), "-S", "-s", "-P", "-B"),  # type: ignore[attr-defined]
        # Not -m, which imports for longer than Python takes to start.
        *("-c", f"from workers.sandbox.inside.zygote import main; main({control})"),
    ]


def _files() -> list[str]:
    """/usr, and the interpreter where it lives elsewhere: bound by root, it is seen even from under a home that is
    closed to others.
    """
    bound = ["--ro-bind", "/usr", "/usr"]
    for name in ("/bin", "/lib", "/lib64"):
        if os.path.islink(name):
            bound += ["--symlink", os.readlink(name), name]
        elif os.path.isdir(name):
            bound += ["--ro-bind", name, name]
    if not Path(sys.base_prefix).is_relative_to("/usr"):
        bound += _readable(sys.base_prefix, sys.base_prefix)
    return bound


def _readable(source: str, place: str) -> list[str]:
    """A folder of the host, read-only, in folders that every user may enter: bubblewrap would close them to all but
    itself.
    """
    above = [str(folder) for folder in reversed(Path(place).parents)][1:]
    return [*(part for folder in above for part in ("--perms", "0755", "--dir", folder)), "--ro-bind", source, place]


def _devices() -> list[str]:
    names = ("null", "zero", "full", "random", "urandom")
    bound = [part for name in names for part in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")]
    return ["--perms", "0755", "--dir", "/dev", *bound]
