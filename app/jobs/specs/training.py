"""Training jobs."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, field_validator, model_validator

from app.ingest.canonical import JsonObject, Text
from app.ingest.schemas import Name
from app.ingest.verdicts import FIRST_VERSION, VersionedName
from app.jobs.options.engines import server_address
from app.jobs.options.verifiers import NO_SUCH_VERIFIER
from app.jobs.specs.fields import SPEC, OfMember, Version
from app.jobs.specs.in_force import check_changes, check_in_force
from app.jobs.specs.verification import VERIFIERS, capability_of
from pkpo.baselines import BASELINES
from pkpo.integrations.credits_per_step import CreditPlan
from pkpo.schedules import Schedule, from_spec
from pkpo.schedules.fixed import Constant

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Count = Annotated[int, Field(ge=1, le=2**20)]
Steps = Annotated[int, Field(ge=0, le=10_000_000)]
USUAL_K_EVAL: Final = (1, 2, 4, 8, 12, 16)
CONTEXT_OF_TINY: Final = 1024  # tokens
MOST_OF_A_STEP: Final = 2**20  # completions


class Teaching(BaseModel):
    """A supervised phase before the first step, on the answers of the training problems."""

    model_config = SPEC

    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 1500
    batch: Annotated[int, Field(ge=1, le=4096, description="Answers in a step")] = 128
    lr: Annotated[float, Field(gt=0, le=1, description="At its highest; it falls to 0 along half a cosine")] = 1e-3
    problems: Annotated[
        int,
        Field(ge=0, le=1_000_000, description="Fresh ones to learn from beside the set's, where reasoning-gym made it"),
    ] = 0


class TinyModel(BaseModel):
    """A model made on the spot, of the characters of the problems: to see a training happen on any machine."""

    model_config = SPEC

    init: Literal["tiny"]
    hidden: Annotated[int, Field(ge=8, le=1024, multiple_of=8)] = 128
    layers: Annotated[int, Field(ge=1, le=32)] = 4
    heads: Annotated[int, Field(ge=1, le=32)] = 4
    seed: Annotated[Seed, Field(description="Of its weights and its teaching")] = 0
    teach: Teaching | None = None

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden % (2 * self.heads):
            raise OfMember("hidden", f"hidden must be a multiple of twice the {self.heads} heads; got {self.hidden}")
        return self


class Until(BaseModel):
    """When to stop before the last step."""

    model_config = SPEC

    saturated_for: Annotated[int, Field(ge=1, le=10_000_000, description="Steps without a newly solved problem")]


class Lora(BaseModel):
    """A low-rank adapter is trained in the place of the weights; checkpoints hold both, merged."""

    model_config = SPEC

    r: Annotated[int, Field(ge=1, le=1024)] = 16
    alpha: Annotated[float, Field(gt=0, le=65_536)] = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: Annotated[
        list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]] | None,
        Field(min_length=1, max_length=64, description="Names of linear layers; by default all but the last"),
    ] = None


class Optimizer(BaseModel):
    """AdamW."""

    model_config = SPEC

    lr: Annotated[float, Field(gt=0, le=1)] = 1e-6
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup: Annotated[Steps, Field(description="Steps in which the rate rises from 0")] = 0
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    max_grad_norm: Annotated[float, Field(ge=0, le=1e6, description="0: never clipped")] = 1.0


class Generation(BaseModel):
    """How completions are drawn, in training and in the evaluations of checkpoints."""

    model_config = SPEC

    engine: Annotated[
        Literal["transformers", "vllm-colocated", "vllm-server"],
        Field(description="The training's own model, a vLLM in its process, or a vLLM server"),
    ] = "transformers"
    base_url: Annotated[
        str | None,
        Field(max_length=500, pattern=r"^https?://[^\s?#@]+/v1$", description="Of vllm-server: up to and with /v1"),
        AfterValidator(lambda url: url if url is None else server_address(url)),
    ] = None
    temperature: Annotated[float, Field(ge=0.01, le=100)] = 1.0
    max_tokens: Annotated[int, Field(ge=1, le=131_072)] = 256
    prompt: Annotated[Literal["raw", "chat"], Field(description="As it stands, or by the model's chat template")] = (
        "raw"
    )
    gpu_memory_utilization: Annotated[
        float, Field(gt=0, le=1, description="Of vllm-colocated: its part of the accelerator's memory")
    ] = 0.3

    @model_validator(mode="after")
    def _names_a_server(self) -> Self:
        if self.engine == "vllm-server" and self.base_url is None:
            raise OfMember("base_url", "vllm-server needs base_url: the address of a server, up to and with /v1")
        if self.engine != "vllm-server" and self.base_url is not None:
            raise OfMember("base_url", f"base_url is of vllm-server alone, and engine is {self.engine}")
        return self


class TrainingSpec(BaseModel):
    """A policy is trained for pass@k, and its checkpoints are evaluated on problems that are held out."""

    model_config = SPEC

    version: Version = 1
    run: Annotated[Name, Field(description="Made when there is none; with several seeds `-seed-<seed>` is added")]
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=32, description="One training after the other")] = [0]
    model: Annotated[
        Annotated[Text, Field(min_length=1, max_length=500)] | TinyModel,
        Field(description="`owner/name` or `owner/name@revision` of the hub, a folder's path, or one made on the spot"),
    ]
    pad_token: Annotated[
        Text | None,
        Field(min_length=1, max_length=100, description="A token of the model, where its tokenizer names none"),
    ] = None
    problem_set: VersionedName
    held_out: Annotated[
        VersionedName | Annotated[float, Field(gt=0, lt=1)] | None,
        Field(description="The set that checkpoints are evaluated on, or which part of `problem_set`"),
    ] = None
    verifier: VersionedName
    verifier_options: JsonObject = {}
    n: Annotated[Count, Field(ge=2, description="Completions of a problem")] = 16
    problems_per_step: Count = 16
    micro_batch: Annotated[
        Count | None, Field(description="Completions whose gradient is computed at once; n by default")
    ] = None
    processes: Annotated[
        Annotated[int, Field(ge=1, le=64)] | None,
        Field(description="Of one machine, which share each step; by default one for each GPU"),
    ] = None
    transform: Annotated[Text | None, Field(max_length=100, description="sloo_minus_one by default")] = None
    baseline: Annotated[Text | None, Field(max_length=100, description="A rival instead of a transform")] = None
    k: Annotated[
        Annotated[int | float, Field(ge=1, le=MOST_OF_A_STEP)] | JsonObject | None,
        Field(description="Attempts, a weight for each of several, or a schedule as of `pkpo.schedules`"),
    ] = None
    credit_scale: Literal["mean", "sum", "rms"] = "mean"
    steps: Annotated[Steps | None, Field(description="0 evaluates the model, and makes a checkpoint of it")] = None
    until: Until | None = None
    k_eval: Annotated[
        list[Count] | None, Field(min_length=1, max_length=64, description="Of 1, 2, 4, 8, 12, 16 those up to n")
    ] = None
    evaluate_every: Annotated[Count, Field(description="Steps; and before the first and after the last")] = 50
    checkpoint_every: Annotated[Count, Field(description="Steps; and where an evaluation is")] = 50
    keep: Annotated[
        Literal["evaluated"] | Annotated[int, Field(ge=1, le=10_000)],
        Field(
            description="Whose weights stay on disk: those of every checkpoint that was evaluated, or of the last so "
            "many and the best. The last two of all stay whole, to go on from"
        ),
    ] = "evaluated"
    loss: Literal["dr_grpo", "dapo", "bnpo", "grpo"] = "dr_grpo"
    kl: Annotated[float, Field(ge=0, le=100)] = 0.0
    entropy: Annotated[float, Field(ge=0, le=100, description="Weight of the mean entropy of a token")] = 0.0
    lora: Lora | None = None
    optimizer: Optimizer = Optimizer()
    engine: Annotated[
        Literal["trl", "verl"],
        Field(description="Jobs train with TRL; for verl see `pkpo train export-verl`"),
    ] = "trl"
    generation: Generation = Generation()

    @field_validator("verifier")
    @classmethod
    def _is_offered(cls, verifier: str) -> str:
        name = verifier.partition("@")[0]
        if ":" not in name and name not in VERIFIERS:
            raise ValueError(NO_SUCH_VERIFIER)
        return verifier

    @field_validator("seeds")
    @classmethod
    def _are_different(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"each seed is trained with once; of {len(seeds)} {len(set(seeds))} are different")
        return seeds

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        _check_credits(self)
        _check_batch(self)
        _check_length(self)
        if isinstance(self.model, TinyModel):
            _check_tiny(self)
        return self

    @property
    def schedule(self) -> Schedule:
        """k over the steps; of a baseline without k a constant 1, which nobody reads."""
        return from_spec(1 if self.k is None else self.k)

    @property
    def method(self) -> str:
        """The transform or baseline that makes the credits."""
        return self.baseline or self.transform or "sloo_minus_one"

    @property
    def ks(self) -> tuple[int, ...]:
        """The k at which pass@k is told, in training and of the held-out problems."""
        return tuple(sorted(set(self.k_eval))) if self.k_eval else tuple(k for k in USUAL_K_EVAL if k <= self.n)

    @property
    def of_a_step(self) -> int:
        """Completions in a step."""
        return self.n * self.problems_per_step

    @property
    def held_out_name(self) -> str:
        """The set of the problems that are held out; of a part of `problem_set` it is made by the job."""
        assert self.held_out is not None
        if isinstance(self.held_out, str):
            return self.held_out
        name, _, version = self.problem_set.partition("@")
        return f"{name[:150]}.held-out-{self.held_out:g}@{version or FIRST_VERSION}"

    def run_of(self, seed: int) -> str:
        """The name of the run of a seed."""
        return name_of_run(self.run, self.seeds, seed)


def name_of_run(run: str, seeds: Sequence[int], seed: int) -> str:
    """Of several seeds each has a run of its own."""
    return run if len(seeds) == 1 else f"{run}-seed-{seed}"


def _check_credits(spec: TrainingSpec) -> None:
    """ValueError where no step could have credits, or a k_eval be estimated."""
    if spec.transform is not None and spec.baseline is not None:
        raise OfMember("baseline", "credits are made by a transform or by a baseline, not by both")
    if max(spec.ks) > spec.n:
        raise OfMember("k_eval", f"k_eval must be at most n={spec.n}; got {max(spec.ks)}")
    try:
        schedule = spec.schedule
        if spec.baseline is not None:
            _check_baseline(spec.baseline, spec.k, schedule, spec.n)
        elif spec.k is None:
            raise ValueError("k is missing: the attempts that the objective allows")
        else:
            _check_weights(schedule)
            CreditPlan(spec.n, schedule, spec.method, spec.credit_scale, k_eval=spec.ks, problems=1)
    except ValueError as error:
        # A word of the client's own is not repeated; a number is.
        sentence = re.sub(r"; got ['\"{\[].*", "", str(error), flags=re.DOTALL)
        raise OfMember(_of_credits(sentence), sentence) from None


def _check_weights(schedule: Schedule) -> None:
    """ValueError where what is trained for would be nothing, or to solve fewer problems with some number of attempts.

    The library's sum takes any finite weights, for a difference of two k is worth working out; it is no aim.
    """
    if not isinstance(schedule, Constant) or not isinstance(schedule.value, Mapping):
        return
    for k, weight in schedule.value.items():
        if weight < 0:
            raise ValueError(f"the weight of k={k} must be at least 0; got {weight:g}")
    if not any(schedule.value.values()):
        raise ValueError("a weight of k must be above 0; all are 0, and with them every credit")


def _of_credits(sentence: str) -> str:
    """The member to change: a method's own name and argument are told by their words, all else is of k."""
    named = re.match(r"(transform|baseline) must|\w+ of (mixed|history|top_mean|cvar)", sentence)
    return "k" if named is None else named[1] or "transform"


def _check_baseline(name: str, k: object, schedule: Schedule, n: int) -> None:
    if name not in BASELINES:
        raise ValueError(f"baseline must be one of {', '.join(BASELINES)}")
    claims = BASELINES[name].claims
    if claims != "pass@k":
        if k is not None:
            raise ValueError(f"{name} takes no k: its objective is {claims}")
        return
    if (
        not isinstance(schedule, Constant)
        or isinstance(schedule.value, Mapping)
        or int(schedule.value) != schedule.value
    ):
        raise ValueError(f"{name} needs k, one whole number for all steps")
    if schedule.value > n:
        raise ValueError(f"{name} at k={int(schedule.value)} needs n of at least as many; got n={n}")


def _check_batch(spec: TrainingSpec) -> None:
    if spec.of_a_step > MOST_OF_A_STEP:
        raise OfMember("n", f"n * problems_per_step must be at most {MOST_OF_A_STEP}; got {spec.of_a_step}")
    if spec.of_a_step % (spec.micro_batch or spec.n):
        raise OfMember(
            "micro_batch",
            f"micro_batch must divide the completions of a step, n * problems_per_step = {spec.of_a_step}; "
            f"got {spec.micro_batch}",
        )
    micro_batch, processes = spec.micro_batch or spec.n, spec.processes or 1
    if spec.of_a_step % (micro_batch * processes):
        raise OfMember(
            "processes",
            f"processes must divide the {spec.of_a_step // micro_batch} parts of micro_batch = {micro_batch} "
            f"completions that a step has; got {processes}",
        )


def _check_tiny(spec: TrainingSpec) -> None:
    """ValueError for what a model that is made on the spot cannot have."""
    if spec.lora is not None:
        raise OfMember("lora", "lora adapts a model that exists; a tiny one is trained whole")
    if spec.pad_token is not None:
        raise OfMember("pad_token", "a tiny model has a pad token of its own")
    if spec.generation.prompt == "chat":
        raise OfMember("generation/prompt", "a tiny model has no chat template: its prompts are raw")
    if spec.generation.max_tokens >= CONTEXT_OF_TINY:
        raise OfMember(
            "generation/max_tokens",
            f"a tiny model holds {CONTEXT_OF_TINY} tokens, the prompt's among them; got {spec.generation.max_tokens}",
        )


def _check_length(spec: TrainingSpec) -> None:
    if spec.steps is None and spec.until is None:
        raise OfMember("steps", "steps or until must say when to stop")
    if spec.steps is None and spec.optimizer.schedule != "constant":
        falling = f"optimizer.schedule {spec.optimizer.schedule} needs steps: it falls over so many"
        raise OfMember("optimizer/schedule", falling)
    check_changes(spec.schedule)
    if spec.steps:
        saturated_for = None if spec.until is None else spec.until.saturated_for
        check_in_force(spec.steps, spec.schedule, spec.optimizer.warmup, saturated_for)
    longest = len(spec.run) + max(len(spec.run_of(seed)) - len(spec.run) for seed in spec.seeds)
    if longest > 200:
        raise OfMember("run", f"the name of a run has at most 200 characters; with its seed this one has {longest}")


def to_train(spec: TrainingSpec) -> str:
    """What a worker must be able to do for it: to train, and to verify in the training."""
    return capability_of(spec.verifier, spec.verifier_options).replace("verify", "train", 1)
