"""A training by a vLLM in its process, in a process of its own: `python -m … FOLDER OUT`."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests.workers.training import small
from workers.sampling import Request, Sample
from workers.training.checkpoints import Checkpoint
from workers.training.drawing import drawn
from workers.training.loop import train
from workers.training.models import Policy
from workers.training.problems import split

TOLD = small.spec(
    model={**small.TINY, "hidden": 32, "heads": 1, "teach": {"steps": 400, "batch": 16}},
    steps=4,
    checkpoint_every=1,
    n=8,
    k=4,
    optimizer={"lr": 0.03},
    generation={"max_tokens": 4, "engine": "vllm-colocated", "temperature": 1.2},
)
HELD_OUT = split(small.SUMS, 0.25).held_out


class Drawing(small.Listening):
    """Draws what an evaluation does, and scores it anew by the checkpoint's own files."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__(stop_after)
        self.held_out: list[dict[str, Any]] = []

    def evaluate(self, checkpoint: Checkpoint, policy: Policy) -> float | None:
        requests = [Request(p.name, p.prompt, i, 31 * i + j) for i in range(8) for j, p in enumerate(HELD_OUT)]
        before = torch.get_rng_state()
        samples = list(drawn(policy, TOLD.generation, requests))
        untouched = torch.equal(before, torch.get_rng_state())
        again = list(drawn(policy, TOLD.generation, requests))
        scores = scored_by(checkpoint.folder, policy, samples, {each.name: each.prompt for each in HELD_OUT})
        self.held_out.append(
            {
                "step": checkpoint.step,
                "untouched": untouched,
                "asked": [[each.problem, each.sample_index] for each in requests],
                "drawn": [[each.problem, each.sample_index] for each in samples],
                "same": sum(a.text == b.text for a, b in zip(samples, again, strict=True)),
                "texts": len({each.text for each in samples}),
                "scores": scores,
            }
        )
        return super().evaluate(checkpoint, policy)


@torch.inference_mode()
def scored_by(
    folder: Path, policy: Policy, samples: list[Sample], prompts: dict[str, str]
) -> list[tuple[float | None, float]]:
    """Of each completion its log-probability as it was told, and by the files, where its text has all of its tokens."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    found = []
    for each in samples:
        prompt = policy.tokenizer(prompts[each.problem])["input_ids"]
        tokens = policy.tokenizer(each.text)["input_ids"] if each.text else []
        tokens += [policy.tokenizer.eos_token_id] * (each.finish_reason == "stop")
        if len(tokens) != each.completion_tokens:
            continue  # special tokens have no text
        logits = model(input_ids=torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1].double()
        logprobs = logits.log_softmax(-1).gather(1, torch.tensor(tokens)[:, None])
        found.append((each.logprob, float(logprobs.sum())))
    return found


def main(folder: Path, out: Path) -> None:
    first, second = Drawing(stop_after=1), Drawing()
    with small.training(folder, TOLD) as ready:
        stopped = load_file(train(ready, first).folder / "model.safetensors")
    with small.training(folder, TOLD) as ready:
        last = load_file(train(ready, second).folder / "model.safetensors")
    moved = max(float((each - stopped[name]).abs().max()) for name, each in last.items())
    steps = [
        {"step": each.step, "metrics": each.metrics, "groups": [[g.rewards, g.credits] for g in each.groups]}
        for each in second.records
    ]
    out.write_text(json.dumps({"moved": moved, "steps": steps, "held_out": first.held_out + second.held_out}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
