"""What a training loop logs reaches the service once, whatever happens to either of them."""

import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

import pkpo
from app.auth.service import create_key
from app.models import Metric, TrainingGroup
from pkpo.client import Client, LogStatus, Sent
from pkpo.client.sync import sync
from tests.app.processes import eventually, program
from tests.pkpo.answering import BUSY, OK, Answer, answering, nothing

LENGTH = re.compile(rb"content-length: ([0-9]+)", re.IGNORECASE)
RUN = "qwen-gsm8k"
NAMES = ["gsm8k-17", "gsm8k-230"]
TRAINER = """
import sys, numpy as np
from pkpo.client import Client
client = Client(sys.argv[1], spool=sys.argv[2])
for step in range(int(sys.argv[3])):
    rewards = np.random.default_rng(step).integers(0, 2, (2, 4))
    client.log_groups("qwen-gsm8k", step, rewards, k=2, problems=["gsm8k-17", "gsm8k-230"])
    client.log_metrics("qwen-gsm8k", step, {"loss": step / 8})
    print(step, flush=True)
    sys.stdin.readline()
"""


def rewards(step: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.random.default_rng(step).integers(0, 2, (2, 4))


def stored(session: Session) -> list[tuple[int, int, int]]:
    """Segment, step and index of every group that is there."""
    session.rollback()
    columns = TrainingGroup.segment, TrainingGroup.step, TrainingGroup.group_index
    rows = session.execute(select(*columns).order_by(*columns))
    return [(segment, step, index) for segment, step, index in rows]


def steps(count: int) -> list[tuple[int, int, int]]:
    return [(0, step, index) for step in range(count) for index in range(2)]


def spooled(spool: Path) -> int:
    return len(list(spool.glob("*/*.request")))


def is_safe(spool: Path, session: Session, step: int) -> bool:
    """Whether the second of a step's two requests is in the spool, or stored and gone from it."""
    session.rollback()
    waits = any(spool.glob(f"*/{2 * (step + 1):010d}.request"))
    return waits or session.scalar(select(Metric.step).where(Metric.step == step)) is not None


@contextmanager
def losing_answers(url: str, lost: Callable[[int], bool]) -> Iterator[str]:
    """The address of a proxy that cuts some connections when the server has done what was asked."""
    there = urlsplit(url)
    number = 0

    def forward(near: socket.socket) -> None:
        nonlocal number
        with near, socket.create_connection((there.hostname, there.port)) as far, suppress(ConnectionError):
            request = b""
            while b"\r\n\r\n" not in request:
                if not (part := near.recv(65536)):
                    return  # whoever asked was killed
                request += part
            head, _, body = request.partition(b"\r\n\r\n")
            length = int(LENGTH.findall(head)[0])
            while len(body) < length:
                if not (part := near.recv(65536)):
                    return
                body += part
            far.sendall(head.replace(b"keep-alive", b"close") + b"\r\n\r\n" + body)
            answer = b""
            while part := far.recv(65536):
                answer += part
            number += 1
            if not lost(number):
                near.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                forward(near)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_groups_arrive_as_they_were(base_url: str, session: Session, tmp_path: Path) -> None:
    with Client(base_url, spool=tmp_path) as client:
        given = [[1.0, None, 0.1], [0.3, 0.0, 1.0]]
        texts = [["a", "b", "c"], ["d", "e", "f"]]
        credits = client.log_groups(RUN, 7, given, k={1: 0.5, 2: 0.5}, problems=NAMES, scale="mean", completions=texts)
        client.log_metrics(RUN, 7, {"loss": float("nan"), "kl": 0.1})
        assert client.flush(20)
    first, second = session.scalars(select(TrainingGroup).order_by(TrainingGroup.group_index))
    assert (first.rewards, first.problem, first.completions) == ([1.0, None, 0.1], NAMES[0], texts[0])
    assert first.credits == [credits[0, 0], None, credits[0, 2]]
    assert (second.credits, second.k, second.scale) == (credits[1].tolist(), {"1": 0.5, "2": 0.5}, "mean")
    assert dict(session.execute(select(Metric.name, Metric.value)).all())["kl"] == 0.1


@pytest.mark.parametrize("name", ["mixed(0.25)", "top_mean(2)", "cvar(0.5)"])
def test_a_transform_with_an_argument_arrives_by_its_name(
    base_url: str, session: Session, tmp_path: Path, name: str
) -> None:
    with Client(base_url, spool=tmp_path) as client:
        credits = client.log_groups(RUN, 7, [[1.0, 0.0, 0.5]], k=2, problems=NAMES[:1], transform=name)
        assert client.flush(20)
        assert client.log_status().refused == 0
    (stored,) = session.scalars(select(TrainingGroup))
    assert (stored.transform, stored.credits) == (name, credits[0].tolist())
    assert stored.credits == pkpo.transform(name, [1.0, 0.0, 0.5], 2).tolist()


def test_what_a_dead_server_missed_is_sent_once_by_any_number_of_syncs(
    base_url: str, session: Session, tmp_path: Path
) -> None:
    with nothing() as dead:
        client = Client(dead, spool=tmp_path)
        for step in range(200):
            client.log_groups(RUN, step, rewards(step), k=2, problems=NAMES)
        client.close(timeout=0.5)
    eventually(lambda: spooled(tmp_path) == 200)
    command = [sys.executable, "-m", "pkpo", "sync", "--spool", str(tmp_path), "--url", base_url]
    with program(*command) as one, program(*command) as other:
        said = [each.communicate(timeout=60) for each in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], said
    assert sum("200 requests sent (400 rows new, 0 there already), 0 refused, 0 left" in out for out, _ in said) == 1
    assert stored(session) == steps(200)
    assert list(tmp_path.iterdir()) == []
    with program(*command) as again:
        assert "0 requests sent" in again.communicate(timeout=60)[0]


def test_a_lost_answer_is_asked_for_again_and_stored_once(base_url: str, session: Session, tmp_path: Path) -> None:
    with (
        losing_answers(base_url, lambda number: number % 2 == 1) as url,
        Client(url, spool=tmp_path) as client,
    ):
        for step in range(10):
            client.log_groups(RUN, step, rewards(step), k=2, problems=NAMES)
        eventually(lambda: client.flush(0.1), 30)
        assert client.log_completions(client.evaluation(RUN, 0, "p"), [{"problem": "p", "sample_index": 0}]) == Sent(1)
        assert client.log_status().delivered == 10
    assert stored(session) == steps(10)


def test_a_server_that_asks_to_wait_gets_all_in_order(base_url: str, session: Session, tmp_path: Path) -> None:
    with (
        answering(BUSY._replace(headers=(("Retry-After", "3"),)), OK) as (url, seen),
        Client(url, spool=tmp_path) as client,
    ):
        for step in range(3):
            client.log_groups(RUN, step, rewards(step), k=2, problems=NAMES)
        eventually(lambda: seen and spooled(tmp_path) == 3)
        eventually(lambda: client.log_status().delivered == 3)
    assert len(seen) == 4
    assert seen[1].at - seen[0].at >= 3


@pytest.mark.parametrize("lost", [0, 3], ids=["server-away", "answers-lost"])
def test_a_trainer_that_is_killed_loses_and_doubles_nothing_it_had_spooled(
    base_url: str, session: Session, tmp_path: Path, lost: int
) -> None:
    with (
        losing_answers(base_url, lambda number: bool(lost) and number % lost == 0) as proxy,
        nothing() as dead,
        program(sys.executable, "-c", TRAINER, proxy if lost else dead, str(tmp_path), "1000") as trainer,
    ):
        assert trainer.stdin
        assert trainer.stdout
        for _ in range(30):
            done = int(trainer.stdout.readline())
            trainer.stdin.write("\n")
            trainer.stdin.flush()
        done = int(trainer.stdout.readline())
        eventually(lambda: is_safe(tmp_path, session, done))  # while the loop computes its next step
        during = sync(tmp_path, base_url)
        assert (during.requests, during.in_use) == (0, 1), "what a living trainer has is left to it"
        trainer.send_signal(signal.SIGKILL)
        trainer.wait()
    after = sync(tmp_path, base_url)
    assert (after.left, after.refused, after.in_use) == (0, [], 0)
    assert stored(session) == steps(done + 1)
    metrics = session.execute(select(Metric.step, Metric.value).order_by(Metric.step)).all()
    assert [tuple(row) for row in metrics] == [(step, step / 8) for step in range(done + 1)]
    assert list(tmp_path.iterdir()) == []


def test_a_resumed_run_that_logs_again_what_waits_in_the_spool_keeps_both(
    base_url: str, session: Session, tmp_path: Path
) -> None:
    with nothing() as dead:
        first = Client(dead, spool=tmp_path)
        first.log_groups(RUN, 5, rewards(0), k=2, problems=NAMES)
        first.close(timeout=0.5)
    with Client(base_url, spool=tmp_path / "other") as resumed:
        resumed.log_groups(RUN, 5, 1 - rewards(0), k=2, problems=NAMES)
        assert resumed.flush(20)
    for _ in range(2):
        assert sync(tmp_path, base_url).refused == []
    assert stored(session) == [(0, 5, 0), (0, 5, 1), (1, 5, 0), (1, 5, 1)]


def test_a_closed_client_still_says_what_became_of_its_log(base_url: str, tmp_path: Path) -> None:
    with Client(base_url, spool=tmp_path) as client:
        client.log_metrics(RUN, 0, {"loss": 1})
        assert client.flush(20)
    client.log_metrics(RUN, 1, {"loss": 1})  # opens it again
    client.close(timeout=20)
    assert client.log_status() == LogStatus(delivered=2)
    with nothing() as dead:
        client = Client(dead, spool=tmp_path)
        client.log_metrics(RUN, 0, {"loss": 1})
        client.close(timeout=0.5)
        begun = time.monotonic()
        assert not client.flush(20), "it was not delivered"
        assert time.monotonic() - begun < 10, "nobody sends any more"
    assert client.log_status() == LogStatus(spooled=1)


def test_ranks_that_name_their_places_share_a_step(base_url: str, session: Session, tmp_path: Path) -> None:
    ranks = [Client(base_url, spool=tmp_path) for _ in range(2)]
    for step in range(3):
        for rank, client in enumerate(ranks):
            part = rewards(step)[rank : rank + 1]
            client.log_groups(RUN, step, part, k=2, problems=[NAMES[rank]], first_group=rank)
    for client in ranks:
        assert client.flush(20)
        client.close()
    assert stored(session) == steps(3)


def test_what_is_refused_is_laid_aside_with_the_reason_and_not_sent_again(
    base_url: str, session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with nothing() as dead:
        client = Client(dead, spool=tmp_path)
        client.log_groups(RUN, 0, rewards(0), k=2, problems=NAMES, segment=0)
        client.log_groups(RUN, 0, 1 - rewards(0), k=2, problems=NAMES, segment=0, first_group=0)
        client.log_metrics(RUN, 0, {"loss": 1})
        client.close(timeout=0.5)
    (broken,) = tmp_path.glob("*/*3.request")
    whole = broken.read_bytes()
    broken.write_bytes(whole[:20])
    command = [sys.executable, "-m", "pkpo", "sync", "--spool", str(tmp_path), "--url", base_url]
    with program(*command) as first:
        out, errors = first.communicate(timeout=60)
    assert first.returncode == 1
    assert "1 requests sent (2 rows new, 0 there already), 2 refused, 0 left" in out
    assert "409 log-conflict: 2 rows are stored in this segment with another content" in errors
    assert "it does not begin with a line that says where it goes" in errors
    assert stored(session) == steps(1)
    assert sorted(path.suffix for path in tmp_path.glob("refused/*")) == [".request"] * 2 + [".txt"] * 2
    with program(*command) as second:
        assert "0 requests sent (0 rows new, 0 there already), 0 refused, 0 left" in second.communicate(timeout=60)[0]
    assert second.returncode == 0


def test_a_key_that_is_missing_refuses_nothing_for_good(
    base_url: str, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = create_key(session, "mine", ["write"], None)
    session.commit()
    client = Client(base_url, "pkpo_wrong", spool=tmp_path)
    for step in range(3):
        client.log_groups(RUN, step, rewards(step), k=2, problems=NAMES)
    client.close(timeout=5)
    command = [sys.executable, "-m", "pkpo", "sync", "--spool", str(tmp_path)]
    with program(*command) as without:
        out, errors = without.communicate(timeout=60)
    assert without.returncode == 1
    assert "0 requests sent (0 rows new, 0 there already), 0 refused, 3 left" in out
    assert errors.startswith("401 unauthorized: ")
    with program(*command, environment={"PKPO_API_KEY": key}) as right:
        assert "3 requests sent (6 rows new" in right.communicate(timeout=60)[0], "to the server of the loop"
    assert stored(session) == steps(3)


def test_a_server_that_is_away_is_asked_once_for_all_its_folders(tmp_path: Path) -> None:
    with nothing() as dead, answering(Answer(500, b"{}")) as (broken, seen):
        for url in (dead, broken, broken):
            client = Client(url, spool=tmp_path)
            client.log_groups(RUN, 0, rewards(0), k=2, problems=NAMES)
            client.close(timeout=2)
        attempts = len(seen)
        found = sync(tmp_path, deadline=0.5)
    assert found.left == 3
    assert len(found.away) == 2
    assert len(seen) == attempts + 1
    assert spooled(tmp_path) == 3
