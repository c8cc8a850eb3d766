"""A sampling job whose workers are killed and frozen past the lease: every completion once, of whoever had the job."""

import json
import threading
from collections import Counter
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import httpx
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.app.processes import eventually, kill, lives
from tests.workers.sampling.test_openai_engine import Asked, Reply, completion, server
from tests.workers.sampling_jobs import PROBLEMS, sampler, spec
from tests.workers.working import ended, job, job_process, send, submit
from workers.child.process import LOST

N, FEW, HELD = 12, 12, 24  # completions of a problem; those that an attempt is given; those that it waits for
ZOMBIE = 4  # the era in which the frozen worker's job is awake
STORED = text("SELECT problem_id, sample_index, attempt, text FROM completions")


class Eras:
    """A server's answers: each says in which era it was asked for, and is given once that era has room for it."""

    def __init__(self) -> None:
        self.era = 1
        self.room = {era: threading.Semaphore(room) for era, room in ((1, FEW), (2, FEW), (3, 0), (ZOMBIE, 1000))}
        self.over = threading.Event()

    def __call__(self, asked: Asked, before: int) -> Reply | None:
        era = self.era
        while not self.room[era].acquire(timeout=0.05):
            if self.over.is_set():
                return None
        said = json.loads(completion(asked).body)
        said["choices"][0]["text"] = f"era {era}"
        return Reply(200, json.dumps(said))


def stored(session: Session) -> list[tuple[int, str]]:
    """The attempt and the text of each completion, of which there is one under each key."""
    rows = session.execute(STORED).all()
    assert len({(row.problem_id, row.sample_index) for row in rows}) == len(rows)
    return [(row.attempt, row.text) for row in rows]


def exit_status(pid: int) -> int:
    """Of a process that has ended, and whose parent is frozen."""
    return int(Path(f"/proc/{pid}/stat").read_text().split()[-1]) >> 8


def test_a_killed_and_a_frozen_worker_leave_each_completion_to_one_attempt(
    client: httpx.Client, session: Session, database_url: str, data_dir: Path
) -> None:
    eras = Eras()
    with server(eras) as (base_url, asked):
        options = {"base_url": base_url, "concurrency": HELD}
        path = submit(client, "sampling", spec(client, "chaos", "m", engine="openai", engine_options=options, n=N))

        def waits_for_answers(era: int) -> None:
            given = era * FEW
            eventually(lambda: job(client, path)["progress"]["done"] == given == len(stored(session)), 60)
            eventually(lambda: len(asked) == given + (era - 1) * HELD + HELD, 60)

        with sampler(database_url, data_dir) as killed:
            waits_for_answers(1)
            eras.era = 2
            orphan = job_process(killed.pid)
            kill(killed.pid)
            eventually(lambda: not lives(orphan), 60)
        with sampler(database_url, data_dir) as frozen:
            waits_for_answers(2)
            zombie = job_process(frozen.pid)
            for pid in (frozen.pid, zombie):
                send(pid, SIGSTOP)
            eras.era = 3
            with sampler(database_url, data_dir):
                eventually(lambda: job(client, path)["attempt"] == 3, 60)
                eventually(lambda: len(asked) == 2 * FEW + 3 * HELD, 60)
                eras.era = ZOMBIE
                eras.room[2].release(HELD)  # what it had asked for is answered, and it wakes
                send(zombie, SIGCONT)
                eventually(lambda: not lives(zombie), 60)
                assert exit_status(zombie) == LOST
                assert Counter(stored(session)) == {(1, "era 1"): FEW, (2, "era 2"): FEW}, "it has written"
                eras.era = 3
                eras.room[3].release(N * len(PROBLEMS))
                done = ended(client, path)
        eras.over.set()
    assert (done["state"], done["attempt"]) == ("succeeded", 3)
    rest = N * len(PROBLEMS) - 2 * FEW
    assert Counter(stored(session)) == {(1, "era 1"): FEW, (2, "era 2"): FEW, (3, "era 3"): rest}
