"""docker-compose.yml and the Dockerfiles as they are read, and what stands in for the engine that would run them.

The commands, environments and health checks are those of the file; the files that run are those that the Dockerfile
copies; who runs them is an ordinary user without a capability.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from app.embedded_postgres.cluster import binary
from tests.app.processes import CHECKOUT, children, command_line, eventually

DOCKERFILES = ("Dockerfile", "Dockerfile.gpu")
OURS = ("password", "setup", "api", "worker", "worker-gpu")
SERVICES = (*OURS, "postgres")
USER = "10001"  # of the images
# Root becomes an ordinary user without a capability, as in a container. In a mount namespace of its own, for the images
# know that user's name, and the interpreter may lie in a home that is closed to others.
BECOME_ORDINARY = f"""
set -eu
umask 022
behind=$1 closed=$2 needed=$3; shift 3
mount --bind "$behind/passwd" /etc/passwd
if [ -n "$closed" ]; then
    for folder in $needed; do mkdir -p "$behind$folder" && mount --bind "$folder" "$behind$folder"; done
    mount -t tmpfs -o mode=755 none "$closed"
    for folder in $needed; do mkdir -p "$folder" && mount --bind "$behind$folder" "$folder"; done
fi
exec setpriv --reuid={USER} --regid={USER} --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs "$@"
"""


def as_ordinary(behind: Path) -> list[str]:
    """What a command of an ordinary user begins with; the folder is one to mount on."""
    if os.geteuid() != 0:
        return []
    places = [Path(sys.base_prefix), Path(sys.prefix), CHECKOUT]
    closed = {folder for place in places for folder in place.parents if not folder.stat().st_mode & 0o001}
    assert len(closed) <= 1, f"more closed folders than these tests can open: {closed}"
    needed = " ".join(str(place) for place in places if closed & set(place.parents))
    return ["unshare", "--mount", "sh", "-c", BECOME_ORDINARY, "sh", str(behind), *map(str, closed or [""]), needed]


@cache
def composed() -> dict[str, Any]:
    """The file, its variables not yet replaced."""
    found: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
    return found


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = composed()["services"][name]
    return found


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Each instruction with its arguments on one line, comments left out."""
    lines = (line for line in (CHECKOUT / dockerfile).read_text().splitlines() if not line.startswith("#"))
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in whole if line)]


def copies(dockerfile: str) -> list[tuple[list[str], str]]:
    """What each COPY from the checkout takes, and where to."""
    found = []
    for name, rest in instructions(dockerfile):
        if name == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            found.append((sources, target))
    return found


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a file of the checkout from the images. The last pattern that fits decides."""
    outcome = False
    for pattern in (CHECKOUT / ".dockerignore").read_text().split("\n"):
        name = pattern.removeprefix("!")
        assert re.fullmatch(r"|#.*|\*|!?[\w.-]+|\*\*/[\w.-]+", pattern), (
            f"{pattern}: this test reads simple patterns only"
        )
        parts = path.split("/") if name.startswith("**/") else path.split("/")[:1]
        if name and not name.startswith("#") and any(fnmatch(part, name.removeprefix("**/")) for part in parts):
            outcome = not pattern.startswith("!")
    return outcome


def files_below(source: str) -> list[str]:
    """The files that a COPY of this source takes, by their paths in the checkout."""
    place = CHECKOUT / source
    found = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return [name for name in (str(path.relative_to(CHECKOUT)) for path in found) if not ignored(name)]


@dataclass(frozen=True)
class Containers:
    """What stands in for an engine: the image's files in a folder, and a folder for each volume."""

    folder: Path
    port: int  # of Postgres
    api_port: int

    def environment(self, name: str) -> dict[str, str]:
        """What a process of the service sees: the image's environment, the service's, and where things are here."""
        words = shlex.split(" ".join(rest for each, rest in instructions("Dockerfile") if each == "ENV"))
        image = dict(word.split("=", 1) for word in words)
        given = image | {key: interpolated(value) for key, value in service(name).get("environment", {}).items()}
        here = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(self.folder / "image")}
        if sys.pycache_prefix:  # what compileall made of the image's sources is there as well
            here["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
        if name == "postgres":
            here |= {"PGPORT": str(self.port), "PATH": f"{binary('psql').parent}:{os.environ['PATH']}"}
        elif name in ("setup", "worker", "api"):
            here |= {"PKPO_DATABASE_HOST": "127.0.0.1", "PKPO_DATABASE_PORT": str(self.port)}
            here |= {"PKPO_PORT": str(self.api_port)}
        return {key: self.placed(name, value) for key, value in given.items()} | here

    def placed(self, name: str, text: str) -> str:
        """The text with the paths of the service's volumes as they are here."""
        for volume in service(name)["volumes"]:
            source, target = volume.split(":")[:2] if isinstance(volume, str) else (volume["source"], volume["target"])
            text = re.sub(rf"{target}(?=[/:]|$)", str(self.folder / "volumes" / source), text)
        return text

    def start(self, name: str, command: list[str], log: Path | None = None) -> subprocess.Popen[str]:
        """A process of the service, in the image's folder, as an ordinary user."""
        with log.open("a") if log else nullcontext(subprocess.PIPE) as out:
            return subprocess.Popen(
                [*as_ordinary(self.folder / "behind"), *command],
                cwd=self.folder / "image",
                env=self.environment(name),
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def run(self, name: str, command: list[str] | None = None) -> tuple[int, str]:
        """The exit status and the output of what the service does, or of this instead."""
        with self.start(name, [*entrypoint(name), *(command or service(name).get("command", []))]) as process:
            try:
                said, _ = process.communicate(timeout=120)
            finally:
                process.kill()
        return process.returncode, said

    def health(self, name: str) -> tuple[int, str]:
        """The exit status and the output of the service's health check, as it stands in the file."""
        kind, *command = service(name)["healthcheck"]["test"]
        assert kind == "CMD"
        with self.start(name, command) as process:
            said, _ = process.communicate(timeout=120)
        return process.returncode, said

    @contextmanager
    def up(self, name: str) -> Iterator[subprocess.Popen[str]]:
        """The service, running until the test lets go of it."""
        process = self.start(name, [*entrypoint(name), *service(name)["command"]], self.folder / f"{name}.log")
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def volume(self, path: str) -> Path:
        return self.folder / "volumes" / path

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()


def interpolated(value: str) -> str:
    """What compose makes of it where no variable is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def entrypoint(name: str) -> list[str]:
    """What the service starts with: its own, else the image's."""
    image = next(rest for each, rest in instructions("Dockerfile") if each == "ENTRYPOINT")
    words: list[str] = service(name).get("entrypoint") or json.loads(image)
    return words


def fill(folder: Path) -> None:
    """Put there what the Dockerfile copies, and an empty folder for each volume; all of it is the ordinary user's."""
    for sources, target in copies("Dockerfile"):
        for source in sources:
            for name in files_below(source):
                below = Path(name).name if source == name else str(Path(name).relative_to(source))
                copy = folder / "image" / target / below
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(CHECKOUT / name, copy)
    compiled = shlex.split(re.search(r"python (-m compileall .*)", (CHECKOUT / "Dockerfile").read_text())[1])  # type: ignore[index]
    subprocess.run([sys.executable, *compiled], cwd=folder / "image", check=True)
    for volume in composed()["volumes"]:
        (folder / "volumes" / volume).mkdir(parents=True, mode=0o750)
    (folder / "behind").mkdir()
    (folder / "behind" / "passwd").write_text(f"{Path('/etc/passwd').read_text()}pkpo:x:{USER}:{USER}::/:/bin/sh\n")
    if os.geteuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, int(USER), int(USER))


@contextmanager
def postgres_of(containers: Containers) -> Iterator[None]:
    """What the official image does with its environment and the script that compose binds into it."""
    data, socket = containers.volume("database"), str(containers.folder)
    given = containers.environment("postgres")
    make = [
        str(binary("initdb")),
        "-D",
        str(data),
        "--username=postgres",
        f"--pwfile={given['POSTGRES_PASSWORD_FILE']}",
    ]
    make += ["--auth-local=trust", "--auth-host=scram-sha-256", *given["POSTGRES_INITDB_ARGS"].split()]
    with containers.start("postgres", make) as process:
        said = process.communicate(timeout=120)[0]
        assert process.returncode == 0, said
    settings = [
        "-p",
        str(containers.port),
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        f"unix_socket_directories={socket}",
    ]
    log = containers.folder / "postgres.log"
    server = containers.start("postgres", [str(binary("postgres")), "-D", str(data), *settings], log)
    try:
        eventually(lambda: containers.health("postgres")[0] == 0, seconds=30)
        script = next(each for each in service("postgres")["volumes"] if "initdb.d" in each).split(":")[0]
        with containers.start("postgres", ["env", f"PGHOST={socket}", str(CHECKOUT / script)]) as process:
            said = process.communicate(timeout=120)[0]
            assert (process.returncode, said) == (0, "")
        yield
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=120)


def loaded_from(pid: int) -> Path:
    """The folder that the API of this supervisor takes its modules from."""
    said = (command_line(child).split() for child in children(pid))
    words = next(words for words in said if "--app-dir" in words)
    return Path(words[words.index("--app-dir") + 1])
