import gzip
import io
import json
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import pkpo
from pkpo.cli import main
from pkpo.commands import transform as command
from pkpo.transforms import TRANSFORMS, Scale, transform
from tests.pkpo.commands import complaint
from tests.pkpo.results_files import DEEP, jsonl, written

REWARDS = [1.0, 0.5, 0.0, 0.25, 0.0]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main(["transform", *map(str, arguments)]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", [*TRANSFORMS, "mixed(0.25)", "mixed(-1e-3)", "top_mean(1.5)", "cvar(0.5)", "median"])
@pytest.mark.parametrize("scale", command.SCALES)
def test_the_credits_are_the_librarys_to_the_last_bit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, scale: Scale
) -> None:
    rewards = [1.0, 0.0, 0.0, 1.0, 0.0] if name == "alpha_loo" else REWARDS
    path = written(tmp_path, f"{json.dumps(rewards)}\n")
    out = printed(capsys, path, "--k", "3", "--transform", name, "--scale", scale)
    assert json.loads(out) == transform(name, rewards, 3, scale=scale).tolist()


def test_the_command_offers_every_transform_and_each_scale_of_one_group() -> None:
    offered = re.findall(r"^  ([a-z_]+) +(?=what|s |between|for|max)", command.EPILOG, re.MULTILINE)
    assert sorted(offered) == sorted(TRANSFORMS)
    assert set(get_args(Scale)) - {"rms"} == set(command.SCALES)


def test_a_k_between_two_is_the_mixture_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, f"{json.dumps(REWARDS)}\n")
    for k in ("2.5", "2.0"):
        credits = json.loads(printed(capsys, path, "--k", k))
        assert credits == transform("sloo_minus_one", REWARDS, float(k)).tolist()


def test_an_object_keeps_its_fields_and_gets_credits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, jsonl([{"problem": "sum/7", "rewards": [1, 0.5], "step": 3}]))
    out = json.loads(printed(capsys, path, "--k", "2"))
    assert out == {"problem": "sum/7", "rewards": [1, 0.5], "step": 3, "credits": [0.5, 0.0]}


def test_what_is_missing_has_no_credit_and_no_part_in_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_gap, without = printed(capsys, written(tmp_path, "[1, null, 0, 0.5]\n[1, 0, 0.5]\n"), "--k", "2").splitlines()
    credits = json.loads(with_gap)
    assert credits.pop(1) is None
    assert credits == json.loads(without)


def test_groups_of_any_size_verdicts_and_blank_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "[true, false]\r\n\n[0, 0, 1, 0]", gzipped=True)
    assert printed(capsys, path, "--k", "2") == "[1.0, 0.0]\n[0.0, 0.0, 0.5, 0.0]\n"


def test_the_examples_of_the_help_are_what_it_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = command.EPILOG.splitlines()
    examples = [(line, after) for line, after in pairwise(lines) if line.startswith("  $ echo")]
    assert len(examples) == 3
    for line, after in examples:
        _, rewards, _, _, _, *arguments = shlex.split(line.removeprefix("  $ "))
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(rewards.encode())))
        assert printed(capsys, *arguments) == f"{after.strip()}\n"


def test_a_line_is_answered_before_the_next_one_is_written() -> None:
    arguments = [sys.executable, "-m", "pkpo", "transform", "--k", "2"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for rewards in ([1, 0, 0], [0, 0, 1]):
            process.stdin.write(f"{rewards}\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == pkpo.sloo_minus_one(np.array(rewards), 2).tolist()
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("[1, 0", ":1: not JSON: Expecting ',' delimiter (column 6)"),
        ("[1, 0\n", ":1: not JSON: Expecting ',' delimiter (column 6)"),
        (b"[1, \xff]", ":1: not UTF-8: invalid start byte"),
        (DEEP, ":1: nested too deeply"),
        ("[]", ":1: expected a list of rewards, or an object with the field rewards, got []"),
        ('{"reward": [1, 0]}', 'an object with the field rewards, got {"reward": [1, 0]}'),
        ("7", "got 7"),
        ('[1, "0"]', ':1: a reward must be a number, true, false or null, got "0"'),
        ("[1, NaN]", ":1: rewards must be finite"),
        (f"[1, 1{'0' * 400}]", ":1: a reward is beyond the range of float64"),
        ("[1, null]", ":1: sloo_minus_one at k=2 needs at least 2 rewards per group; the group has n=1"),
        ("[null, null]", "the group has n=0"),
        (gzip.compress(b"[1, 0]" * 99, mtime=0)[:-9], "the gzip data ends early; the file is cut off"),
    ],
)
def test_a_line_without_credits_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str | bytes, sentence: str
) -> None:
    assert sentence in complaint(capsys, "transform", "--k", "2", written(tmp_path, line))


def test_lines_before_a_bad_one_have_their_credits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["transform", "--k", "2", str(written(tmp_path, "[1, 0]\n[1]\n"))]) == 1
    out, error = capsys.readouterr()
    assert out == "[1.0, 0.0]\n"
    assert ":2: sloo_minus_one at k=2 needs at least 2 rewards" in error


@pytest.mark.parametrize("k", ["0", "-1", "1,2", "x", "²"])
def test_k_is_a_number_from_1_up(capsys: pytest.CaptureFixture[str], k: str) -> None:
    assert "is not a number from 1 up" in complaint(capsys, "transform", f"--k={k}", status=2)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("grpo", "transform must be one of s, sloo, "),
        ("mixed", "got 'mixed'"),
        ("mixed(nan)", "lam of mixed must be finite in float64; got nan"),
        ("history(0.5)", "'history(0.5)' needs the past of a training, and a line has none"),
    ],
)
def test_a_name_that_no_line_could_use_is_refused_at_once(
    capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    assert said in complaint(capsys, "transform", "--k", "2", "--transform", name, status=2)


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert complaint(capsys, "transform", "--k", "2", tmp_path / "none").endswith("none: No such file or directory")
