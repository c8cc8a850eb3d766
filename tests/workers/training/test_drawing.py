"""Completions of the policy that is trained: each by its own seed, with the log-probabilities of the model."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

import torch

from app.jobs.specs.training import Generation
from tests.workers.sampling.tiny import ids, logprob_of, save_tiny_model
from workers.sampling import Request
from workers.training.drawing import drawn
from workers.training.models import Policy, loaded

TOLD = Generation(max_tokens=6, temperature=0.8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("models").resolve() / "tiny")


@pytest.fixture(scope="module")
def policy(folder: Path) -> Policy:
    return loaded(str(folder), "+", [folder.parent])


def requests(count: int) -> list[Request]:
    prompts = ("1+2=", "7=", "12+345=")
    return [Request(prompt, prompt, i, seed=31 * i + 1) for i in range(count) for prompt in prompts]


def test_a_completion_does_not_depend_on_those_beside_it_nor_on_the_process(policy: Policy) -> None:
    together = list(drawn(policy, TOLD, requests(8)))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    alone = [next(drawn(policy, TOLD, [request])) for request in requests(8)]
    assert [each.text for each in together] == [each.text for each in alone]
    assert torch.equal(torch.get_rng_state(), before)
    assert len({each.text for each in together}) > 8


def test_log_probabilities_are_those_of_the_model_without_temperature(policy: Policy, folder: Path) -> None:
    for sample in drawn(policy, TOLD, requests(6)):
        completion = ids(sample.text) + [0] * (sample.finish_reason == "stop")
        assert sample.completion_tokens == len(completion)
        assert sample.logprob == pytest.approx(logprob_of(folder, ids(sample.problem), completion), abs=1e-4)


def test_tokens_come_as_often_as_they_are_probable(policy: Policy) -> None:
    told = Generation(max_tokens=1, temperature=1.5)
    with torch.inference_mode():
        logits = policy.model(input_ids=torch.tensor([ids("1+2=")])).logits[0, -1].double()
    expected = (logits / 1.5).softmax(dim=-1)
    count = 4000
    samples = drawn(policy, told, [Request("p", "1+2=", i, seed=i) for i in range(count)])
    found = torch.zeros(len(expected), dtype=torch.float64)
    for sample in samples:
        found[ids(sample.text)[0] if sample.text else 0] += 1
    deviation = (expected * (1 - expected) / count).sqrt()
    assert ((found / count - expected).abs() < 4.5 * deviation).all()
