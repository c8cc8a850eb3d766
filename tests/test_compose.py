"""docker-compose.yml and the Dockerfiles: held to their specifications and to what docs/deployment.md promises; and, a
Docker engine being nowhere near, done without one.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.processes import CHECKOUT, eventually, free_port, mode
from tests.composing import (
    DOCKERFILES,
    OURS,
    SERVICES,
    USER,
    Containers,
    composed,
    copies,
    files_below,
    fill,
    ignored,
    instructions,
    loaded_from,
    postgres_of,
    service,
)
from tests.workers.working import ended, job, results, submit_import

as_linux = pytest.mark.skipif(sys.platform != "linux", reason="the images are of Linux")


def test_the_compose_file_is_what_the_specification_asks_for() -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        "docker-compose.yml",
    ]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_a_linter_finds_nothing_in_the_dockerfiles(dockerfile: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is packaged for Linux on x86-64 alone")
    done = subprocess.run([hadolint, dockerfile], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_has_more_rights_than_it_needs(name: str) -> None:
    given = service(name)
    assert given["cap_drop"] == ["ALL"]
    assert given["read_only"] is True
    assert "no-new-privileges:true" in given["security_opt"]
    assert not {"privileged", "cap_add", "pid", "ipc", "userns_mode", "devices"} & given.keys()
    assert not any(str(volume).startswith(("/", "~")) for volume in given["volumes"])
    relaxed = {option for option in given["security_opt"] if not option.startswith("no-new")}
    assert relaxed == ({"seccomp=docker/seccomp.json", "apparmor=unconfined"} if name == "worker" else set())


def test_every_container_runs_as_an_ordinary_user() -> None:
    for dockerfile in DOCKERFILES:
        users = [rest for name, rest in instructions(dockerfile) if name == "USER"]
        assert users == [f"{USER}:{USER}"]
    assert not any("user" in service(name) for name in OURS)
    assert service("postgres")["user"] == "999:999"
    assert service("postgres")["group_add"] == [USER]


def test_only_the_api_is_published_and_on_loopback() -> None:
    published = {name: service(name)["ports"] for name in SERVICES if "ports" in service(name)}
    assert published == {"api": ["${PKPO_PUBLISH:-127.0.0.1:8000}:8000"]}
    assert service("postgres")["networks"] == ["database"]
    assert composed()["networks"]["database"]["internal"] is True


def test_what_runs_on_is_checked_started_again_and_waits_for_what_it_needs() -> None:
    once = {"password", "setup"}
    for name in SERVICES:
        assert ("healthcheck" in service(name)) == (name not in once)
        assert service(name)["restart"] == ("no" if name in once else "unless-stopped")
    needs = {
        name: {on: each["condition"] for on, each in service(name).get("depends_on", {}).items()} for name in SERVICES
    }
    set_up = {"setup": "service_completed_successfully"}
    assert needs["postgres"] == {"password": "service_completed_successfully"}
    assert needs["setup"] == {"postgres": "service_healthy"}
    assert needs["api"] == needs["worker"] == needs["worker-gpu"] == set_up


def test_there_is_no_password_that_somebody_could_know() -> None:
    text = (CHECKOUT / "docker-compose.yml").read_text()
    assert not re.search(r"POSTGRES_(PASSWORD|HOST_AUTH_METHOD)\b:|postgresql://", text)
    assert not any(re.search(r"PASSWORD|TOKEN|KEY", rest) for file in DOCKERFILES for _, rest in instructions(file))


def test_volumes_are_named_and_none_is_left_over() -> None:
    used = {volume.split(":")[0] if isinstance(volume, str) else volume["source"]
            for name in SERVICES for volume in service(name)["volumes"]}  # fmt: skip
    bound = {source for source in used if source.startswith("./")}
    assert used - bound == set(composed()["volumes"])
    assert all((CHECKOUT / source).is_file() for source in bound)


def test_only_the_gpu_worker_asks_for_a_card() -> None:
    assert [name for name in SERVICES if "profiles" in service(name)] == ["worker-gpu"]
    assert [name for name in SERVICES if "deploy" in service(name)] == ["worker-gpu"]
    devices = service("worker-gpu")["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_the_images_copy_what_there_is_and_all_that_git_knows_of_it(dockerfile: str) -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    ).stdout.split()
    for sources, target in copies(dockerfile):
        for source in sources:
            taken = files_below(source)
            assert taken, f"COPY {source}: nothing is there, or .dockerignore keeps it back"
            assert set(taken) >= {name for name in tracked if name == source or name.startswith(f"{source}/")}
            assert not any("__pycache__" in name for name in taken)
            assert target.endswith("/")
            assert (
                CHECKOUT / target / Path(taken[0]).relative_to(source if source != taken[0] else Path(source).parent)
            ).is_file()
    copied = {source for sources, _ in copies(dockerfile) for source in sources}
    runs = " ".join(rest for name, rest in instructions(dockerfile) if name == "RUN")
    for lock in (*re.findall(r"install\.sh (\w+)", runs), *re.findall(r"-r requirements/(\w+)", runs), "uv"):
        assert f"requirements/{lock}.lock" in copied


def test_neither_data_nor_environments_nor_history_reach_an_image() -> None:
    for path in (
        ".pkpo/postgres/password",
        ".venv/bin/python",
        ".git/config",
        ".env",
        "notes.txt",
        "app/__pycache__/a.pyc",
    ):
        assert ignored(path)


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    """The image's files in a folder, its volumes, and in them the password and a Postgres that was made with it."""
    folder = Path(tempfile.mkdtemp(prefix="pkpo-compose-"))
    fill(folder)
    made = Containers(folder, free_port(), free_port())
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        skip_where_the_interpreter_is_out_of_reach(made)
        status, said = made.run("password")
        assert status == 0, said
        stack.enter_context(postgres_of(made))
        status, said = made.run("setup")
        assert status == 0, said
        (folder / "setup.log").write_text(said)
        yield made


def skip_where_the_interpreter_is_out_of_reach(containers: Containers) -> None:
    with containers.start("password", [sys.executable, "-c", ""]) as process:
        said = process.communicate(timeout=120)[0]
    if process.returncode != 0:
        pytest.skip(f"an ordinary user cannot start the interpreter {sys.executable}: {said}")


@as_linux
def test_the_first_start_makes_a_key_that_only_its_owner_reads_and_the_second_keeps_it(containers: Containers) -> None:
    password, key = containers.volume("password/pkpo"), containers.volume("keys/first")
    said, secret = containers.log("setup"), key.read_text().strip()
    assert (mode(key), mode(password)) == (0o600, 0o640)
    assert key.stat().st_uid == (int(USER) if os.geteuid() == 0 else os.geteuid())
    assert len(secret) >= 43
    assert secret not in said
    assert "docker compose exec api cat" in said
    before = password.read_text()
    assert containers.run("password") == (0, "")
    assert containers.run("setup") == (0, "The database has this version's schema.\n")
    assert (password.read_text(), key.read_text().strip()) == (before, secret)


@as_linux
def test_a_key_that_was_made_and_not_yet_put_in_its_place_is_not_lost(containers: Containers) -> None:
    key = containers.volume("keys/first")
    secret = key.read_text()
    key.rename(key.with_suffix(".new"))
    assert containers.run("setup")[0] == 0
    assert key.read_text() == secret


@as_linux
def test_postgres_knows_a_user_of_few_rights_and_its_superuser_has_no_password(containers: Containers) -> None:
    ask = (
        "import os, psycopg; print(psycopg.connect(os.environ['PKPO_DATABASE_URL']{user}).execute('{sql}').fetchone())"
    )
    rights = (
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication FROM pg_roles WHERE rolname = current_user"
    )
    assert containers.run("setup", ["python", "-c", ask.format(user="", sql=rights)]) == (0, "(False,)\n")
    status, said = containers.run("setup", ["python", "-c", ask.format(user=", user='postgres'", sql="SELECT 1")])
    assert status != 0
    assert "password authentication failed" in said


@as_linux
def test_a_password_that_is_missing_is_named_with_what_makes_it(containers: Containers) -> None:
    password = containers.volume("password/pkpo")
    away = password.rename(password.with_name("away"))
    try:
        status, said = containers.run("setup")
    finally:
        away.rename(password)
    assert status == 1
    assert "the service `password` makes it" in said
    assert "Traceback" not in said


@pytest.mark.slow
@as_linux
def test_service_and_worker_do_a_job_drain_when_stopped_and_go_on_where_they_were(containers: Containers) -> None:
    secret = containers.volume("keys/first").read_text().strip()
    address = f"http://127.0.0.1:{containers.api_port}"
    assert containers.health("worker")[0] == 1
    assert "does not answer" in containers.health("api")[1]
    with containers.up("api") as api, httpx.Client(base_url=address, timeout=120) as client:
        eventually(lambda: "pkpo is at" in containers.log("api"), seconds=120)
        assert containers.health("api") == (0, "")
        assert client.get("/v1/runs").status_code == 401
        client.headers["Authorization"] = f"Bearer {secret}"
        assert loaded_from(api.pid).is_relative_to(containers.folder)
        with containers.up("worker") as worker:
            eventually(lambda: " takes " in containers.log("worker"), seconds=120)
            assert containers.health("worker") == (0, "")
            small = ended(client, submit_import(client, results(5, 4)))
            assert (small["state"], small["progress"]["done"]) == ("succeeded", 20)
            path = submit_import(client, results(2000, 8), run="drained")
            eventually(lambda: job(client, path)["state"] == "running", seconds=30)
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(timeout=int(service("worker")["stop_grace_period"].removesuffix("s"))) == 0
        given_back = job(client, path)
        assert given_back["state"] == "queued", containers.log("worker")
        assert "no worker runs" in containers.health("worker")[1]
        with containers.up("worker"):
            done = ended(client, path, seconds=120)
        assert (done["state"], done["progress"]["done"]) == ("succeeded", 16_000)
        api.send_signal(signal.SIGTERM)
        assert api.wait(timeout=30) == 0
    for name in ("api", "worker"):
        assert secret not in containers.log(name)
        assert containers.volume("password/pkpo").read_text().strip() not in containers.log(name)


# Starts a command under a profile of Docker's form, and under what else is given of its kind.
UNDER = """
import json, os, sys
import pyseccomp
filter = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
for rule in json.load(open(sys.argv[1]))["syscalls"] + json.loads(sys.argv[2]):
    for name in rule["names"]:
        try:
            arguments = [pyseccomp.Arg(0, pyseccomp.MASKED_EQ, bit, bit) for bit in rule.get("bits", [])]
            for each in arguments or [None]:
                filter.add_rule(pyseccomp.ERRNO(rule["errnoRet"]), name, *[each] if each else [])
        except (OSError, RuntimeError, ValueError):
            print("unknown here:", name, file=sys.stderr)
filter.load()
os.execvp(sys.argv[3], sys.argv[3:])
"""
NAMESPACES = [0x00020000, 0x10000000, 0x20000000, 0x40000000]  # CLONE_NEWNS, NEWUSER, NEWPID, NEWNET
LIKE_DOCKER = [
    {"names": ["unshare", "setns", "mount", "umount2", "pivot_root", "sethostname"], "errnoRet": 1},
    {"names": ["clone"], "bits": NAMESPACES, "errnoRet": 1},
    {"names": ["clone3"], "errnoRet": 38},
]


def sandbox_check(containers: Containers, profile: list[dict[str, Any]]) -> tuple[int, str]:
    """The exit status and the output of the sandbox's own check in a worker, under its profile and more."""
    pytest.importorskip("pyseccomp", reason="the packages of workers are not installed")
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    check = ["python", "-m", "workers.sandbox", "check"]
    command = ["python", "-c", UNDER, "docker/seccomp.json", json.dumps(profile), *check]
    with containers.start("worker", command) as process:
        said = process.communicate(timeout=120)[0]
    return process.returncode, said


@as_linux
def test_the_worker_s_profile_leaves_what_the_sandbox_is_made_of(containers: Containers) -> None:
    status, said = sandbox_check(containers, [])
    assert status == 0, said
    assert "code verification is offered" in said


@as_linux
def test_where_namespaces_are_refused_the_sandbox_says_so_and_is_not_offered(containers: Containers) -> None:
    status, said = sandbox_check(containers, LIKE_DOCKER)
    assert status == 1
    assert "code verification is not offered: bubblewrap made no sandbox" in said
    assert re.search(r"namespace|permitted|permission", said, re.IGNORECASE)
    assert "Traceback" not in said


def test_the_worker_s_profile_refuses_what_docker_s_does_but_for_namespaces() -> None:
    profile = json.loads((CHECKOUT / "docker" / "seccomp.json").read_text())
    [rule] = profile["syscalls"]
    assert (profile["defaultAction"], rule["action"]) == ("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO")
    assert rule["names"] == sorted(set(rule["names"]))
    assert {"bpf", "keyctl", "init_module", "kexec_load", "open_by_handle_at", "reboot", "swapon"} <= set(rule["names"])
    assert not {"clone", "clone3", "unshare", "mount", "umount2", "pivot_root", "sethostname"} & set(rule["names"])
