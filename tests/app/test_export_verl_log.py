"""What verl has written beside an exported folder, in the service: figures, groups and held-out evaluations."""

import json
from collections.abc import Iterator
from math import nan
from pathlib import Path
from typing import Any

import httpx
import pytest

from pkpo.client import Client
from pkpo.integrations.verl_log import Followed
from pkpo.transforms import transform

SPEC: dict[str, Any] = {
    "run": "verl-sums",
    "n": 4,
    "k": {"schedule": "step", "from": 3, "to": 1, "at": 1},
    "credit_scale": "mean",
    "verifier": "exact-match",
    "held_out_set": "sums.held-out-0.25@1",
    "generation": {"temperature": 0.7, "max_tokens": 8},
}
REWARDS = {"1+1": [1.0, 0.0, 0.0, 0.0], "2+3": [1.0, 1.0, nan, 0.0]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose training has made a step."""
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    (tmp_path / "log").mkdir()
    made(tmp_path, "groups", 1)
    with (tmp_path / "log" / "metrics.jsonl").open("w") as file:
        file.write(json.dumps({"step": 1, "data": {"actor/entropy": 0.5, "actor/pg_loss": nan, "mode": "x"}}) + "\n")
        file.write('{"step": 2, "data": {"actor/entr')  # being written
    return tmp_path


@pytest.fixture
def followed(folder: Path, base_url: str, tmp_path: Path) -> Iterator[Followed]:
    with Client(base_url, spool=tmp_path / "spool") as client:
        yield Followed(folder, client)


def made(folder: Path, name: str, step: int) -> None:
    """A dump as verl writes it."""
    (folder / "log" / name).mkdir(exist_ok=True)
    status = {1.0: "passed", 0.0: "failed"}
    rows = [
        {
            "input": f"{problem}=",
            "output": f"answer {i}",
            "gts": json.dumps({"problem": problem, "prompt": f"{problem}="}),
            "score": reward,
            "step": step,
            "uid": f"{problem}-uuid_{i}_0",
            "status": status.get(reward, "infrastructure_error"),
        }
        for problem, rewards in REWARDS.items()
        for i, reward in enumerate(rewards)
    ]
    text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows)
    (folder / "log" / name / f"{step}.jsonl").write_text(text)


def stored(client: httpx.Client, what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/v1/runs/verl-sums/{what}").raise_for_status().json()[what]
    return found


def test_groups_have_the_credits_of_the_k_in_force(followed: Followed, folder: Path, client: httpx.Client) -> None:
    made(folder, "groups", 2)
    followed.send()
    groups = stored(client, "groups")
    assert [(each["step"], each["problem"], each["k"]) for each in groups] == [
        (1, "1+1", 3),
        (1, "2+3", 3),
        (2, "1+1", 1),
        (2, "2+3", 1),
    ]
    assert groups[0]["credits"] == list(transform("sloo_minus_one", [1.0, 0.0, 0.0, 0.0], 3, scale="mean"))
    assert groups[1]["rewards"] == [1.0, 1.0, None, 0.0]
    assert groups[0]["completions"] == [f"answer {i}" for i in range(4)]


def test_figures_are_sent_once_and_what_is_half_written_later(
    followed: Followed, folder: Path, client: httpx.Client
) -> None:
    assert followed.send() == 2
    assert followed.send() == 0
    with (folder / "log" / "metrics.jsonl").open("a") as file:
        file.write('opy": 0.25}}\n')
    assert followed.send() == 1
    told = {(each["step"], each["name"]): each["value"] for each in stored(client, "metrics")}
    assert told.keys() == {(1, "actor/entropy"), (1, "actor/pg_loss"), (2, "actor/entropy")}
    assert told[2, "actor/entropy"] == 0.25


def test_a_process_that_begins_again_sends_nothing_twice(folder: Path, base_url: str, client: httpx.Client) -> None:
    for expected in (2, 0):
        with Client(base_url, spool=folder / "spool") as connected:
            assert Followed(folder, connected).send() == expected
    assert len(stored(client, "groups")) == 2


def test_a_resumed_training_has_a_segment_of_its_own(followed: Followed, folder: Path, client: httpx.Client) -> None:
    for step in (2, 3):
        made(folder, "groups", step)
    followed.send()
    (folder / "log" / "groups" / "2.jsonl").unlink()
    REWARDS_BEFORE = dict(REWARDS)
    try:
        REWARDS["1+1"] = [0.0, 0.0, 0.0, 1.0]
        made(folder, "groups", 2)
        followed.send()
    finally:
        REWARDS.update(REWARDS_BEFORE)
    again = [each for each in stored(client, "groups") if each["segment"] == 1]
    assert [(each["step"], each["k"]) for each in again] == [(2, 1), (2, 1)]
    assert again[0]["rewards"] == [0.0, 0.0, 0.0, 1.0]


def test_held_out_evaluations_have_a_curve(followed: Followed, folder: Path, client: httpx.Client) -> None:
    REWARDS["2+3"][2] = 0.0
    try:
        made(folder, "held-out", 0)
    finally:
        REWARDS["2+3"][2] = nan
    followed.send()
    (found,) = client.get("/v1/runs/verl-sums/curves?k=1&k=4").raise_for_status().json()["checkpoints"]
    assert (found["step"], found["problem_set"], found["verifier"]) == (0, "sums.held-out-0.25@1", "exact-match@1")
    assert [each["value"] for each in found["points"]] == [pytest.approx(0.375), 1.0]
    assert found["unbiased"] is True
