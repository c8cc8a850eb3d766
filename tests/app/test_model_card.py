"""What a model card tells of the machines that a training ran on: nothing."""

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from app.exports.card import card
from app.exports.facts import Facts, Trained
from app.jobs.specs.training import TrainingSpec
from tests.workers.training_jobs import spec

SERVER = {"engine": "vllm-server", "base_url": "http://gpu-01.inside.example:8001/canary/v1", "max_tokens": 4}


def carded(**more: Any) -> tuple[str, dict[str, Any]]:
    """The card of a training, and the spec in it."""
    told = TypeAdapter(TrainingSpec).validate_python(spec("whole", "sums@1", **more))
    text = card(Facts("whole", 6, Trained(told, 0, "sums@1", 36, 9), []), None)
    return text, json.loads(text.partition("```json\n")[2].partition("```")[0])


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("/home/canary/models/qwen-0.6b", ".../qwen-0.6b"),
        ("/srv/canary/checkpoints/1/taught/step-000000300/", ".../taught/step-000000300"),
        ("Qwen/Qwen3-0.6B@main", "Qwen/Qwen3-0.6B@main"),
    ],
)
def test_a_local_model_is_known_by_the_end_of_its_path(model: str, shown: str) -> None:
    text, told = carded(model=model)
    assert told["model"] == shown
    assert "canary" not in text


def test_the_address_of_a_server_is_not_told() -> None:
    text, told = carded(model="Qwen/Qwen3-0.6B", generation=SERVER)
    assert (told["generation"]["engine"], told["generation"]["max_tokens"]) == ("vllm-server", 4)
    assert "canary" not in text
    assert "gpu-01" not in text
