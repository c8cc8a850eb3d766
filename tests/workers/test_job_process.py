"""The process of a job: where its temporary files go, and that none of them outlasts it."""

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.jobs.service import Attempt
from workers.job_process import JobProcess

LEAVES_A_FILE = """
import os, tempfile, time
handle, path = tempfile.mkstemp()
print(path, os.environ["TORCHINDUCTOR_CACHE_DIR"], flush=True)
time.sleep(1000)
"""


async def said_and_left(environment: Mapping[str, str]) -> tuple[Path, str, bool]:
    """The file that a process leaves, where it is told to keep kernels, and whether the file was there while it ran."""
    command = (sys.executable, "-c", LEAVES_A_FILE)
    process = await JobProcess.start(command, Attempt(1, 1), environment, None)
    file, kernels = (await process.output.readline()).decode().split()
    there = Path(file).exists()
    await process.end(0.0)
    return Path(file), kernels, there


def test_what_a_killed_job_leaves_is_removed_but_for_what_torch_compiled(tmp_path: Path) -> None:
    file, kernels, there = asyncio.run(said_and_left({}))
    assert there
    assert not file.parent.exists()
    assert file.parent.parent == Path(tempfile.gettempdir()) == Path(kernels).parent


def test_kernels_stay_where_they_were_asked_for(tmp_path: Path) -> None:
    assert asyncio.run(said_and_left({"TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}))[1] == str(tmp_path)


def test_a_process_that_cannot_be_started_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        asyncio.run(JobProcess.start([str(tmp_path / "none")], Attempt(1, 1), {}, None))
    assert list(tmp_path.iterdir()) == []
