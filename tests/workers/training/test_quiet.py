"""The log of a training has nothing in it that says nothing of it."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from tests.app.processes import free_port
from tests.documents import ROOT


def test_several_processes_begin_without_a_word_of_threads() -> None:
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "PYTHONPATH": str(ROOT)}
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"} | shared
    begin = [sys.executable, "-c", "from workers.training import ranks; print(ranks.count())"]
    started = [
        subprocess.Popen(
            begin,
            env=environment | {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    for process in started:
        out, errors = process.communicate(timeout=120)
        assert (out, process.returncode) == ("2\n", 0), errors
        assert "OMP_NUM_THREADS" not in errors
