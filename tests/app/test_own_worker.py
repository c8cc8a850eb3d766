"""The worker that the launcher keeps: installed while the service answers, restarted, given up, stopped."""

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.own_worker import MOST_SHORT_LIVES, STEPS, WORKER, cause
from tests.app.processes import CHECKOUT, children, command_line, eventually, free_port, inhabitants, kill, program
from tests.app.test_page_answers import page
from tests.app.test_supervisor import SMALL_API, Service

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
# As `pkpo serve --worker`, but for what is installed, and for the API and the worker where others are named.
SERVE = """
import json, sys
from functools import partial
from pathlib import Path
from app.own_worker import OwnWorker, Step
from app.supervisor import API, serve_embedded
folder, port, api, worker, *steps = map(json.loads, sys.argv[1:])
def prepare(url):
    if not api:
        from app.db import migrate
        migrate(url)
own_worker = partial(OwnWorker, steps=[Step(*step) for step in steps], command=worker)
sys.exit(serve_embedded(Path(folder), "127.0.0.1", port, prepare, api or API, own_worker))
"""
LASTING = (sys.executable, "-c", "import time; time.sleep(600)  # a worker")
DYING = (sys.executable, "-c", "import sys; sys.exit('workers: the queue is elsewhere')")


@contextmanager
def service(
    folder: Path, *steps: Sequence[Any], worker: Sequence[str] = LASTING, api: Sequence[str] = SMALL_API
) -> Iterator[Service]:
    """A service with a worker, both started and perhaps not there yet; each step has its name and its command."""
    port = free_port()
    told = [json.dumps(each) for each in (str(folder), port, api, worker, *steps)]
    with program(sys.executable, "-c", SERVE, *told) as process:
        yield Service(process, folder, port)


def worker_of(running: Service) -> int | None:
    """Its pid; a child that the launcher has forked for something else still has the launcher's command line."""
    commands = {pid: command_line(pid) for pid in children(running.process.pid)}
    return next((pid for pid, said in commands.items() if "# a worker" in said and "serve_embedded" not in said), None)


def state(folder: Path) -> dict[str, Any]:
    """What the launcher says of its worker; nothing before it says any."""
    try:
        said: dict[str, Any] = json.loads((folder / "worker.json").read_text())
    except FileNotFoundError:
        return {}
    return said


def test_the_service_answers_while_it_installs_and_a_part_that_fails_is_named(tmp_path: Path) -> None:
    gate = tmp_path / "go on"
    waiting = ["sh", "-c", f"echo Downloading; while ! test -e '{gate}'; do sleep 0.05; done"]
    failing = ["sh", "-c", "echo Trying >&2; printf '\\033[2m==>\\033[0m no network\\n' >&2; exit 2"]
    absent = ["sh", "-c", "echo '==> Not installed: bubblewrap (needs root and apt-get).'"]
    steps = (["vLLM", waiting], ["TRL", failing], ["bubblewrap", absent, "a-program-that-is-not-there"])
    with service(tmp_path / "data", *steps) as running:
        running.says("pkpo is at")
        running.says("For the worker: vLLM.")
        assert running.is_ready()
        said = state(tmp_path / "data")
        assert (said["phase"], said["step"], said["done"], said["steps"]) == ("installing", "vLLM", 0, 3)
        assert said["launcher"] == running.process.pid
        assert worker_of(running) is None
        gate.touch()
        running.says("Not installed: TRL. no network")
        running.says("Not installed: bubblewrap. Not installed: bubblewrap (needs root and apt-get).")
        eventually(lambda: worker_of(running))
        said = state(tmp_path / "data")
        assert (said["phase"], [each["what"] for each in said["not_installed"]]) == ("started", ["TRL", "bubblewrap"])
        assert "Downloading" in (tmp_path / "data/worker-install.log").read_text()


OF_UV = """\x1b[2m==>\x1b[0m Downloading 61 packages of requirements/trl.lock (hash-checked)
  \x1b[31m×\x1b[0m Failed to build `pkpo @ file:///home/me/pkpo`
  ├─▶ The build backend returned an error
  ╰─▶ Call to `hatchling.build.build_editable` failed (exit status: 1)

      [stderr]
      Traceback (most recent call last):
        File "<string>", line 8, in <module>
      ModuleNotFoundError: No module named 'hatchling'

      hint: This error likely indicates that `pkpo` depends on `hatchling`, but doesn't declare it
      or `uv pip install hatchling` into the environment and re-run with `--no-build-isolation`.
"""


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (OF_UV, "Failed to build `pkpo @ file:///home/me/pkpo`: ModuleNotFoundError: No module named 'hatchling'"),
        (
            "==> Installing\nerror: Failed to fetch: `https://pypi.org/x`\n  Caused by: dns\n",
            "Failed to fetch: `https://pypi.org/x`",
        ),
        ("==> Trying\n\x1b[2m==>\x1b[0m no network\n\n", "no network"),
        ("", ""),
    ],
    ids=["uv-builds", "uv-fetches", "ours", "nothing"],
)
def test_the_cause_is_where_the_error_begins_and_not_the_hint_behind_it(output: str, says: str) -> None:
    assert cause(output) == says


@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGKILL])
def test_nothing_that_installs_outlives_the_service(tmp_path: Path, stop_signal: signal.Signals) -> None:
    mark = str(tmp_path / "data")
    steps = (["vLLM", ["sh", "-c", f"sleep 600 || echo {mark}"]],)
    with service(tmp_path / "data", *steps) as running:
        running.says("For the worker: vLLM.")
        eventually(lambda: any("sleep 600 ||" in command for command in inhabitants(tmp_path).values()))
        running.process.send_signal(stop_signal)
        running.process.communicate()
    eventually(lambda: not inhabitants(tmp_path))


def test_a_worker_that_is_killed_is_started_again_and_told_to_stop_with_the_service(tmp_path: Path) -> None:
    farewell = tmp_path / "data/farewell"
    polite = (
        sys.executable,
        "-c",
        f"import pathlib, signal, sys, time  # a worker\n"
        f"def stop(number, frame):\n    pathlib.Path('{farewell}').touch()\n    sys.exit()\n"
        f"signal.signal(signal.SIGTERM, stop)\nprint('here', flush=True)\ntime.sleep(600)",
    )
    log = tmp_path / "data/worker.log"
    with service(tmp_path / "data", worker=polite) as running:
        eventually(lambda: log.exists() and "here" in log.read_text())
        first = worker_of(running)
        assert first is not None
        kill(first)
        running.says("The worker was killed by SIGKILL; starting it again.")
        eventually(lambda: log.read_text().count("here") == 2)
        running.process.send_signal(signal.SIGINT)
        output, errors = running.process.communicate()
        assert (running.process.returncode, errors) == (0, "")
        assert output.endswith(f"Stopped. The data stays in {tmp_path / 'data'}.\n")
    assert farewell.exists()
    assert state(tmp_path / "data") == {}
    assert not inhabitants(tmp_path)


@pytest.mark.slow
def test_a_worker_that_keeps_dying_is_given_up_and_the_service_goes_on(tmp_path: Path) -> None:
    with service(tmp_path, worker=DYING, api=()) as running:
        running.says(f"There is no worker: it died {MOST_SHORT_LIVES} times in a row; the last time it exited with")
        assert running.is_ready()
        with httpx.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=60) as client:
            note = page(client, "/").text
        assert "it exited with status 1: workers: the queue is elsewhere" in note
        assert "make worker starts one" in note


@pytest.mark.slow
def test_the_first_page_says_what_the_service_s_own_worker_takes(tmp_path: Path) -> None:
    with service(tmp_path, worker=WORKER, api=()) as running:
        running.says("pkpo is at")
        with httpx.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=30) as client:
            eventually(lambda: "The worker is starting." in page(client, "/").text)
            eventually(lambda: "A worker takes" in page(client, "/").text, seconds=60)
            assert "imports" in page(client, "/").text
            running.process.send_signal(signal.SIGTERM)
            errors = running.process.communicate()[1]
        assert (running.process.returncode, errors) == (0, "")
    assert "has stopped" in (tmp_path / "worker.log").read_text(), "it was drained, not killed"


def test_no_worker_is_kept_where_it_is_turned_off(tmp_path: Path) -> None:
    port = free_port()
    settings = {"PKPO_DATA_DIR": str(tmp_path), "PKPO_PORT": str(port), "PKPO_WORKER": "off"}
    with program(sys.executable, "-m", "pkpo", "serve", "--worker", environment=settings) as process:
        Service(process, tmp_path, port).says("pkpo is at")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            assert "No worker is there, so jobs wait; make worker starts one." in page(client, "/").text
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert not (tmp_path / "worker.log").exists()


def test_what_is_installed_for_the_worker_is_there_to_be_installed() -> None:
    for step in STEPS:
        script, name = step.command
        assert (CHECKOUT / script).exists()
        assert script.endswith("system.sh") or (CHECKOUT / f"requirements/{name}.lock").exists()
        assert name in (CHECKOUT / "Makefile").read_text(), "make worker installs the same"
