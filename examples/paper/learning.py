"""Teaching from solutions, and policy gradients with the credits of pkpo.torch, for stacked policies.

Axes: R runs, P problems of a step, n completions of a problem, L tokens of a completion.
It leaves out what the runs do not need: KL, clipping of ratios (each completion is learned from once), accumulation.
A study (study.py) stacks one run alone: a processor's cache holds no more.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import numpy as np
import torch
from stacked import END, Shape, Stack, initial
from tasks import TASKS, Problems
from torch import Tensor

import pkpo
import pkpo.torch
from pkpo.baselines import baseline
from pkpo.schedules import from_spec, mixture
from pkpo.schedules.base import State

K_EVAL = (1, 2, 4, 8, 12, 16, 32, 64)  # those up to n


@dataclass(frozen=True)
class Arm:
    """One run: a method with its k, a number or a schedule of pkpo.schedules, and a seed of its problems."""

    name: str
    seed: int
    k: Any = None  # None: GRPO, which has no k
    lr: float | None = None  # of its own, in the pilot
    method: str = "sloo_minus_one"  # or "pass_k_grpo", the note's
    entropy_weight: float = 0.0  # of the entropy that is added to the objective, token by token


@dataclass(frozen=True)
class Setting:
    """What all runs of an experiment share."""

    numbers: int  # how large problems are: the numbers of countdown, the cells of arc_1d
    n: int
    problems: int  # of a step
    steps: int
    lr: float
    pool: int  # training problems
    held_out: int
    evaluate_every: int
    warmup: int = 20
    clip: float = 1.0
    last_rate: float = 0.1  # what the learning rate falls to, a share of its highest
    measure_every: int = 10  # steps over which a schedule that watches pass@k gets its mean
    task: str = "countdown"


def grpo(rewards: Tensor) -> Tensor:
    """GRPO's advantages, (..., P, n)."""
    spread = rewards.std(-1, keepdim=True)
    return (rewards - rewards.mean(-1, keepdim=True)) / (spread + 1e-4)


def group_credits(rewards: Tensor, k: Any, method: str) -> Tensor:
    """Credits of groups, (..., n), of any size: of a transform of pkpo.torch, or of the note's method; k None: GRPO."""
    if k is None:
        return grpo(rewards)
    if method == "pass_k_grpo":
        return torch.from_numpy(baseline(method, rewards.double().cpu().numpy(), k)).to(rewards)
    return pkpo.torch.transform(method, rewards, k, check=False)


def unit(credits: Tensor) -> Tensor:
    """Credits of several runs, (R, P, n), each run's divided by their root mean square; zeros stay zeros."""
    rms = credits.square().mean((1, 2), keepdim=True).sqrt()
    return credits / rms.clamp_min(1e-12)


def stacked_credits(rewards: Tensor, ks: Sequence[Any], methods: Sequence[str] | None = None) -> Tensor:
    """What group_credits gives each run, (R, P, n), at root mean square 1, by one call for all runs of one k."""
    found = torch.empty_like(rewards)
    whats = list(zip(ks, methods or ["sloo_minus_one"] * len(ks), strict=True))
    for key in {repr(what) for what in whats}:
        places = [place for place, what in enumerate(whats) if repr(what) == key]
        found[places] = group_credits(rewards[places], *whats[places[0]])
    return unit(found)


class Optimizer:
    """AdamW on the rows of a stack, gradients clipped run by run."""

    def __init__(self, stack: Stack, rates: Sequence[float], clip: float) -> None:
        self.stack, self.rates, self.clip = stack, rates, clip
        self.rows = [torch.nn.Parameter(row) for row in stack.master.unbind(0)]
        for row, gradient in zip(self.rows, stack.gradients.unbind(0), strict=True):
            row.grad = gradient
        groups = [{"params": [row], "lr": rate} for row, rate in zip(self.rows, rates, strict=True)]
        self.adam = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.0, fused=True)

    def step(self, factor: float) -> Tensor:
        """One step at `factor` times each run's rate; the norms of the gradients before clipping, (R,)."""
        norms = self.stack.gradients.norm(dim=1)
        self.stack.gradients.mul_((self.clip / norms.clamp_min(self.clip))[:, None])
        for group, rate in zip(self.adam.param_groups, self.rates, strict=True):
            group["lr"] = factor * rate
        self.adam.step()
        self.stack.refresh()
        return cast(Tensor, norms)


def weighted(
    stack: Stack, prompts: Tensor, completions: Tensor, credits: Tensor, entropy_weights: Sequence[float] = ()
) -> tuple[Tensor, Tensor]:
    """The loss -mean credit * log p(completion), summed over runs, and each run's mean entropy of a token, (R,).

    Args:
      prompts: (R, P, T); completions: (R, P, n, L); credits: (R, P, n).
      entropy_weights: for each run, what the entropy at each token counts beside credit * log p of that token, as in
        PPO with an entropy term; none: no such term.
    """
    R, P, n, L = completions.shape
    T = prompts.shape[-1]
    read = torch.cat([prompts[:, :, None].expand(R, P, n, T), completions[..., :-1]], dim=-1).view(R, P * n, -1)
    log_p = stack.logits(read, T - 1).log_softmax(-1)
    tokens = completions.view(R, P * n, L)
    counts = (tokens == END).cumsum(-1) - (tokens == END).long() == 0  # up to the first end
    chosen = log_p.gather(-1, tokens[..., None])[..., 0]
    loss = -(credits.view(R, P * n, 1) * chosen * counts).sum() / (P * n)
    with torch.set_grad_enabled(any(entropy_weights)):
        entropies = -(log_p.exp() * log_p).sum(-1)
        sums = (entropies * counts).sum((1, 2))
    if any(entropy_weights):
        loss = loss - (sums * sums.new_tensor(entropy_weights)).sum() / (P * n)
    return loss, sums.detach() / counts.sum((1, 2))


def solved(stack: Stack, of: Problems, n: int) -> Tensor:
    """How many of n completions of each problem pass, by each policy of the stack, (R, problems)."""
    found, chunk = [], 128 if of.prompts.is_cuda else 16  # so many fit in a processor's cache
    for start in range(0, len(of), chunk):
        chosen = torch.arange(start, min(start + chunk, len(of)), device=of.prompts.device).expand(stack.R, -1)
        drawn = stack.sampled(of.prompts[chosen], n, of.solutions.shape[1])
        found.append(of.passed(chosen, drawn).sum(-1))
    return torch.cat(found, dim=1)


def curve(solved_P: np.ndarray[Any, Any], n: int) -> dict[str, list[float]]:
    """pass@k of one policy with its standard error over problems, for every k of K_EVAL up to n."""
    found = {}
    for k in (k for k in K_EVAL if k <= n):
        each = pkpo.pass_at_k(n, solved_P, k)
        found[str(k)] = [float(each.mean()), float(each.std(ddof=1) / math.sqrt(len(each)))]
    return found


def taught(
    shape: Shape,
    task: str,
    numbers: int,
    until: float,
    seconds: float,
    seed: int,
    device: str,
    dtype: torch.dtype,
    batch: int,
) -> tuple[Tensor, dict[str, Any]]:
    """Weights of a policy that learned from solutions until `until` of its completions pass, and how it went.

    What is checked is a sample of training problems other than the taught ones' order; time ends it in any case.
    """
    began = time.monotonic()
    stack = Stack(shape, initial_on(shape, seed, device), dtype)
    optimizer = Optimizer(stack, [1e-3 if shape.hidden < 256 else 4e-4], clip=1.0)
    problems = TASKS[task].problems
    lessons = problems(400_000 if device == "cuda" else 20_000, numbers, seed + 1, held_out=False, distinct=False)
    lessons = lessons.to(device)
    check = problems(512 if device == "cuda" else 64, numbers, seed + 2, held_out=False).to(device)
    step, rate = 0, 0.0
    generator = torch.Generator(device).manual_seed(seed)
    while time.monotonic() - began < seconds:
        chosen = torch.randint(len(lessons), (batch,), generator=generator, device=device)
        prompts, answers = lessons.prompts[chosen][None], lessons.solutions[chosen][None, :, None]
        loss, _ = weighted(stack, prompts, answers, torch.ones(1, batch, 1, device=device))
        stack.backward(loss)
        optimizer.step(min(1.0, (step + 1) / 100))
        step += 1
        if step % 25 == 0:
            rate = float(solved(stack, check, 16).float().mean() / 16)
            if rate >= until:
                break
    how = {"steps": step, "batch": batch, "single_sample": rate, "seconds": time.monotonic() - began, "seed": seed}
    return stack.master.detach().clone(), how


def initial_on(shape: Shape, seed: int, device: str) -> Tensor:
    """The untaught weights of one policy on a device, (1, parameters)."""
    return initial(shape, seed)[None].to(device)


@dataclass
class Training:
    """Runs that learn side by side from one taught policy; `rows` gives what is kept, evaluation by evaluation."""

    shape: Shape
    start: Tensor  # (1, parameters)
    arms: Sequence[Arm]
    setting: Setting
    device: str
    dtype: torch.dtype
    stack: Stack = field(init=False)

    def __post_init__(self) -> None:
        setting, R = self.setting, len(self.arms)
        self.stack = Stack(self.shape, self.start.repeat(R, 1), self.dtype)
        rates = [arm.lr or setting.lr for arm in self.arms]
        self.optimizer = Optimizer(self.stack, rates, setting.clip)
        problems = TASKS[setting.task].problems
        self.pool = problems(setting.pool, setting.numbers, 11, held_out=False).to(self.device)
        self.held_out = problems(setting.held_out, setting.numbers, 12, held_out=True).to(self.device)
        order = np.stack([self._order(arm.seed) for arm in self.arms])
        self.order = torch.from_numpy(order).to(self.device)  # (R, steps, P)
        self.schedules = [None if arm.k is None else from_spec(arm.k) for arm in self.arms]
        self.states: list[State | None] = [None if each is None else each.start() for each in self.schedules]
        self.ever = torch.zeros(R, setting.pool, dtype=torch.bool, device=self.device)
        solved = np.arange(setting.n + 1)
        by_k = [pkpo.pass_at_k(setting.n, solved, k) for k in K_EVAL if k <= setting.n]
        self.pass_at_k = torch.tensor(np.array(by_k), dtype=torch.float32, device=self.device)  # (K, n + 1)
        self.measured: list[Tensor] = []  # pass@k of the steps since a schedule was last told of them, each (R, K)

    def _order(self, seed: int) -> np.ndarray[Any, Any]:
        """Which problems a step has, (steps, P): the pool in a new order each time it is through."""
        random = np.random.default_rng(1000 + seed)
        count = self.setting.steps * self.setting.problems
        epochs = [random.permutation(self.setting.pool) for _ in range(-(-count // self.setting.pool))]
        return np.concatenate(epochs)[:count].reshape(self.setting.steps, -1)

    def ks(self) -> list[Any]:
        """k of each run in the step that comes."""
        found: list[Any] = []
        for schedule, state in zip(self.schedules, self.states, strict=True):
            weights = None if schedule is None or state is None else mixture(schedule.k(state))
            found.append(next(iter(weights)) if weights is not None and len(weights) == 1 else weights)
        return found

    def step(self, step: int) -> dict[str, Tensor]:
        """One step of every run; its figures, each of shape (R,)."""
        chosen = self.order[:, step]
        prompts = self.pool.prompts[chosen]
        drawn = self.stack.sampled(prompts, self.setting.n, self.pool.solutions.shape[1])
        right = self.pool.passed(chosen, drawn)
        rewards = right.float()
        self.ever.scatter_(1, chosen, self.ever.gather(1, chosen) | right.any(-1))
        credits = stacked_credits(rewards, self.ks(), [arm.method for arm in self.arms])
        weights = [arm.entropy_weight for arm in self.arms]
        loss, entropy = weighted(self.stack, prompts, drawn, credits, weights)
        self.stack.backward(loss)
        norms = self.optimizer.step(self._factor(step))
        mute = (rewards.amax(-1) == rewards.amin(-1)).float().mean(1)
        rolling = self.pass_at_k[:, right.sum(-1)].mean(-1).T
        figures = {"reward": rewards.mean((1, 2)), "entropy": entropy, "gradient_norm": norms, "zero_signal": mute}
        self._tell_schedules(step, figures["reward"], rolling)
        return figures | {"rolling": rolling}

    def _tell_schedules(self, step: int, solve_rates: Tensor, rolling: Tensor) -> None:
        """Each schedule goes on by a step, after what it observes of it."""
        self.measured.append(rolling)
        is_measured = (step + 1) % self.setting.measure_every == 0
        for place, (schedule, state) in enumerate(zip(self.schedules, self.states, strict=True)):
            if schedule is None or state is None:
                continue
            seen = None
            if schedule.observes == "solve_rate":
                seen = float(solve_rates[place])
            elif schedule.observes == "pass_at_k" and is_measured:
                column = [k for k in K_EVAL if k <= self.setting.n].index(int(schedule.largest))
                seen = float(torch.stack(self.measured)[:, place, column].mean())
            self.states[place] = schedule.after(state, seen)
        self.measured = [] if is_measured else self.measured

    def _factor(self, step: int) -> float:
        """Of the learning rate: it rises over the warm-up and falls to its last along half a cosine."""
        last, falls = self.setting.last_rate, 0.5 * (1 + math.cos(math.pi * step / self.setting.steps))
        return min(1.0, (step + 1) / self.setting.warmup) * (last + (1 - last) * falls)

    def rows(self, stop: Callable[[], bool]) -> Iterator[list[dict[str, Any]]]:
        """Train; a row for each run before the first step, at every evaluation and after the last."""
        window: list[dict[str, Tensor]] = []
        yield self.evaluated(0, window)
        for step in range(self.setting.steps):
            window.append(self.step(step))
            if (step + 1) % self.setting.evaluate_every == 0 or step + 1 == self.setting.steps:
                yield self.evaluated(step + 1, window)
                window = []
                if stop():
                    return

    def evaluated(self, step: int, window: Sequence[dict[str, Tensor]]) -> list[dict[str, Any]]:
        """A row for each run: pass@k of the held-out problems, and the means of the steps since the last row."""
        counts = solved(self.stack, self.held_out, self.setting.n).cpu().numpy()
        curves = [curve(each, self.setting.n) for each in counts]
        return [row | {"pass_at_k": found} for row, found in zip(self.summed(step, window), curves, strict=True)]

    def summed(self, step: int, window: Sequence[dict[str, Tensor]]) -> list[dict[str, Any]]:
        """A row for each run: the means of the steps since the last row, `rolling` being pass@k of their problems."""
        figures = {
            name: torch.stack([each[name] for each in window]).mean(0).tolist()
            for name in (window[0] if window else ())
        }
        ever = (self.ever.sum(1) / self.setting.pool).tolist()
        return [
            {"step": step, **asdict(arm), "k_now": repr(k), "cumulative_solve_rate": ever[place]}
            | {name: each[place] for name, each in figures.items()}
            for place, (arm, k) in enumerate(zip(self.arms, self.ks(), strict=True))
        ]
