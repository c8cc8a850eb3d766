"""A spec as TRL's configuration, and what every process of a training sets before it begins."""

import os

import datasets
import torch
import transformers
from trl import GRPOConfig

from app.jobs.specs.training import TrainingSpec
from workers.training import ranks


def trl_config(spec: TrainingSpec, seed: int, steps: int, folder: str, longest_prompt: int) -> GRPOConfig:
    """A spec in TRL's words, for `steps` steps at most and prompts of so many tokens."""
    optimizer = spec.optimizer
    on_gpu = torch.cuda.is_available()
    micro_batch = spec.micro_batch or spec.n
    schedule = "constant_with_warmup" if optimizer.schedule == "constant" else optimizer.schedule
    return GRPOConfig(
        output_dir=folder,
        seed=seed,
        max_steps=steps,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=ranks.accumulated(spec.of_a_step, micro_batch),
        num_generations=spec.n,
        max_completion_length=spec.generation.max_tokens,
        temperature=spec.generation.temperature,
        use_vllm=spec.generation.engine != "transformers",
        vllm_mode="server" if spec.generation.engine == "vllm-server" else "colocate",
        vllm_gpu_memory_utilization=spec.generation.gpu_memory_utilization,
        vllm_max_model_length=longest_prompt + spec.generation.max_tokens,
        loss_type=spec.loss,
        scale_rewards="none",
        beta=spec.kl,
        entropy_coef=spec.entropy,
        learning_rate=optimizer.lr,
        lr_scheduler_type=schedule,
        warmup_steps=optimizer.warmup,
        weight_decay=optimizer.weight_decay,
        adam_beta1=optimizer.beta1,
        adam_beta2=optimizer.beta2,
        max_grad_norm=optimizer.max_grad_norm,
        shuffle_dataset=False,  # the rows are in order already, so that the step is the cursor
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
        ddp_timeout=int(ranks.PATIENCE.total_seconds()),
        use_cpu=not on_gpu,
        bf16=on_gpu,
        gradient_checkpointing=on_gpu,
    )


def quiet(processes: int) -> None:
    """No bars in the log; of the processor's cores one is for who verifies, and the processes share the others."""
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    if not torch.cuda.is_available():
        torch.set_num_threads(max(1, (len(os.sched_getaffinity(0)) - 1) // processes))
