"""Programs that end when we do, and the account that a program runs as."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, AnyStr

# The shell checks that we still are its parent: a parent that died before setpriv asked for the signal sends none.
_UNLESS_ORPHANED = 'test "$PPID" -eq "$0" && exec "$@"'
_IN_REACH = 'test -x "$0" || { echo "$0 is out of its reach" >&2; exit 1; }; cd "$1"'


def tied_to_us(command: Sequence[str], death_signal: signal.Signals) -> list[str]:
    """The command, made to receive the signal when the thread that starts it ends, by kill -9 too.

    Linux only; elsewhere the command comes back as it was, and the next start deals with what was left running.
    """
    if shutil.which("setpriv") is None:
        return list(command)
    name = death_signal.name.removeprefix("SIG")
    return ["setpriv", "--pdeathsig", name, "sh", "-c", _UNLESS_ORPHANED, str(os.getpid()), *command]


def spawn(
    command: Sequence[str], environment: Mapping[str, str], log: IO[AnyStr], folder: str | None = None
) -> subprocess.Popen[bytes]:
    """The started program, in a session of its own so that a Ctrl-C at the terminal reaches only us."""
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder, start_new_session=True
    )


def end(process: subprocess.Popen[AnyStr], escalation: Sequence[tuple[signal.Signals, float]]) -> None:
    """Returns when the process is gone: each signal in turn, with the seconds it is given to work."""
    for stop_signal, seconds in escalation:
        if process.poll() is not None:
            return
        process.send_signal(stop_signal)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue


@dataclass(frozen=True)
class Account:
    """Whom a program runs as: the command prefix that makes it so, and the owner that its files must have."""

    description: str
    prefix: tuple[str, ...]
    uid: int
    gid: int

    def obstacle(self, program: Path, folder: Path) -> str | None:
        """Why a program run as this account could not be executed or reach the folder; None if it could."""
        if self.prefix and shutil.which(self.prefix[0]) is None:
            return f"{self.prefix[0]} is not installed"
        command = [*self.prefix, "sh", "-c", _IN_REACH, str(program), str(folder)]
        attempt = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
        return attempt.stderr.strip() or "refused" if attempt.returncode else None

    def take_over(self, folder: Path) -> None:
        """Makes this account the owner of all in the folder, and of the folder itself last: the sign of being done."""
        if folder.stat().st_uid == self.uid:
            return
        for parent, _, files in os.walk(folder, topdown=False):
            for name in files:
                os.chown(Path(parent, name), self.uid, self.gid, follow_symlinks=False)
            os.chown(parent, self.uid, self.gid)


def ordinary_user() -> Account:
    """Us, when we are not root."""
    return Account("an ordinary user", (), os.geteuid(), os.getegid())


def root_in_a_namespace() -> Account:
    """Root under the name of nobody: still the owner of root's files, so nothing is chowned and /root is in reach."""
    entry = pwd.getpwnam("nobody")
    prefix = ("unshare", "--user", f"--map-user={entry.pw_uid}", f"--map-group={entry.pw_gid}")
    return Account("root in a user namespace", prefix, 0, 0)


def nobody() -> Account:
    """The unprivileged user that every system has."""
    entry = pwd.getpwnam("nobody")
    prefix = ("setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups")
    return Account("the user nobody", prefix, entry.pw_uid, entry.pw_gid)
