"""A process of a training beside the first one: `python -m workers.child.training_rank JOB ATTEMPT`.

It reads the job as the first does, computes its share of every step, and writes nothing. What it cannot go on for, it
tells the first.
"""

import signal
import sys
from collections.abc import Sequence

from sqlalchemy.orm import sessionmaker

from app.config import Settings
from app.db import make_engine
from app.jobs.specs.training import TrainingSpec
from app.models import Job
from workers.child.work import JobFailed
from workers.training import leave_vllm_out


def main(argv: Sequence[str]) -> int:
    """Train; returns the exit status."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # the first process hears it, and says to all when to stop
    job_id, processes = map(int, argv)
    settings = Settings()
    assert settings.database_url is not None, "the worker names it"
    engine = make_engine(settings.database_url.get_secret_value())
    with sessionmaker(engine)() as session:
        job = session.get_one(Job, job_id)
        spec = TrainingSpec.model_validate(job.spec).model_copy(update={"processes": processes})
        if spec.generation.engine == "transformers":
            leave_vllm_out()
        from workers.child.training_work import problems_of, train_beside  # once it is known whether vLLM is wanted
        from workers.training.launch import refuse

        problems = problems_of(session, job.project_id, spec)
        project_id = job.project_id
    engine.dispose()
    try:
        train_beside(settings, project_id, spec, problems)
    except JobFailed as error:
        print(error, flush=True)
        refuse(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
