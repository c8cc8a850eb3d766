"""log_groups, log_metrics: credits at once, and nothing of the server in the loop."""

import gzip
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pkpo
from pkpo.client import Client, LogStatus
from pkpo.client.spool import Folder, Request, default_spool
from tests.pkpo.answering import BUSY, OK, Answer, Server, answering, black_hole, nothing

REWARDS = np.array([[1, 0, 0, 1], [0, 0.5, 0, 0]])
NAMES = ["2+2", "17*23"]
REFUSED = Answer(422, {"type": "invalid-request", "title": "", "status": 422, "detail": "No such thing."})
DENIED = Answer(401, {"type": "unauthorized", "title": "", "status": 401, "detail": "No such key."})


def log(client: Client, step: int = 0, **options: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    arguments: dict[str, Any] = {"k": 2, "problems": NAMES, "step": step}
    return client.log_groups("r", rewards=REWARDS, **(arguments | options))


def rows(body: bytes, member: str = "groups") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(gzip.decompress(body))[member]
    return found


def spooled(spool: Path) -> list[Path]:
    return sorted(spool.glob("*/*.request"))


@pytest.mark.parametrize("server", [nothing, black_hole])
def test_a_dead_server_costs_a_training_loop_next_to_nothing(server: Server, tmp_path: Path) -> None:
    """Medians of 200 steps with a pause between them, in which the threads have their turn."""
    rewards = np.random.default_rng(1).integers(0, 2, (128, 8)).astype(float)
    names = [f"problem {i}" for i in range(128)]

    def seconds(step: Callable[[int], object]) -> list[float]:
        taken = []
        for number in range(200):
            time.sleep(0.01)
            started = time.perf_counter()
            step(number)
            taken.append(time.perf_counter() - started)
        return sorted(taken)

    with server() as url:
        client = Client(url, spool=tmp_path, timeout=20)
        alone = seconds(lambda _: pkpo.sloo_minus_one(rewards, 4))
        logged = seconds(lambda step: client.log_groups("r", step, rewards, k=4, problems=names))
        assert logged[100] < 5 * alone[100] + 0.0005
        assert logged[-1] < 5
        started = time.monotonic()
        client.close(timeout=2)
        assert time.monotonic() - started < 10
    files = spooled(tmp_path)
    assert [rows(Request.from_bytes(each.read_bytes()).body)[0]["step"] for each in files] == list(range(200))


def test_credits_are_those_of_the_library(tmp_path: Path) -> None:
    with nothing() as url, Client(url, spool=tmp_path) as client:
        for scale in pkpo.SCALES:
            np.testing.assert_array_equal(log(client, scale=scale), pkpo.sloo_minus_one(REWARDS, 2, scale=scale))
        np.testing.assert_array_equal(
            log(client, k={1: 0.5, 2: 0.5}, transform="plugin"), pkpo.multi_k(REWARDS, {1: 0.5, 2: 0.5}, name="plugin")
        )
        lists: list[list[float | None]] = [[1, None, 0.5], [1, 0, 0, float("nan")], [1]]
        ragged = client.log_groups("r", 0, lists, k=2, problems=["a", "b", "c"], short="zero")
        np.testing.assert_array_equal(ragged[0], [0.5, 0, 0, 0])
        np.testing.assert_array_equal(ragged[1, :3], pkpo.sloo_minus_one([1, 0, 0], 2))
        np.testing.assert_array_equal(ragged[1:, 3], [0, 0])
        assert client.log_groups("r", 0, [1, 0, 0], k=2, problems=["a"]).shape == (3,)
        client.close(0.2)
    logged = [rows(Request.from_bytes(each.read_bytes()).body) for each in spooled(tmp_path)]
    assert logged[-2][0]["rewards"] == [1, None, 0.5]
    assert logged[-2][0]["credits"] == [0.5, None, 0]
    assert logged[-2][2] == {
        "step": 0, "k": 2, "transform": "sloo_minus_one", "scale": "sum", "problem": "c", "group_index": 10,
        "rewards": [1.0], "credits": [0.0],
    }  # fmt: skip


def test_tensors_are_taken_from_any_type(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    with nothing() as url, Client(url, spool=tmp_path) as client:
        for dtype in (torch.bfloat16, torch.float32, torch.bool):
            rewards = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0]]).to(dtype)
            if dtype != torch.bool:
                rewards.requires_grad_()
            credits = client.log_groups("r", 0, rewards, k=2, problems=NAMES)
            np.testing.assert_array_equal(credits, pkpo.sloo_minus_one([[1, 0, 0, 1], [0, 1, 0, 0]], 2))
        client.log_metrics("r", 0, {"loss": torch.tensor(0.25)})
        client.close(0.2)
    assert rows(Request.from_bytes(spooled(tmp_path)[-1].read_bytes()).body, "metrics")[0]["value"] == 0.25


def test_what_the_loop_does_to_its_arrays_afterwards_is_not_logged(tmp_path: Path) -> None:
    rewards = REWARDS.copy()
    with answering(OK) as (url, seen), Client(url, spool=tmp_path) as client:
        credits = client.log_groups("r", 0, rewards, k=2, problems=NAMES)
        rewards[:], credits[:] = 7, 7
        assert client.flush(10)
    assert rows(seen[0].body)[0]["rewards"] == [1, 0, 0, 1]
    assert 7 not in rows(seen[0].body)[0]["credits"]


def test_groups_and_metrics_arrive_in_order_and_parts_of_a_step_follow_each_other(tmp_path: Path) -> None:
    with answering(OK) as (url, seen), Client(url, spool=tmp_path) as client:
        for step in range(3):
            log(client, step)
            log(client, step, problems=["a", "b"])
            client.log_metrics("r", step, {"loss": float("nan"), "kl": np.float32(0.5), "x": float("-inf")}, segment=1)
        log(client, 3, first_group=64)
        assert client.flush(10)
        assert client.log_status() == LogStatus(queued=0, spooled=0, delivered=10, refused=0, dropped=0)
    assert [each.path for each in seen[:3]] == ["/v1/runs/r/groups", "/v1/runs/r/groups", "/v1/runs/r/metrics"]
    assert [rows(each.body)[0]["step"] for each in seen if "groups" in each.path] == [0, 0, 1, 1, 2, 2, 3]
    assert [row["group_index"] for each in (*seen[3:5], seen[-1]) for row in rows(each.body)] == [0, 1, 2, 3, 64, 65]
    assert rows(seen[2].body, "metrics") == [
        {"step": 0, "segment": 1, "name": "loss", "value": "NaN"},
        {"step": 0, "segment": 1, "name": "kl", "value": 0.5},
        {"step": 0, "segment": 1, "name": "x", "value": "-Infinity"},
    ]
    assert len({each.headers["idempotency-key"] for each in seen}) == len(seen)


def test_a_step_beyond_a_request_goes_in_several(tmp_path: Path) -> None:
    rewards = np.zeros((10_001, 2))
    with answering(OK) as (url, seen), Client(url, spool=tmp_path) as client:
        client.log_groups("r", 0, rewards, k=2, problems=[str(i) for i in range(10_001)])
        assert client.flush(20)
    assert [[row["group_index"] for row in rows(each.body)] for each in seen] == [list(range(10_000)), [10_000]]


def test_a_server_that_comes_back_gets_all_with_their_first_keys(tmp_path: Path) -> None:
    busy = BUSY._replace(headers=(("Retry-After", "1"),))
    with answering(busy, DENIED, OK) as (url, seen), Client(url, spool=tmp_path) as client:
        log(client, 0)
        log(client, 1)
        while len(seen) < 3:  # a flush asks at once, whatever Retry-After says
            client.flush(0.1)
        assert client.flush(10)
        assert [rows(each.body)[0]["step"] for each in seen] == [0, 0, 0, 1]
        assert len({each.headers["idempotency-key"] for each in seen[:3]}) == 1
        assert client.log_status().delivered == 2
    assert list(tmp_path.glob("*")) == [], "a folder that is empty goes"


def test_retry_after_is_kept_to_in_the_background(tmp_path: Path) -> None:
    with (
        answering(BUSY._replace(headers=(("Retry-After", "1"),)), OK) as (url, seen),
        Client(url, spool=tmp_path) as client,
    ):
        log(client)
        until = time.monotonic() + 30
        while len(seen) < 2:
            assert time.monotonic() < until
            time.sleep(0.02)
    assert seen[1].at - seen[0].at >= 1


def test_what_the_server_will_never_take_is_laid_aside_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with answering(REFUSED, REFUSED, OK) as (url, seen), Client(url, spool=tmp_path) as client:
        for step in range(3):
            log(client, step)
        assert client.flush(10)
        assert client.log_status() == LogStatus(0, 0, delivered=1, refused=2, dropped=0)
    assert len(seen) == 3
    assert [each.read_text() for each in tmp_path.glob("refused/*.txt")] == [
        "422 invalid-request: No such thing.\n"
    ] * 2
    assert len(list(tmp_path.glob("refused/*.request"))) == 2
    said = [record.message for record in caplog.records if "pkpo" in record.name]
    assert len(said) == 2, "one warning, and the count at the end"
    assert said[-1] == "2 requests of this run's log were refused by the server."


def test_the_spool_has_a_bound_and_what_is_lost_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with nothing() as url:
        client = Client(url, spool=tmp_path, spool_limit=1000)
        for step in range(50):
            log(client, step)
        client.close(5)
    kept = len(spooled(tmp_path))
    assert 1 < kept < 20
    assert sum(len(Request.from_bytes(each.read_bytes()).body) for each in spooled(tmp_path)) <= 1000
    said = [record.message for record in caplog.records if "pkpo" in record.name]
    assert f"{50 - kept} requests of this run's log are LOST." in said
    assert len(said) == 4, "away, the spool is full, what is left, what is lost"


def test_a_disk_that_fails_is_counted_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(OK) as (url, _), Client(url, spool=tmp_path) as client:
        log(client)
        assert client.flush(10)
        (folder,) = (each for each in tmp_path.iterdir())
        folder.rename(tmp_path / "elsewhere")  # as if it had gone
        log(client, 1)
        assert client.flush(10)
        assert client.log_status() == LogStatus(0, 0, delivered=1, refused=0, dropped=1)
        (tmp_path / "elsewhere").rename(folder)
        log(client, 2)
        assert client.flush(10)
        assert client.log_status().delivered == 2


def test_a_spool_that_cannot_be_made_is_said_at_the_first_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with nothing() as url, Client(url, spool=tmp_path / "file") as client, pytest.raises(OSError, match="file"):
        log(client)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"problems": ["a"]}, "2 groups need as many problems; got 1"),
        ({"problems": ["a", "b\n"]}, "a problem's name"),
        ({"k": 9}, "k=9"),
        ({"k": {}}, "at least one"),
        ({"transform": "mean"}, "transform must be one of"),
        ({"short": "drop"}, "short must be"),
        ({"segment": -1}, "segment must be an integer from 0"),
        ({"step": 1.5}, "step must be an integer"),
        ({"first_group": -1}, "first_group"),
        ({"completions": [["a"] * 4, ["a"] * 3]}, "a text for each reward"),
        ({"completions": [["a"] * 4, [1] * 4]}, "a text for each reward"),
    ],
)
def test_a_mistake_of_the_loop_is_an_error_and_logs_nothing(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with nothing() as url, Client(url, spool=tmp_path) as client:
        with pytest.raises(ValueError, match=said):
            log(client, **options)
        with pytest.raises(ValueError, match="a run's name"):
            client.log_metrics("a run", 0, {})
        with pytest.raises(ValueError, match="metric 'loss' must be a number"):
            client.log_metrics("r", 0, {"loss": "low"})
        assert client.log_status() == LogStatus(0, 0, 0, 0, 0)


def test_the_spool_is_private_and_has_no_key(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with answering(DENIED) as (url, seen), Client(url, "pkpo_canary", spool=spool) as client:
        log(client)
        while not seen:
            time.sleep(0.01)
        client.close(2)
    files = [path for path in spool.rglob("*") if path.is_file()]
    assert len(files) == 2
    for path in files:
        assert b"canary" not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700


def test_a_fork_logs_by_itself_and_leaves_the_parents_log_alone(tmp_path: Path) -> None:
    with answering(BUSY, OK) as (url, seen), Client(url, spool=tmp_path) as client:
        log(client, 0)
        child = os.fork()
        if child == 0:
            log(client, 1)
            os._exit(0 if client.flush(10) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert client.flush(10)
    steps = [rows(each.body)[0]["step"] for each in seen]
    assert sorted(steps[1:]) == [0, 1]


def test_a_fork_that_lives_longer_does_not_hold_its_parents_lock(tmp_path: Path) -> None:
    with nothing() as url:
        client = Client(url, spool=tmp_path)
        log(client)
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        (own,) = tmp_path.iterdir()
        assert Folder.claim(own) is None, "the parent holds it"
        client.close(10)
        folder = Folder.claim(own)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert folder is not None
        folder.forget()


def test_a_program_that_ends_without_closing_sends_what_it_logged(tmp_path: Path) -> None:
    code = """
import sys
from pkpo.client import Client
Client(sys.argv[1]).log_groups("r", 0, [[1, 0]], k=1, problems=["a"])
"""
    with answering(OK) as (url, seen):
        done = subprocess.run(
            [sys.executable, "-c", code, url],
            env={**os.environ, "PKPO_SPOOL_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(seen) == 1
    assert list(tmp_path.iterdir()) == []


def test_threads_log_with_one_client(tmp_path: Path) -> None:
    with answering(OK) as (url, seen), Client(url, spool=tmp_path) as client:
        threads = [threading.Thread(target=log, args=(client, step)) for step in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.flush(20)
    assert sorted(rows(each.body)[0]["step"] for each in seen) == list(range(50))


def test_where_the_spool_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("PKPO_SPOOL_DIR", raising=False)
    assert default_spool() == Path("/home/someone/.local/state/pkpo/spool")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert default_spool() == Path("/state/pkpo/spool")
    monkeypatch.setenv("PKPO_SPOOL_DIR", str(tmp_path))
    assert default_spool() == tmp_path
