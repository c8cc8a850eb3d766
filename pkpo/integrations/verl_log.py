"""What a training with verl has written, to the service: `python -m pkpo.integrations.verl_log FOLDER --follow`.

It reads the folder of `pkpo train export-verl` beside the training, which never waits for it: metrics that verl's file
logger wrote, the groups and the evaluations on held-out problems that verl dumps. What was sent stands in
`log/sent.json`, so it may be ended and started again. A training that went back to a checkpoint repeats steps, and the
service keeps them in a new segment; an evaluation is sent once.
"""

import argparse
import json
import math
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpo.client import Client, ClientError
from pkpo.integrations.credits_per_step import CreditPlan
from pkpo.schedules import from_spec, mixture

PAUSE = 5.0  # seconds between two looks; a file that is older is whole
WITHOUT_PASS = ("scored", "infrastructure_error")
Row = Mapping[str, Any]


class Followed:
    """The folder of one training."""

    def __init__(self, folder: Path, client: Client) -> None:
        self.spec: dict[str, Any] = json.loads((folder / "spec.json").read_text())
        self._log, self._client = folder / "log", client
        self._kept = self._log / "sent.json"
        kept = json.loads(self._kept.read_text()) if self._kept.exists() else {}
        self._sent: dict[str, Any] = {"offset": 0, "groups": {}, "held_out": []} | kept
        self._plan, self._planned = self._new_plan(), 0

    def send(self, older: float = 0.0) -> int:
        """Send what is new, of dumps that are at least `older` seconds old; returns how many steps and evaluations."""
        sent = 0
        for part in (self._metrics(), self._groups(older), self._held_out(older)):
            for _ in part:
                sent += 1
        if sent:
            self._client.flush()
            self._kept.write_text(json.dumps(self._sent))
        return sent

    def _metrics(self) -> Iterator[None]:
        path = self._log / "metrics.jsonl"
        if not path.exists():
            return
        if path.stat().st_size < self._sent["offset"]:
            self._sent["offset"] = 0  # a training that is resumed begins the file anew
        with path.open("rb") as file:
            file.seek(self._sent["offset"])
            for line in file:
                if not line.endswith(b"\n"):
                    return
                told = json.loads(line)
                numbers = {name: value for name, value in told["data"].items() if isinstance(value, int | float)}
                self._client.log_metrics(self.spec["run"], told["step"], numbers)
                self._sent["offset"] += len(line)
                yield

    def _groups(self, older: float) -> Iterator[None]:
        for step, path in _dumps(self._log / "groups", older):
            written = path.stat().st_mtime_ns
            if step == 0 or self._sent["groups"].get(str(step)) == written:
                continue
            names, rewards, texts = _grouped(_rows(path))
            self._client.log_groups(
                self.spec["run"],
                step,
                _padded(rewards),
                k=self._k(step),
                problems=names,
                transform=self.spec.get("transform", "sloo_minus_one"),
                scale=self.spec["credit_scale"],
                short="zero",
                completions=texts if len(set(map(len, texts))) == 1 else None,
            )
            self._sent["groups"][str(step)] = written
            yield

    def _k(self, step: int) -> dict[int, float]:
        """The k in force at a step, after what the schedule observed in those before it."""
        if self._planned >= step:  # back at a checkpoint
            self._plan, self._planned = self._new_plan(), 0
        while self._planned < step:
            self._planned += 1
            path = self._log / "groups" / f"{self._planned}.jsonl"
            if path.exists():
                names, rewards, _ = _grouped(_rows(path))
                self._plan.train(_padded(rewards), names, self._planned - 1)
        return dict(mixture(self._plan.schedule.k(self._plan.state, "")))

    def _new_plan(self) -> CreditPlan:
        spec = self.spec
        return CreditPlan(
            spec["n"], from_spec(spec["k"]), spec.get("transform", "sloo_minus_one"), spec["credit_scale"]
        )

    def _held_out(self, older: float) -> Iterator[None]:
        generation = self.spec["generation"]
        sampling = {name: generation[name] for name in ("temperature", "max_tokens")} | {"top_p": 1.0}
        for step, path in _dumps(self._log / "held-out", older):
            if step in self._sent["held_out"]:
                continue
            evaluation = self._client.evaluation(
                self.spec["run"], step, self.spec["held_out_set"], sampling, n=self.spec["n"]
            )
            self._client.log_completions(evaluation, _completions(_rows(path), self.spec["verifier"]))
            self._sent["held_out"].append(step)
            yield


def _dumps(folder: Path, older: float) -> list[tuple[int, Path]]:
    """The dumps of a folder by step, without those that may still be written to."""
    found = [(int(each.stem), each) for each in folder.glob("*.jsonl") if each.stem.isdecimal()]
    return sorted((step, path) for step, path in found if time.time() - path.stat().st_mtime >= older)


def _rows(path: Path) -> list[Row]:
    # Texts may hold what splitlines takes for an end of a line.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _grouped(rows: Sequence[Row]) -> tuple[list[str], list[list[float]], list[list[str]]]:
    """The problem of each group of a step, its rewards and its texts; a group is a prompt that was drawn from."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["uid"].rsplit("_", 2)[0]].append(row)  # verl's keys are prompt_sample_output
    names = [json.loads(each[0]["gts"])["problem"] for each in groups.values()]
    rewards = [[float(row["score"]) for row in each] for each in groups.values()]
    return names, rewards, [[row["output"] for row in each] for each in groups.values()]


def _padded(rewards: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Shape (P, n) with n that of the largest group, nan where there is none."""
    made = np.full((len(rewards), max(map(len, rewards))), np.nan)
    for row, each in enumerate(rewards):
        made[row, : len(each)] = each
    return made


def _completions(rows: Sequence[Row], verifier: str) -> Iterator[dict[str, Any]]:
    drawn: Counter[str] = Counter()
    for row in rows:
        problem = json.loads(row["gts"])["problem"]
        said: dict[str, Any] = {"verifier": verifier, "status": row["status"]}
        if math.isfinite(row["score"]):
            said["reward"] = row["score"]
        if row["status"] not in WITHOUT_PASS:
            said["passed"] = row["status"] == "passed"
        yield {
            "problem": problem,
            "sample_index": drawn[problem],
            "text": row["output"],
            "verifications": [said],
        }
        drawn[problem] += 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Send what is there, or with --follow all that comes."""
    parser = argparse.ArgumentParser(prog="python -m pkpo.integrations.verl_log", description=(__doc__ or "").strip())
    parser.add_argument("folder", type=Path, help="of pkpo train export-verl")
    parser.add_argument("--follow", action="store_true", help="go on until it is interrupted")
    parser.add_argument("--url", help="the server, before PKPO_URL")
    given = parser.parse_args(arguments)
    try:
        with Client(given.url) as client:
            followed = Followed(given.folder, client)
            while True:
                sent = followed.send(PAUSE if given.follow else 0.0)
                if sent or not given.follow:
                    print(f"{followed.spec['run']}: {sent} sent", flush=True)
                if not given.follow:
                    return 0
                time.sleep(PAUSE)
    except KeyboardInterrupt:
        return 0
    except (ClientError, OSError, ValueError, KeyError) as error:
        print(f"{given.folder}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
