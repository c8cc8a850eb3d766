"""Policies trained for pass@k with TRL; without tables and jobs."""

import logging
import warnings

# TRL says so of every vLLM that it was not tested with, four times an import; our own tests are the gate.
warnings.filterwarnings("ignore", message="TRL currently supports vLLM")
# accelerate, whenever it begins in one of several processes; configuration.quiet says how many threads each has.
warnings.filterwarnings("ignore", message="OMP_NUM_THREADS/MKL_NUM_THREADS unset")
# It says so at every step, with prompt and completion; workers.training.missing says it once, and why.
logging.getLogger("trl.trainer.grpo_trainer").addFilter(
    lambda record: "All reward functions returned None" not in str(record.msg)
)


def leave_vllm_out() -> None:
    """Keep TRL from importing vLLM, which takes seconds, in a process that draws nothing with it."""
    from trl import import_utils

    import_utils.is_vllm_available = lambda min_version=None: False
