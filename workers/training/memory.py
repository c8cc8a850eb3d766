"""Whether a step has the memory that it needs at the very least, found before anything of the model is loaded."""

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil  # type: ignore[import-untyped]
import torch

from app.jobs.specs.training import TinyModel, TrainingSpec

FLOAT32: Final = 4  # bytes of a weight, of its gradient, and of each of AdamW's two moments
LIMITS: Final = (  # of a container: version 2 of cgroups, and version 1
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


class TooLittleMemory(ValueError):
    """A step cannot fit; the sentence says what it needs, what there is, and what to make smaller."""


@dataclass(frozen=True)
class Need:
    """Bytes that each process of a training needs.

    Attributes:
      weights: of the model, and of the one that the KL is taken to.
      learning: gradients and AdamW's moments of what is trained; of an adapter, which is small, none is counted.
      logits: of a micro-batch, with their gradient, should every completion be as long as may be.
    """

    weights: int
    learning: int
    logits: int

    @property
    def least(self) -> int:
        """Without which no step is possible."""
        return self.weights + self.learning


def need(spec: TrainingSpec, bare: Any) -> Need:
    """What a training needs of a model, which may be one without its weights."""
    parameters = sum(each.numel() for each in bare.parameters())
    learns = spec.steps != 0
    models = 2 if learns and spec.kl > 0 and spec.lora is None else 1  # an adapter is taken off for the reference
    vocabulary = bare.get_input_embeddings().num_embeddings
    tokens = (spec.micro_batch or spec.n) * spec.generation.max_tokens
    return Need(
        weights=models * FLOAT32 * parameters,
        learning=3 * FLOAT32 * parameters if learns and spec.lora is None else 0,
        logits=2 * FLOAT32 * tokens * vocabulary,
    )


def checked(spec: TrainingSpec, bare: Any, processes: int) -> str:
    """What the processes need and have, in a sentence; TooLittleMemory where they cannot have it."""
    wanted, there = need(spec, bare), available(spec)
    shared = 1 if torch.cuda.is_available() else processes  # each has a GPU of its own, or all have one memory
    told = f"{_told(shared * wanted.least)} for weights, gradients and AdamW"
    if shared * wanted.least > there:
        raise TooLittleMemory(f"A step needs {told}, and there are {_told(there)}: {_remedies(spec, shared)}")
    longest = f"up to {_told(shared * wanted.logits)} for the logits of a micro-batch"
    return f"a step needs {told}, {longest}, and more for activations; there are {_told(there)}"


def _remedies(spec: TrainingSpec, shared: int) -> str:
    adapter = [] if spec.lora is not None or isinstance(spec.model, TinyModel) else ["an adapter with lora"]
    fewer = [] if shared == 1 else ["in fewer processes"]
    return f"train {', '.join([*adapter, 'a smaller model', *fewer])}, or on a machine with more memory"


def available(spec: TrainingSpec) -> int:
    """Bytes that the training may take: of its GPU, without vLLM's part; else of the machine, or of what limits it."""
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        taken = spec.generation.gpu_memory_utilization if spec.generation.engine == "vllm-colocated" else 0.0
        return int(free - taken * total)
    unshared = min([int(psutil.virtual_memory().available), *_left_in_containers()])
    return min(
        [unshared + int(psutil.swap_memory().free), *((spec.processes or 1) * each for each in _left_to_a_process())]
    )


def _left_to_a_process() -> list[int]:
    """What `ulimit -v` leaves to this process."""
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    return [] if most == resource.RLIM_INFINITY else [max(0, most - psutil.Process().memory_info().vms)]


def _left_in_containers() -> list[int]:
    """What the limits of cgroups leave; files of the page cache, which count as used, can be dropped."""
    found = []
    for limit, usage in LIMITS:
        try:
            most, used = Path(limit).read_text().strip(), int(Path(usage).read_text())
            cached = dict(line.split() for line in Path(usage).with_name("memory.stat").read_text().splitlines())
        except OSError:
            continue
        if most != "max":
            found.append(int(most) - used + int(cached.get("file", cached.get("cache", 0))))
    return found


def _told(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
