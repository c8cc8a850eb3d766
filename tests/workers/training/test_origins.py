"""A training goes on from the model that it began from, or without it where it has all weights itself."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from app.jobs.options.models import ModelRefused
from tests.workers.sampling.tiny import save_tiny_model
from tests.workers.training import small
from workers.training.checkpoints import Checkpoint, OtherTraining
from workers.training.loop import Training, train
from workers.training.problems import split
from workers.training.rewards import Rewards
from workers.verifiers import verifier

NEEDED_AGAIN = [{"lora": {"r": 2, "alpha": 4}}, {"kl": 0.1}]


OTHERS: dict[str, Callable[[], Any]] = {
    "dropout": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=13, n_embd=32, n_layer=2, n_head=2, n_positions=64)),
    "tied": lambda: LlamaForCausalLM(
        LlamaConfig(
            vocab_size=13,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=64,
            tie_word_embeddings=True,
        )
    ),
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_tiny_model((tmp_path / "models").resolve() / "tiny")


def trained(base: Path, folder: Path, stop_after: int | None = None, **more: Any) -> Checkpoint:
    told = small.spec(model=str(base), pad_token="+", steps=3, **more)
    problems = split(small.SUMS, 0.25)
    with verifier("length", {"free": 1, "most": 6}) as judge:
        rewards = Rewards(judge, {each.name: each for each in problems.training})
        return train(Training(told, 0, problems, rewards, folder, [base.parent]), small.Listening(stop_after))


def change(base: Path) -> None:
    """As if another training had left its weights there."""
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        model.get_input_embeddings().weight.add_(1.0)
    model.save_pretrained(base)


@pytest.mark.parametrize("more", NEEDED_AGAIN, ids=["adapter", "kl"])
def test_other_weights_under_the_same_name_are_refused(base: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    trained(base, tmp_path / "run", stop_after=2, **more)
    kept = shutil.copytree(base, tmp_path / "kept")
    change(base)
    with pytest.raises(
        OtherTraining, match=r"tiny has other weights than this training began from \(sha256 \w{12}, not"
    ):
        trained(base, tmp_path / "run", **more)
    shutil.rmtree(base)
    with pytest.raises(ModelRefused, match="tiny is not a folder"):
        trained(base, tmp_path / "run", **more)
    kept.rename(base)
    assert small.weights(trained(base, tmp_path / "run", **more)) == small.weights(
        trained(base, tmp_path / "alone", **more)
    )


def test_a_training_of_all_weights_goes_on_though_what_it_began_from_is_gone(base: Path, tmp_path: Path) -> None:
    alone = trained(base, tmp_path / "alone")
    trained(base, tmp_path / "run", stop_after=2)
    shutil.rmtree(base)
    last = trained(base, tmp_path / "run")
    assert (last.step, small.weights(last)) == (3, small.weights(alone))
    assert last.manifest["origin"] == alone.manifest["origin"]


@pytest.mark.parametrize("kind", OTHERS)
def test_models_of_other_kinds_go_on_bit_for_bit(base: Path, tmp_path: Path, kind: str) -> None:
    """One that draws at random in its layers, and one that shares weights; neither draws by its own defaults."""
    torch.manual_seed(0)
    model = OTHERS[kind]()
    model.generation_config = GenerationConfig(do_sample=True, top_k=3, temperature=0.6, eos_token_id=0)
    model.save_pretrained(base)
    trained(base, tmp_path / "run", stop_after=1)
    trained(base, tmp_path / "run", stop_after=2)
    assert small.weights(trained(base, tmp_path / "run")) == small.weights(trained(base, tmp_path / "alone"))
