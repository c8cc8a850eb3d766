import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, get_args

import pytest

import pkpo
from pkpo.cli import SERVICE_DOCS, main
from pkpo.commands.curve import COUNT_METRICS, EPILOG, REWARD_METRICS
from pkpo.curves import CountMetric, RewardMetric
from pkpo.readers import READERS
from tests.pkpo.commands import complaint, curves, table, values
from tests.pkpo.results_files import PASS_AT, cruxeval, human_eval, jsonl, rows, written

ROOT = Path(pkpo.__file__).resolve().parent.parent


def run(*arguments: str | Path, **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pkpo", *arguments], capture_output=True, text=True, timeout=60, **how)


# what a user can get wrong


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["curve"], "the following arguments are required: FILE"),
        (["curve", "--k", "1"], "the following arguments are required: FILE"),
        (["curve", "--k", "results"], "'results' is not a whole number from 1 up, nor several as in 1,2,4"),
        (["curve", "results", "--k", "0"], "'0' is not a whole number from 1 up"),
        (["curve", "results", "--k", "1", "0"], "'1,0' is not a whole number from 1 up"),
        (["curve", "results", "--k", "1,,2"], "'1,,2' is not a whole number from 1 up"),
        (["curve", "results", "--level", "95"], "'95' is not between 0 and 1, as 0.95 is"),
        (["curve", "results", "--level", "nan"], "'nan' is not between 0 and 1"),
        (["curve", "results", "--fail-reward", "inf"], "'inf' is not a finite number"),
        (["curve", "results", "--metric", "pass"], "invalid choice: 'pass'"),
        (["curve", "results", "--json", "--csv"], "not allowed with argument --json"),
        (["curve", "results", "--format", "parquet"], "no format 'parquet'; there are cruxeval, livecodebench, "),
        (["kurve"], "invalid choice: 'kurve'"),
    ],
)
def test_a_mistake_in_the_arguments_is_one_line_and_status_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, jsonl(rows()))
    assert sentence in complaint(capsys, *arguments, status=2)


def test_a_mistake_in_a_file_is_one_line_and_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert complaint(capsys, "curve", tmp_path / "absent").endswith("absent: No such file or directory")
    assert complaint(capsys, "curve", tmp_path).endswith(": Is a directory")
    path = written(tmp_path, '{"problem": "a", "passed": true}\n{"problem": "a", "passed"}\n')
    assert complaint(capsys, "curve", path).startswith(f"{path}:2: not a JSON object on one line")
    assert complaint(capsys, "curve", written(tmp_path, "")) == f"{path}: empty file"


def test_a_format_can_be_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, human_eval())
    assert curves(capsys, path, "--format", "jsonl")[0]["format"] == "jsonl"
    assert "raw_generations must be an object" in complaint(
        capsys, "curve", written(tmp_path, "{}"), "--format", "cruxeval"
    )


# the command as a process


def test_standard_input_is_a_file_like_any_other(tmp_path: Path) -> None:
    with written(tmp_path, human_eval(), gzipped=True).open("rb") as stream:
        done = run("curve", "-", "--json", stdin=stream)
    assert done.stderr == ""
    curve = json.loads(done.stdout)
    assert curve["file"] == "standard input"
    assert values(curve) == pytest.approx(PASS_AT)


def test_a_closed_standard_input_is_said_in_a_line() -> None:
    done = subprocess.run(["bash", "-c", f"{sys.executable} -m pkpo curve - <&-"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "pkpo: -: standard input is closed\n")


def test_a_reader_that_has_seen_enough_ends_it_quietly(tmp_path: Path) -> None:
    path = written(tmp_path, jsonl(rows()))
    many = " ".join([str(path)] * 300)
    command = f"{sys.executable} -m pkpo curve {many} | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{path}\n"
    assert done.stderr == ""


def test_a_terminal_without_these_characters_gets_others(tmp_path: Path) -> None:
    path = written(tmp_path, jsonl(rows()), "réponses")
    done = run("curve", path, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "r\\xe9ponses" in done.stdout
    assert "o" in done.stdout.splitlines()[4].split()[-1]
    assert done.stdout.isascii()


def test_colour_is_for_terminals_and_can_be_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, jsonl(rows()))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\033" not in table(capsys, path)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert table(capsys, path).startswith(f"\033[1m{path}\033[0m\n")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\033" not in table(capsys, path)


def test_help_and_readers_need_no_numpy() -> None:
    look = "import sys\n{}print(*sys.modules)"
    run_main = "from pkpo.cli import SERVICE_DOCS, main\ntry:\n    main({})\nexcept SystemExit:\n    pass\n"
    anyway = subprocess.run([sys.executable, "-c", look.format("")], capture_output=True, text=True, check=True)
    loaded_anyway = {name.split(".")[0] for name in anyway.stdout.split()}
    for arguments in (["--help"], ["curve", "--help"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-c", look.format(run_main.format(arguments))], capture_output=True, text=True, check=True
        )
        loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
        assert loaded - loaded_anyway - sys.stdlib_module_names == {"pkpo", "app"}
    read = "import pkpo.readers, sys; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", read], capture_output=True, text=True).stdout == "False\n"


def test_the_library_is_there_when_it_is_asked_for() -> None:
    assert all(hasattr(pkpo, name) for name in pkpo.__all__)
    assert set(pkpo.__all__) <= set(dir(pkpo))
    with pytest.raises(AttributeError, match="module 'pkpo' has no attribute 'pass_at'"):
        pkpo.pass_at  # noqa: B018


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["curve", "--help"])
    printed = capsys.readouterr().out
    for said in ("arXiv:2107.03374", "Student's t", "examples:", "infrastructure_error", "--missing", *COUNT_METRICS):
        assert said in printed
    assert all(reader.NAME in EPILOG for reader in READERS)


def test_the_metrics_on_offer_are_those_of_the_library() -> None:
    assert get_args(CountMetric) == COUNT_METRICS
    assert get_args(RewardMetric) == REWARD_METRICS


def test_the_checkout_offers_the_servers_commands(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "cli.py").write_text("raise SystemExit('another app')")
    done = run("--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"curve", "serve", "migrate", "keys", "import"} <= set(done.stdout.split())


def test_the_wheel_holds_the_library_alone_and_its_command_works(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    [wheel] = tmp_path.glob("*.whl")
    unpacked = tmp_path / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    metadata = f"pkpo-{pkpo.__version__}.dist-info"
    assert {path.name for path in unpacked.iterdir()} == {"pkpo", metadata}
    assert "pkpo = pkpo.cli:main" in (unpacked / metadata / "entry_points.txt").read_text()

    elsewhere = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(unpacked)}}
    assert run("--version", **elsewhere).stdout == f"pkpo {pkpo.__version__}\n"
    assert "serve" not in run("--help", **elsewhere).stdout.split()
    done = run("curve", written(tmp_path, cruxeval()), "--json", **elsewhere)
    assert values(json.loads(done.stdout)) == pytest.approx(PASS_AT)
    for command in ("serve", "migrate", "keys", "import"):
        done = run(command, "--help", **elsewhere)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert f"is not in the installed package: see {SERVICE_DOCS}" in done.stderr
    assert "\n## What runs where\n" in (ROOT / "README.md").read_text()
