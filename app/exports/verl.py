"""A training spec as a configuration of verl's, for a Ray cluster.

verl 0.9 composes it over its own `ppo_trainer`; what is not named here is verl's default.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from app.jobs.options.models import ModelRefused, hub_name, is_local
from app.jobs.specs.training import TinyModel, TrainingSpec
from pkpo.names import parsed

Config = dict[str, Any]

LOSSES: Final = {"dr_grpo": "seq-mean-token-sum-norm", "dapo": "token-mean", "grpo": "seq-mean-token-mean"}
NEVER_CLIPPED: Final = 1e9
LARGEST_RANK: Final = 512  # that vLLM serves
TEMPLATE_TOKENS: Final = 256  # room for what a chat template puts around a prompt
# As the tokenizer of most models begins a text; one that has no such token begins with nothing.
RAW_TEMPLATE: Final = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"
KEEPS_K: Final = "pkpo.integrations.verl_checkpoints.KeepK"
KNOWS_PROBLEMS: Final = ("solve_rates", "cumulative_solve_rate")


class NotExpressible(ValueError):
    """What the spec asks and verl cannot be told, a sentence for each member."""


@dataclass(frozen=True)
class Cluster:
    """What is trained on.

    Attributes:
      nodes, gpus: nodes, and GPUs of each.
      tensor_parallel: GPUs that one copy of the model is sampled on.
      prompt_tokens: the longest prompt; None takes a bound from its bytes.
    """

    nodes: int = 1
    gpus: int = 8
    tensor_parallel: int = 1
    prompt_tokens: int | None = None


def config(spec: TrainingSpec, seed: int, cluster: Cluster, prompt_bytes: int) -> Config:
    """What is written over verl's own configuration, with paths relative to the folder of the export.

    Args:
      seed: one of the spec's.
      prompt_bytes: of the longest prompt in UTF-8: no text has more tokens than bytes.
    Raises:
      NotExpressible: verl has no such setting, or another meaning of it.
    """
    if refused := list(_refused(spec, cluster)):
        raise NotExpressible("\n".join(refused))
    return {
        "algorithm": {"adv_estimator": "pkpo", "use_kl_in_reward": False, "pkpo": _credits(spec)},
        "data": _data(spec, seed, cluster, prompt_bytes),
        "actor_rollout_ref": {
            "model": _model(spec),
            "actor": _actor(spec, seed),
            "rollout": _rollout(spec, seed, cluster),
            "ref": {"log_prob_micro_batch_size_per_gpu": spec.micro_batch or spec.n},
        },
        "reward": {"custom_reward_function": {"path": "rewards.py", "name": "compute_score"}},
        "trainer": _trainer(spec, seed, cluster),
    }


def _refused(spec: TrainingSpec, cluster: Cluster) -> Iterator[str]:
    yield from _refused_model(spec)
    if spec.baseline is not None:
        yield (
            "baseline: the plug-in of verl makes credits by transforms; name one as transform, or set verl's own "
            "algorithm.adv_estimator by hand."
        )
    elif parsed(spec.method).transform == "history":
        yield "transform: history knows problems apart over the steps, and verl names its groups anew at each."
    if spec.schedule.observes in KNOWS_PROBLEMS:
        yield f"k: a schedule that observes {spec.schedule.observes} knows problems apart, as verl does not."
    if spec.until is not None:
        yield "until: verl stops after a number of steps and by nothing else; give steps alone."
    if not spec.steps:
        yield "steps: verl needs one step at least, and their number."
    if spec.loss not in LOSSES:
        there = ", ".join(LOSSES)
        yield f"loss: verl has no {spec.loss}, which divides by the tokens of a micro-batch; there are {there}."
    if spec.entropy and spec.loss != "dapo":
        yield (
            "entropy: verl weighs entropy as it does the loss; the mean entropy of a token, which is meant here, needs "
            "loss dapo."
        )
    if spec.optimizer.schedule == "linear":
        yield "optimizer.schedule: verl's are constant and cosine."
    yield from _refused_batch(spec, cluster)


def _refused_model(spec: TrainingSpec) -> Iterator[str]:
    if isinstance(spec.model, TinyModel):
        yield (
            "model: a tiny one is made by the training job; train it there for steps 0, export the checkpoint, and "
            "name that folder."
        )
    elif not is_local(spec.model):
        try:
            if hub_name(spec.model)[1] is not None:
                yield "model: verl takes no revision of the hub; download it, and name its folder."
        except ModelRefused as error:
            yield f"model: {error}."
    if spec.pad_token is not None:
        yield "pad_token: verl takes the tokenizer's own; save the model with a tokenizer that names it."
    if spec.lora is None:
        return
    if spec.lora.dropout:
        yield "lora.dropout: verl's adapters have none."
    if spec.lora.alpha != int(spec.lora.alpha):
        yield f"lora.alpha: verl takes a whole number; got {spec.lora.alpha:g}."
    if spec.lora.r > LARGEST_RANK:
        yield f"lora.r: vLLM, which draws for verl, serves ranks up to {LARGEST_RANK}; got {spec.lora.r}."


def _refused_batch(spec: TrainingSpec, cluster: Cluster) -> Iterator[str]:
    gpus, micro_batch = cluster.nodes * cluster.gpus, spec.micro_batch or spec.n
    if spec.of_a_step % (gpus * micro_batch):
        yield (
            f"micro_batch: the {spec.of_a_step} completions of a step, n * problems_per_step, must divide into "
            f"micro-batches of {micro_batch} on each of {gpus} GPUs."
        )
    if cluster.gpus % cluster.tensor_parallel:
        yield f"--tensor-parallel {cluster.tensor_parallel} does not divide the {cluster.gpus} GPUs of a node."


def _credits(spec: TrainingSpec) -> Config:
    k: Any = spec.k
    told = {"k": k, "transform": spec.method, "scale": spec.credit_scale}
    # A constant has no place to be lost.
    return told | ({"state": "schedule.json"} if isinstance(k, dict) and "schedule" in k else {})


def _data(spec: TrainingSpec, seed: int, cluster: Cluster, prompt_bytes: int) -> Config:
    around = TEMPLATE_TOKENS if spec.generation.prompt == "chat" else 1
    return {
        "train_files": "train.parquet",
        "val_files": "train.parquet" if spec.held_out is None else "held-out.parquet",
        "train_batch_size": spec.problems_per_step,
        "max_prompt_length": cluster.prompt_tokens or prompt_bytes + around,
        "max_response_length": spec.generation.max_tokens,
        "seed": seed,
    }


def _model(spec: TrainingSpec) -> Config:
    told: Config = {"path": spec.model}
    if spec.generation.prompt == "raw":
        told["custom_chat_template"] = RAW_TEMPLATE
    if spec.lora is not None:
        told |= {
            "lora_rank": spec.lora.r,
            "lora_alpha": int(spec.lora.alpha),
            "target_modules": spec.lora.targets or "all-linear",
        }
    return told


def _actor(spec: TrainingSpec, seed: int) -> Config:
    optimizer = spec.optimizer
    clip = optimizer.max_grad_norm or NEVER_CLIPPED
    told: Config = {
        "ppo_mini_batch_size": spec.problems_per_step,
        "ppo_micro_batch_size_per_gpu": spec.micro_batch or spec.n,
        "loss_agg_mode": LOSSES[spec.loss],
        "use_kl_loss": spec.kl > 0,
        "kl_loss_coef": spec.kl,
        "kl_loss_type": "low_var_kl",
        "entropy_coeff": spec.entropy,
        "grad_clip": clip,
        "data_loader_seed": seed,
        "fsdp_config": {"seed": seed},
        "optim": {
            "lr": optimizer.lr,
            "lr_scheduler_type": optimizer.schedule,
            "lr_warmup_steps": optimizer.warmup,
            "weight_decay": optimizer.weight_decay,
            "betas": [optimizer.beta1, optimizer.beta2],
            "clip_grad": clip,
        },
    }
    if spec.loss == "dr_grpo":
        told["loss_scale_factor"] = spec.generation.max_tokens
    return told


def _rollout(spec: TrainingSpec, seed: int, cluster: Cluster) -> Config:
    drawn = {"temperature": spec.generation.temperature, "top_p": 1.0, "top_k": -1, "do_sample": True, "n": spec.n}
    told = drawn | {
        "name": "vllm",
        "seed": seed,
        "gpu_memory_utilization": spec.generation.gpu_memory_utilization,
        "tensor_model_parallel_size": cluster.tensor_parallel,
        "log_prob_micro_batch_size_per_gpu": spec.micro_batch or spec.n,
        "val_kwargs": drawn,
    }
    if spec.lora is not None:
        told["load_format"] = "safetensors"  # vLLM has the base's weights from the folder: only the adapter is sent
    return told


def _trainer(spec: TrainingSpec, seed: int, cluster: Cluster) -> Config:
    evaluated = spec.held_out is not None
    keeps = {"checkpoint_callback_class": KEEPS_K} if "state" in _credits(spec) else {}
    return keeps | {
        "project_name": "pkpo",
        "experiment_name": spec.run_of(seed),
        "nnodes": cluster.nodes,
        "n_gpus_per_node": cluster.gpus,
        "total_training_steps": spec.steps,
        "total_epochs": spec.steps,  # a step is at least a problem of each: the steps end it first
        "val_before_train": evaluated,
        "test_freq": spec.evaluate_every if evaluated else -1,
        "save_freq": spec.checkpoint_every,
        "logger": ["console", "file"],
        "default_local_dir": "checkpoints",
        "rollout_data_dir": "log/groups",
        "validation_data_dir": "log/held-out",
    }
