"""`pkpo curve` on 100,000 lines, in CPU time of the whole command: against a bare loop that decodes the same file."""

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.supervisor import CHECKOUT
from benchmarks.ratio import Ratio

PROBLEMS, COMPLETIONS = 1000, 100
ROUNDS = 10
LOOP = "import json, sys\nfor line in open(sys.argv[1]):\n    json.loads(line)"
# Bytecode is written once, as an installation does.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def measure() -> Iterator[Ratio]:
    """Rows of a verdict alone, and rows with a completion of 1 KB."""
    with tempfile.TemporaryDirectory(prefix="pkpo-bench-") as folder:
        for name, text in (("verdicts alone", None), ("with texts of 1 KB", "import math\n" * 85)):
            path = Path(folder, "results.jsonl")
            path.write_text("".join(_lines(text)))
            ours, loop = (sys.executable, "-m", "pkpo", "curve", str(path)), (sys.executable, "-c", LOOP, str(path))
            _seconds(ours)
            taken = [(_seconds(ours), _seconds(loop)) for _ in range(ROUNDS)]
            curve, bare = map(min, zip(*taken, strict=True))
            detail = f"{curve * 1e3:.0f} ms, the loop {bare * 1e3:.0f} ms"
            yield Ratio(name, curve / bare, "a loop of json.loads", at_most=2.0, detail=detail)


def _lines(text: str | None) -> Iterator[str]:
    rng = random.Random(0)
    for problem in range(PROBLEMS):
        for index in range(COMPLETIONS):
            row: dict[str, object] = {"problem": f"p{problem}", "sample_index": index, "passed": rng.random() < 0.3}
            yield json.dumps(row if text is None else {**row, "text": text}) + "\n"


def _seconds(command: Sequence[str]) -> float:
    """CPU seconds of a process from its start to its end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=CHECKOUT, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return usage.ru_utime + usage.ru_stime
