"""The server's commands, as an operator types them."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.config import Settings
from tests.app.processes import free_port

ROOT = Path(__file__).resolve().parents[2]
TOKEN = re.compile(r"pkpo_[A-Za-z0-9_-]{43}")

Pkpo = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def pkpo(database_url: str) -> Pkpo:
    """The command `pkpo` with the test's own database and port, or with other settings."""
    own = {"DATABASE_URL": database_url, "PORT": str(free_port())}

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PKPO_")}
        environment |= {f"PKPO_{name}": value for name, value in (own | settings).items()}
        command = [sys.executable, "-m", "pkpo", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env={k: v for k, v in environment.items() if v}, capture_output=True, text=True
        )

    return run


def failed(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that ends in one sentence says."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("pkpo: ")
    return done.stderr


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(pkpo: Pkpo) -> None:
    token = pkpo("keys", "create", "laptop", "--scope", "read", "--days", "30").stdout.strip()
    assert TOKEN.fullmatch(token)
    listed = pkpo("keys", "list").stdout
    assert listed.startswith("laptop\tread\tcreated ")
    assert token not in listed
    revoked = pkpo("keys", "revoke", "laptop")
    assert revoked.stdout == "revoked laptop\n"
    assert "answers everybody" in revoked.stderr
    assert "revoked" in pkpo("keys", "list").stdout
    assert "no active key named 'laptop'" in failed(pkpo("keys", "revoke", "laptop"))


def test_keys_are_made_on_the_embedded_postgres_before_anything_serves(pkpo: Pkpo, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": "", "DATA_DIR": str(tmp_path / "data")}
    assert TOKEN.fullmatch(pkpo("keys", "create", "team", **settings).stdout.strip())
    assert pkpo("keys", "list", **settings).stdout.startswith("team\tread,write\t")


def test_a_name_that_is_taken_is_refused(pkpo: Pkpo) -> None:
    pkpo("keys", "create", "laptop")
    assert "'laptop'" in failed(pkpo("keys", "create", "laptop"))


def test_a_name_that_cannot_be_listed_is_refused(pkpo: Pkpo) -> None:
    assert "printable" in failed(pkpo("keys", "create", "two\nlines"))


@pytest.mark.parametrize("days", ["0", "-1", "1000000"])
def test_a_key_lives_a_day_to_a_century(pkpo: Pkpo, days: str) -> None:
    assert f"not {days}" in failed(pkpo("keys", "create", "laptop", "--days", days))


@pytest.mark.parametrize("name", ["", " ", "laptop\nteam", "a" * 201])
def test_a_key_has_a_name_that_a_list_can_show(pkpo: Pkpo, name: str) -> None:
    assert "a key's name has 1 to 200 printable characters" in failed(pkpo("keys", "create", name))


def test_other_machines_are_not_served_without_a_key(pkpo: Pkpo, tmp_path: Path) -> None:
    said = failed(pkpo("serve", HOST="0.0.0.0"))
    assert "PKPO_HOST=0.0.0.0" in said
    assert "pkpo keys create" in said
    assert said == failed(pkpo("serve", HOST="0.0.0.0", DATABASE_URL="", DATA_DIR=str(tmp_path / "data")))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"PORT": "eighty"}, "PKPO_PORT"),
        ({"PORT": "70000"}, "65535"),
        ({"DATABASE_URL": "sqlite:///pkpo.db"}, "sqlite"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}, "does not answer"),
        ({"DATABASE_URL": "not a url"}, "PKPO_DATABASE_URL"),
    ],
)
def test_settings_that_cannot_be_used_are_said_in_a_line(pkpo: Pkpo, settings: dict[str, str], said: str) -> None:
    assert said in failed(pkpo("serve", **settings))


def test_a_setting_that_is_empty_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PKPO_DATABASE_URL", "PKPO_DATA_DIR", "PKPO_HOST", "PKPO_PORT", "PKPO_ALLOWED_HOSTS"):
        monkeypatch.setenv(name, "")
    assert Settings() == Settings.model_construct()


def test_migrate_can_be_repeated(pkpo: Pkpo, empty_database_url: str) -> None:
    for _ in range(2):
        assert pkpo("migrate", DATABASE_URL=empty_database_url).stdout == "The database has this version's schema.\n"


def test_a_password_is_in_no_message(pkpo: Pkpo) -> None:
    done = pkpo("serve", DATABASE_URL="postgresql://pkpo:canary-secret@127.0.0.1:1/pkpo")
    assert "does not answer" in done.stderr
    assert "canary-secret" not in done.stdout + done.stderr


@pytest.mark.parametrize("command", [["serve"], ["migrate"], ["keys"], ["keys", "create"], ["import"]])
def test_every_command_explains_itself(pkpo: Pkpo, command: list[str]) -> None:
    done = pkpo(*command, "--help")
    assert done.returncode == 0
    assert "usage: pkpo" in done.stdout
