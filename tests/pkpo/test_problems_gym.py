"""Problems that reasoning-gym makes: the same from the same arguments, and its scorers know them again."""

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from pkpo.problems import Problem, ProblemsError, from_reasoning_gym

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def gym() -> Any:
    """The library, which is imported with warnings of what it builds on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("reasoning_gym", reason="NOT TESTED: requirements/install.sh workers was not run")


def made(task: str, size: int = 4, seed: int = 7, **config: Any) -> list[Problem]:
    return list(from_reasoning_gym(task, size, seed, config).problems)


def test_a_task_makes_the_same_problems_by_configuration_and_seed() -> None:
    problems = made("chain_sum", min_terms=3, max_terms=3)
    assert [each.name for each in problems] == [f"chain_sum/7/{i}" for i in range(4)]
    assert made("chain_sum", min_terms=3, max_terms=3) == problems
    assert made("chain_sum", size=6, min_terms=3, max_terms=3)[:4] == problems
    assert made("chain_sum", seed=8, min_terms=3, max_terms=3)[0].prompt != problems[0].prompt
    assert all(each.metadata["num_terms"] == 3 for each in problems)


@pytest.mark.parametrize("task", ["chain_sum", "countdown", "knights_knaves", "graph_color", "tower_of_hanoi"])
def test_what_arrives_is_what_the_scorer_needs(gym: Any, task: str) -> None:
    """Also once the problem has been JSON: the entry is made anew from what it says of itself, or used as it is."""
    for i, problem in enumerate(made(task)):
        sent = json.loads(json.dumps(problem.sent()))
        told = sent["metadata"]["reasoning_gym"]
        remade = gym.create_dataset(told["task"], **told["config"], seed=told["seed"], size=told["index"] + 1)
        entry = remade[told["index"]]
        assert (entry["question"], entry["answer"], told["index"]) == (sent["prompt"], sent.get("answer"), i)
        stored = {"question": sent["prompt"], "answer": sent.get("answer"), "metadata": sent["metadata"]}
        right = entry["answer"] or json.dumps(entry["metadata"]["possible_answer"])
        score = gym.get_score_answer_fn(told["task"])
        assert score(right, stored) == remade.score_answer(right, entry) == 1.0
        assert score("no idea", stored) < 1.0


@pytest.mark.parametrize(
    ("task", "config", "message"),
    [
        ("chain_sun", {}, 'reasoning-gym has no task "chain_sun"; there are chain_sum, decimal_chain_sum'),
        ("gcd", {"most": 3}, 'gcd of reasoning-gym has no setting "most"; there are min_numbers, max_numbers'),
        ("gcd", {"seed": 3}, 'gcd of reasoning-gym has no setting "seed"; there are'),
        ("gcd", {"min_numbers": 1}, 'with the configuration {"min_numbers": 1}: min_numbers must be at least 2'),
        ("gcd", {"min_numbers": "2"}, "'>=' not supported between instances"),
        ("composite", {"datasets": [{"name": "gcd"}]}, "reasoning-gym cannot make composite"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_sentence(task: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemsError) as refused:
        list(from_reasoning_gym(task, 2, 7, config).problems)
    assert message in str(refused.value)


def test_without_the_library_it_says_what_to_install() -> None:
    program = "from pkpo.problems import from_reasoning_gym\nlist(from_reasoning_gym('gcd', 1, 0).problems)"
    command = [sys.executable, "-S", "-c", program]  # without what is installed
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith(
        "ProblemsError: Problems of reasoning-gym need the library: pip install reasoning-gym, or "
        "requirements/install.sh workers"
    )
