"""Checkpoints are whole or not there at all."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

from app.training.checkpoint import written
from tests.documents import ROOT
from workers.training.checkpoints import Checkpoints


def write(content: str) -> Any:
    def of(folder: Path) -> dict[str, Any]:
        (folder / "model.safetensors").write_text(content)
        return {"seed": 7}

    return of


def checkpoints(folder: Path) -> Checkpoints:
    return Checkpoints(folder, "config", lambda _: None)


def with_state(content: str) -> Any:
    def of(folder: Path) -> dict[str, Any]:
        (folder / "training" / "optimizer.safetensors").write_text(content)
        return cast(dict[str, Any], write(content)(folder))

    return of


def names(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


def test_the_latest_two_stay_whole_and_of_those_before_them_the_weights_that_are_wanted(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path / "run")
    assert kept.latest() is None
    saved = [kept.save(step, with_state(str(step)), nullcontext) for step in (0, 5, 10, 15)]
    kept.prune(lambda each: each.step == 5)
    kept.prune(lambda each: each.step == 5)
    assert sorted(each.name for each in (tmp_path / "run").iterdir()) == [
        "step-000000005",
        "step-000000010",
        "step-000000015",
    ]
    assert names(saved[1].folder) == ["model.safetensors", "training/checkpoint.json"]
    assert (
        names(saved[2].folder) == names(saved[3].folder) == [*names(saved[1].folder), "training/optimizer.safetensors"]
    )
    assert list(written(saved[1].folder).files) == ["model.safetensors"]
    latest = kept.latest()
    assert latest is not None
    assert (latest.step, latest.manifest["seed"]) == (15, 7)


def test_where_weights_alone_are_left_the_training_begins_again_and_takes_their_place(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path / "run")
    kept.latest()
    saved = [kept.save(step, with_state(str(step)), nullcontext) for step in (0, 5, 10, 15, 20)]
    kept.prune(lambda _: True)
    for each in saved[3:]:
        shutil.rmtree(each.folder)
    assert kept.latest() is None, "none of those that are left has an optimizer"
    again = kept.save(0, with_state("again"), nullcontext)
    kept.prune(lambda _: True)
    assert "training/optimizer.safetensors" in names(again.folder), "the only one to go on from is no older than others"
    assert names(saved[1].folder) == ["model.safetensors", "training/checkpoint.json"]
    found = kept.latest()
    assert found is not None
    assert (found.step, (found.folder / "model.safetensors").read_text()) == (0, "again")


def test_weights_that_were_being_left_alone_when_the_process_died_are(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path / "run")
    kept.latest()
    saved = [kept.save(step, with_state(str(step)), nullcontext) for step in (0, 5, 10)]
    kept.prune(lambda _: True)
    (saved[0].state / "optimizer.safetensors").write_text("not removed yet")
    kept.prune(lambda _: True)
    assert names(saved[0].folder) == ["model.safetensors", "training/checkpoint.json"]


def test_one_whose_commit_is_refused_leaves_nothing(tmp_path: Path) -> None:
    class Lost(Exception):
        pass

    @contextmanager
    def lost() -> Iterator[None]:
        if kept.folder.exists():
            raise Lost
        yield

    kept = checkpoints(tmp_path / "run")
    kept.latest()
    with pytest.raises(Lost):
        kept.save(1, write("1"), lost)
    assert list((tmp_path / "run").iterdir()) == []


def test_one_that_another_attempt_has_made_is_kept_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    kept = checkpoints(tmp_path / "run")
    kept.latest()
    first = kept.save(1, write("first"), nullcontext)
    assert kept.save(1, write("second"), nullcontext).manifest == first.manifest
    (first.folder / "model.safetensors").write_text("damaged")
    kept.save(1, write("third"), nullcontext)
    assert (first.folder / "model.safetensors").read_text() == "third"
    assert (tmp_path / "run" / "corrupt-step-000000001-0" / "model.safetensors").read_text() == "damaged"


FULL = """
import sys
from contextlib import nullcontext
from pathlib import Path
from workers.training.checkpoints import Checkpoints, NoRoom

kept = Checkpoints(Path(sys.argv[1]), "config", print)
kept.latest()
def write(size):
    def of(folder):
        (folder / "model.safetensors").write_bytes(bytes(size))
        return {}
    return of
for step in (0, 1, 2):
    kept.save(step, write(1 << 20), nullcontext)
kept.prune(lambda checkpoint: True)
for step, size, estimate in ((3, 1 << 20, 9 << 20), (4, 9 << 20, 0)):
    try:
        kept.save(step, write(size), nullcontext, estimate)
    except NoRoom as error:
        print(f"step {step}: {error}")
print(kept.latest().step, sorted(each.name for each in Path(sys.argv[1]).iterdir()))
"""


def test_a_full_disk_is_told_and_what_was_there_stays(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("FULL DISKS ARE NOT TESTED: no tmpfs can be mounted in a user namespace here")
    small = 'mount -t tmpfs -o size=10m none "$0" && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", small, str(tmp_path)]
    done = subprocess.run(
        [*command, sys.executable, "-c", FULL, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    before, while_writing, after = done.stdout.splitlines()[-3:]
    assert before.startswith("step 3: A checkpoint needs 12 MB and"), done.stderr
    assert "make room, and retry the job" in before
    assert while_writing.startswith("step 4: The checkpoint of step 4 could not be written"), done.stderr
    for told in (before, while_writing):
        assert ". There 1.0 MB are weights of earlier checkpoints (1): the same training submitted with" in told
    assert after == "2 ['step-000000000', 'step-000000001', 'step-000000002']"


def can_mount() -> bool:
    mount = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/tmp"]
    return shutil.which("unshare") is not None and subprocess.run(mount, capture_output=True).returncode == 0
