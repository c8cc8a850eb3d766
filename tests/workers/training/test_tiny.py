"""The model made on the spot: what it writes and reads is the same wherever it is loaded."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="NOT TESTED: requirements/install.sh torch was not run")
pytest.importorskip("transformers", reason="NOT TESTED: requirements/install.sh trl was not run")

from transformers import AutoModelForCausalLM, AutoTokenizer

from app.jobs.specs.training import Generation, Teaching, TinyModel
from pkpo.problems import Problem
from tests.workers.training.small import SUMS
from workers.sampling import Request
from workers.training.drawing import drawn
from workers.training.models import made
from workers.training.problems import Problems
from workers.training.teaching import Stopped, teach

ASKED = "Find a way to make {} of these numbers: {}.\nUse each once (no '=' sign).\n1. Write nothing else.\n"
WORDY = [Problem(f"p{i}", ASKED.format(i, f"{i + 3}, {i + 40}"), answer=f"{i} * (3 - 2)") for i in range(60)]
SPEC = TinyModel(init="tiny", hidden=32, heads=2, layers=2)


def test_what_prompts_have_in_common_is_one_token_each_also_where_the_model_is_loaded_again(tmp_path: Path) -> None:
    policy = made(SPEC, Problems(WORDY))
    policy.model.save_pretrained(tmp_path)
    policy.tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    tokens = policy.tokenizer.convert_ids_to_tokens(policy.tokenizer(WORDY[7].prompt)["input_ids"])
    assert tokens[:3] == ["Find a way to make ", "7", " of these numbers: "]
    assert tokens[-1] == ".\nUse each once (no '=' sign).\n1. Write nothing else.\n"
    assert len(tokens) == 3 + len("10, 47") + 1
    for each in WORDY:
        for text in (each.prompt, str(each.answer)):
            ids = again(text)["input_ids"]
            assert ids == policy.tokenizer(text)["input_ids"]
            assert again.decode(ids) == text
            assert again.unk_token_id not in ids
    assert (again.pad_token_id, again.eos_token_id) == (policy.tokenizer.pad_token_id, policy.tokenizer.eos_token_id)
    assert AutoModelForCausalLM.from_pretrained(tmp_path).config.vocab_size == len(again)


def test_a_taught_model_answers_and_the_same_seed_teaches_the_same() -> None:
    problems = Problems(SUMS[:12])
    lines: list[str] = []
    policies = [made(SPEC, problems) for _ in range(2)]
    for policy in policies:
        teach(policy, Teaching(steps=150, batch=12, lr=3e-3), problems, 0, lines.append, lambda: False)
    one, other = (each.model.state_dict() for each in policies)
    assert all(one[name].equal(other[name]) for name in one)
    asked = [Request(each.name, each.prompt, 0, seed=1) for each in problems.training]
    answers = [each.text for each in drawn(policies[0], Generation(max_tokens=4, temperature=0.01), asked)]
    assert answers == [each.answer for each in problems.training]
    assert lines[0] == "The model is taught 150 steps of 12 answers, from 12 problems"


def test_teaching_that_is_stopped_ends_before_its_next_step_and_is_taught_the_same_again() -> None:
    problems, lines = Problems(SUMS[:12]), list[str]()
    policies = [made(SPEC, problems) for _ in range(2)]
    for policy in policies:
        stops = iter([False] * 3 + [True])
        with pytest.raises(Stopped):
            teach(policy, Teaching(steps=10**6, batch=12), problems, 0, lines.append, lambda stops=stops: next(stops))  # type: ignore[misc]
        assert next(stops, None) is None, "it was asked before every step, and no more"
    one, other, untaught = (each.model.state_dict() for each in (*policies, made(SPEC, problems)))
    assert all(one[name].equal(other[name]) for name in one)
    assert not any(one[name].equal(untaught[name]) for name in one), "three steps were made"
