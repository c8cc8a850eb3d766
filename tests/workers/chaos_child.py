"""A job's process as workers start it, with jobs made for trouble: `python -m tests.workers.chaos_child JOB ATTEMPT`.

The run that the job names says what it does. CHAOS_FENCE=off leaves out the check of the attempt; CHAOS_REFUSED names a
file that gets a byte for each write that was refused.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.ingest.evaluations import create_evaluation, find_evaluation
from app.ingest.queries import add_problems, lock_problems
from app.ingest.schemas import NewEvaluation
from app.jobs import service
from app.jobs.service import AttemptLost
from workers.child.process import main
from workers.child.work import Work

BATCHES, ROWS = 100, 10  # written one after the other, in so many rows each
# As a careless job would, it takes what it writes for right, whatever is there.
UPSERT = text(
    "INSERT INTO completions (evaluation_id, problem_id, sample_index, job_id, attempt)"
    " SELECT :evaluation, :problem, i, :job, :attempt FROM generate_series(CAST(:first AS int), :last) AS i"
    " ON CONFLICT (evaluation_id, problem_id, sample_index) DO UPDATE SET attempt = excluded.attempt"
)


def run(work: Work) -> None:
    """Write all rows of the job, each stamped with the attempt."""
    kind = work.spec["run"]
    print(f"{kind} at work", flush=True)
    if kind == "poison":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen(["sleep", "1000"])
        time.sleep(1000)
    write = _writer(work)
    for batch in range(BATCHES):
        try:
            write(batch)
        except (AttemptLost, DBAPIError):
            # It does not take no for an answer.
            with open(os.environ["CHAOS_REFUSED"], "ab") as refused:
                refused.write(b".")
        time.sleep(0.05)


def _writer(work: Work) -> Callable[[int], None]:
    with work.fenced() as session:
        wanted = NewEvaluation(run=work.spec["run"], step=0, problem_set="chaos")
        evaluation = find_evaluation(session, work.project_id, create_evaluation(session, work.project_id, wanted)[0])
        problem = add_problems(session, evaluation.problem_set_id, ["p"])["p"]
        lock_problems(session, evaluation.id, [problem])
    work.progress.total = BATCHES * ROWS

    def write(batch: int) -> None:
        keys = {"evaluation": evaluation.id, "problem": problem, "first": batch * ROWS, "last": batch * ROWS + ROWS - 1}
        with work.fenced(done=ROWS) as session:
            session.execute(UPSERT, {**keys, "job": work.attempt.job_id, "attempt": work.attempt.number})

    return write


if __name__ == "__main__":
    if os.environ.get("CHAOS_FENCE") == "off":
        service.hold = lambda session, attempt: None
    sys.exit(main(sys.argv[1:], {"import": "tests.workers.chaos_child"}))
