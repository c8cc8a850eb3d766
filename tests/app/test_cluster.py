import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded_postgres import EmbeddedPostgres
from app.embedded_postgres.cluster import binary
from app.embedded_postgres.data_folder import EmbeddedPostgresError
from tests.app.processes import count, eventually, inhabitants, launcher, mode, path_of, program, started, write

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")
DAEMON, NOBODY = 1, 65534
# A user like any other, who may read everything so that the interpreter is in reach wherever it is installed.
ORDINARY = (
    *("setpriv", f"--reuid={DAEMON}", f"--regid={DAEMON}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
# Says why Postgres cannot start, and what is in the folder then.
START = """
import os, sys
from pathlib import Path
from app.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
try:
    EmbeddedPostgres(Path(sys.argv[1])).start()
except EmbeddedPostgresError as error:
    print(error, os.listdir(sys.argv[1]))
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach and write to, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="pkpo-test-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def path_without_unshare(open_folder: Path) -> dict[str, str]:
    """An environment in which root has no user namespaces to go to."""
    return path_of("sh", "setpriv", folder=open_folder / "bin")


def test_a_folder_of_another_major_version_is_refused(tmp_path: Path) -> None:
    version = tmp_path / "postgres" / "data" / "PG_VERSION"
    version.parent.mkdir(parents=True)
    version.write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match=r"made by PostgreSQL 17, .* PostgreSQL 18,.*pg_dump"):
        EmbeddedPostgres(tmp_path).start()
    assert version.read_text() == "17\n"


@as_root
def test_a_full_disk_is_named_and_nothing_half_made_stays(tmp_path: Path) -> None:
    small = 'mount -t tmpfs -o size=12m none "$0" && exec "$@"'
    prefix = ("unshare", "--mount", "sh", "-c", small, str(tmp_path))
    with program(*prefix, sys.executable, "-c", START, str(tmp_path / "data")) as process:
        output, errors = process.communicate()
    if "permission denied" in errors:
        pytest.skip(f"no file system can be mounted here: {errors}")
    assert "No space left on device" in output, errors
    assert "['lock']" in output


@as_root
def test_an_ordinary_user_needs_nothing_special(open_folder: Path) -> None:
    kill_and_start_again(open_folder / "data", ORDINARY, {}, uid=DAEMON)


@as_root
def test_root_runs_it_in_a_user_namespace(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    kill_and_start_again(tmp_path / "data", (), {}, uid=0)


@as_root
def test_root_without_user_namespaces_runs_it_as_nobody(
    open_folder: Path, path_without_unshare: dict[str, str]
) -> None:
    skip_where_nobody_finds_no_binaries()
    kill_and_start_again(open_folder / "data", (), path_without_unshare, uid=NOBODY)
    assert mode(open_folder / "data") == 0o711, "others may pass through, not list"


def kill_and_start_again(folder: Path, prefix: tuple[str, ...], environment: dict[str, str], uid: int) -> None:
    with launcher(folder, prefix, environment) as process:
        pid, url = started(process)
        assert Path(f"/proc/{pid}").stat().st_uid == uid
        write(url, 8)
        process.kill()
        process.wait()
        eventually(lambda: not inhabitants(folder))
    with launcher(folder, prefix, environment) as process:
        assert count(started(process)[1]) == 8
        process.communicate()
        assert process.returncode == 0
        assert not inhabitants(folder)


def skip_where_nobody_finds_no_binaries() -> None:
    as_nobody = ("setpriv", f"--reuid={NOBODY}", "--clear-groups", "test", "-x", str(binary("postgres")))
    if subprocess.run(as_nobody, check=False).returncode:
        pytest.skip(f"{binary('postgres')} is out of the reach of nobody")


@as_root
def test_root_finds_its_data_whichever_way_it_ran_it_before(
    open_folder: Path, path_without_unshare: dict[str, str]
) -> None:
    skip_where_nobody_finds_no_binaries()
    folder = open_folder / "data"
    with launcher(folder) as process:
        write(started(process)[1], 8)
        process.communicate()
    for environment in (path_without_unshare, {}):
        with launcher(folder, environment=environment) as process:
            assert count(started(process)[1]) == 8
            process.communicate()


@as_root
def test_a_folder_out_of_the_reach_of_nobody_is_named(tmp_path: Path, path_without_unshare: dict[str, str]) -> None:
    tmp_path.chmod(0o700)
    with launcher(tmp_path / "data", environment=path_without_unshare) as process:
        errors = process.communicate()[1]
    assert "unshare is not installed" in errors
    assert f"can't cd to {tmp_path}/data" in errors


@as_root
def test_root_does_not_take_the_data_of_an_ordinary_user(open_folder: Path) -> None:
    with launcher(open_folder / "data", ORDINARY) as process:
        started(process)
        process.communicate()
    with pytest.raises(EmbeddedPostgresError, match=f"belongs to the user with uid {DAEMON}"):
        EmbeddedPostgres(open_folder / "data").start()


@as_root
def test_a_folder_that_may_not_be_written_is_named(open_folder: Path) -> None:
    (open_folder / "data").mkdir(mode=0o755)
    with launcher(open_folder / "data", ORDINARY) as process:
        errors = process.communicate()[1]
    assert f"the data folder {open_folder}/data cannot be used: Permission denied" in errors
