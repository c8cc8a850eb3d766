"""Training jobs: a policy is trained step by step, all is recorded, and checkpoints are evaluated as they come."""

from app.jobs.specs.training import TrainingSpec
from workers.child.work import Work
from workers.training import leave_vllm_out


def run(work: Work) -> None:
    """Train what the spec of the job names."""
    spec = TrainingSpec.model_validate(work.spec)
    if spec.generation.engine == "transformers":
        leave_vllm_out()
    from workers.child.training_work import train_all  # once it is known whether vLLM is wanted

    train_all(work, spec)
