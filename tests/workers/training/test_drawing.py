"""Completions of the policy that is trained: each by its own seed, with the log-probabilities of the model."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("trl", reason="NOT TESTED: requirements/install.sh trl was not run")

import torch

from app.jobs.specs.training import Generation
from tests.workers.sampling.tiny import EOS, ids, logprob_of, save_tiny_model
from workers.sampling import Request
from workers.training import drawing
from workers.training.drawing import drawn
from workers.training.models import Drawn, Policy, loaded
from workers.training.vllm_colocated import OtherWeights

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
    pad = policy.tokenizer.pad_token_id
    expected[EOS] += expected[pad]  # neither of them is in the text
    expected[pad] = 0
    count = 4000
    samples = drawn(policy, told, [Request("p", "1+2=", i, seed=i) for i in range(count)])
    found = torch.zeros(len(expected), dtype=torch.float64)
    for sample in samples:
        found[ids(sample.text)[0] if sample.text else EOS] += 1
    deviation = (expected * (1 - expected) / count).sqrt()
    assert ((found / count - expected).abs() <= 4.5 * deviation).all()


class OfAnother:
    """Draws as vLLM does; its log-probabilities are off by so many nats a token."""

    def __init__(self, policy: Policy, off: float = 0.0) -> None:
        self.policy, self.off = policy, off
        self.completions: list[list[int]] = []

    def __call__(self, prompts: Sequence[list[int]], seeds: Sequence[int], told: Generation) -> list[Drawn]:
        found = [self._drawn(prompt, seed, told) for prompt, seed in zip(prompts, seeds, strict=True)]
        self.completions += [tokens for tokens, _ in found]
        return found

    def _drawn(self, prompt: list[int], seed: int, told: Generation) -> Drawn:
        tokens = torch.randint(0, 13, (1 + seed % told.max_tokens,), generator=torch.Generator().manual_seed(seed))
        with torch.inference_mode():
            logits = self.policy.model(input_ids=torch.tensor([prompt + tokens.tolist()])).logits[0].double()
        logprobs = (logits[len(prompt) - 1 : -1] / told.temperature).log_softmax(-1).gather(1, tokens[:, None])[:, 0]
        return tokens.tolist(), (logprobs + self.off).tolist()


@pytest.mark.parametrize("at_once", [drawing.MOST_LOGITS, 200])
def test_what_another_draws_is_scored_by_the_model(
    policy: Policy, folder: Path, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "MOST_LOGITS", at_once)
    by = OfAnother(policy, off=0.05)  # as far as kernels may differ
    samples = list(drawn(replace(policy, vllm=by), TOLD, requests(6)))
    assert [(each.problem, each.sample_index, each.seed) for each in samples] == [
        (each.problem, each.sample_index, each.seed) for each in requests(6)
    ]
    for sample, tokens in zip(samples, by.completions, strict=True):
        assert (sample.completion_tokens, sample.finish_reason) == (
            len(tokens),
            "stop" if tokens[-1] == 0 else "length",
        )
        assert sample.logprob == pytest.approx(logprob_of(folder, ids(sample.problem), tokens), abs=1e-4)


@pytest.mark.parametrize("off", [0.2, -0.2, float("nan")])
def test_completions_of_other_weights_are_not_taken(policy: Policy, off: float) -> None:
    with pytest.raises(OtherWeights, match=r"18 completions by vLLM: .* nats a token"):
        list(drawn(replace(policy, vllm=OfAnother(policy, off)), TOLD, requests(6)))
