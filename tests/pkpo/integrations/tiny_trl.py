"""A small language model and its data, made on the spot, and a trainer that keeps what it was trained on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig

from pkpo.integrations.trl import PKPOTrainer

torch.set_num_threads(1)  # a model this small only waits for a second one

CHARACTERS = "0123456789+="
LENGTH = 6  # tokens that a completion may have
N = 8
LEARNING_RATE = 0.05


def tokenizer() -> Any:
    vocabulary = {"<pad>": 0, "<eos>": 1, **{character: i + 2 for i, character in enumerate(CHARACTERS)}}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<pad>"))
    words.pre_tokenizer = Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>")


def model() -> Any:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    special = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    config = Qwen2Config(vocab_size=14, num_key_value_heads=1, max_position_embeddings=64, **shape, **special)
    return Qwen2ForCausalLM(config)


def adapted() -> Any:
    """The model with a low-rank adapter that is already away from zero."""
    lora = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj", "up_proj"], init_lora_weights=False)
    base = model()
    torch.manual_seed(1)
    return get_peft_model(base, lora)


def prompts() -> Any:
    return Dataset.from_list([{"prompt": f"{a}+{b}="} for a in range(8) for b in range(8)])


def graded(completion: str) -> float | None:
    """A reward of many values, and none for a few: a verifier that failed."""
    digits = [int(character) for character in completion if character.isdigit()]
    return None if completion.startswith("9") else sum(digits) / 7 + len(completion) / 3


def passed(completion: str) -> float:
    """1 or 0."""
    return float(sum(character.isdigit() for character in completion) >= 4)


def config(folder: Path, **changes: Any) -> Any:
    settings: dict[str, Any] = {
        "per_device_train_batch_size": 16, "gradient_accumulation_steps": 2, "num_generations": N,
        "max_completion_length": LENGTH, "loss_type": "dr_grpo", "scale_rewards": "none", "beta": 0.0, "max_steps": 3,
        "max_grad_norm": 0.0, "logging_steps": 1, "report_to": "none", "use_cpu": True, "save_strategy": "no",
        "disable_tqdm": True, "bf16": False, "gradient_checkpointing": False, "seed": 5,
    }  # fmt: skip
    return GRPOConfig(output_dir=str(folder), **settings | changes)


class KeepingTrainer(PKPOTrainer):
    """Keeps each micro-batch that a loss was taken of, but not the advantages, which a test works out anew."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.kept: list[dict[str, torch.Tensor]] = []

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        names = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")
        self.kept.append({name: inputs[name].clone() for name in names})
        return super()._compute_loss(model, inputs)


def trainer(folder: Path, *, reward: Any = graded, policy: Any = None, settings: dict[str, Any], **pkpo: Any) -> Any:
    def of_each(completions: Sequence[str], **_: Any) -> list[float | None]:
        return [reward(completion) for completion in completions]

    policy = policy or model()
    optimizer = torch.optim.SGD(policy.parameters(), lr=LEARNING_RATE)
    constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    return KeepingTrainer(
        model=policy,
        reward_funcs=of_each,
        args=config(folder, **settings),
        train_dataset=prompts(),
        processing_class=tokenizer(),
        optimizers=(optimizer, constant),
        **pkpo,
    )
