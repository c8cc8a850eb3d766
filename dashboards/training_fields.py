"""The fields of the form of a training job, each with the place in the spec that it is for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from pkpo.baselines import BASELINES
from pkpo.names import NAMES

Kind = Literal["text", "number", "either", "json", "numbers", "names", "weights", "truth", "choice"]
NOTHING: Mapping[str, str] = MappingProxyType({})
ENDS = ("step", "linear", "cosine", "exponential")
RAMPS = ENDS[1:]
RANGES = ("adaptive", "signal")
TRANSFORMS = (*NAMES, "mixed(0.25)", "top_mean(2)", "cvar(0.5)", "median", "history(0.5)")


@dataclass(frozen=True)
class Field:
    """A field of the form.

    Attributes:
      path: where its value stands in the spec, `k/from`; of a choice without one, only what it puts there counts.
      kind: how what is typed becomes a value; "either" is a number where it is one, else text.
      options: of a choice, what each is called by its value; of others, what is offered to be taken.
      puts: of a choice, the JSON that a value puts at `path` in place of itself, "" for nothing.
      when: the choices, by id, and those of their values under which the field counts and is shown.
    """

    path: str
    label: str
    help: str
    kind: Kind = "text"
    options: Mapping[str, str] = field(default_factory=dict)
    puts: Mapping[str, str] | None = None
    when: Mapping[str, Sequence[str]] = field(default_factory=dict)
    needed: bool = False
    rows: int = 0
    name: str = ""

    @property
    def id(self) -> str:
        """In the page, and its parameter in an address."""
        return self.name or self.path.replace("/", "-")

    @property
    def condition(self) -> str:
        """`when` for the script of the page: `k-kind=step,linear`."""
        return " ".join(f"{choice}={','.join(values)}" for choice, values in self.when.items())

    @property
    def usual(self) -> str:
        """Of a choice the value that it has at first."""
        return next(iter(self.options), "")


@dataclass(frozen=True)
class Part:
    """Fields under one heading."""

    title: str
    fields: tuple[Field, ...]


_TINY: Mapping[str, Sequence[str]] = {"model-kind": ("tiny",)}
_TAUGHT: Mapping[str, Sequence[str]] = {**_TINY, "model-teach": ("yes",)}
_ADAPTED: Mapping[str, Sequence[str]] = {"lora": ("yes",)}


def _k(
    name: str, label: str, words: str, kinds: Sequence[str], kind: Kind = "number", options: Mapping[str, str] = NOTHING
) -> Field:
    return Field(f"k/{name}", label, words, kind, options, when={"k-kind": kinds})


_SCHEDULES = {
    "step": "one k, then another",
    "linear": "linear",
    "cosine": "half a cosine",
    "exponential": "geometric",
    "plateau": "levels, by plateaus",
    "adaptive": "by solve rate",
    "signal": "largest gradient",
}

PARTS: tuple[Part, ...] = (
    Part(
        "Run and model",
        (
            Field("run", "Run", "Made where there is none of this name. Checkpoints lie under it.", needed=True),
            Field(
                "seeds",
                "Seeds",
                "One training after the other for each; with several, each is a run of its own.",
                "numbers",
            ),
            Field(
                "model",
                "Model",
                "Of the hub or a folder; or made on the spot, of the problems’ characters, to see a training happen.",
                "choice",
                {"named": "a hub name or a folder", "tiny": "made on the spot, tiny"},
                {"named": "", "tiny": '{"init": "tiny"}'},
                name="model-kind",
            ),
            Field(
                "model",
                "Name or folder",
                "owner/name or owner/name@revision on the hub, or a folder that PKPO_MODEL_ROOTS allows.",
                when={"model-kind": ("named",)},
                needed=True,
            ),
            Field(
                "pad_token",
                "Padding token",
                "A token of the model, where its tokenizer names none.",
                when={"model-kind": ("named",)},
            ),
            Field("model/hidden", "Width", "A multiple of 8, and of twice the heads.", "number", when=_TINY),
            Field("model/layers", "Layers", "", "number", when=_TINY),
            Field("model/heads", "Heads", "", "number", when=_TINY),
            Field("model/seed", "Its seed", "Of its weights and its teaching.", "number", when=_TINY),
            Field(
                "model/teach",
                "Taught first",
                "On the answers of the training problems, before the first step.",
                "choice",
                {"yes": "yes", "no": "no"},
                {"yes": "{}", "no": ""},
                _TINY,
            ),
            Field("model/teach/steps", "Steps of teaching", "", "number", when=_TAUGHT),
            Field("model/teach/batch", "Answers in a step", "", "number", when=_TAUGHT),
            Field("model/teach/lr", "Rate of teaching", "At its highest.", "number", when=_TAUGHT),
            Field(
                "model/teach/problems",
                "Fresh problems",
                "Beside the set’s, where reasoning-gym made it.",
                "number",
                when=_TAUGHT,
            ),
        ),
    ),
    Part(
        "Problems and rewards",
        (
            Field("problem_set", "Problem set", "What is trained on. pkpo problems import brings sets.", needed=True),
            Field(
                "held_out",
                "Held out",
                "What checkpoints are evaluated on: another set, or a part of this one such as 0.1. Without: no curve.",
                "either",
            ),
            Field("verifier", "Verifier", "name or name@version; module:function for one of your own.", needed=True),
            Field(
                "verifier_options",
                "Options of the verifier",
                "A JSON object; below is what each takes.",
                "json",
                rows=2,
            ),
        ),
    ),
    Part(
        "Objective",
        (
            Field("n", "n", "Completions of each problem in a step.", "number"),
            Field("problems_per_step", "Problems in a step", "Different ones.", "number"),
            Field(
                "micro_batch",
                "Micro batch",
                "Completions whose gradient is computed at once; n where it is left out.",
                "number",
            ),
            Field(
                "processes",
                "Processes",
                "Of one machine, which share each step; one for each GPU where it is left out.",
                "number",
            ),
            Field(
                "k",
                "k",
                "Attempts that the objective allows: one number, several with weights, or a course over the steps.",
                "choice",
                {"fixed": "one k", "several": "several k, weighted", **_SCHEDULES},
                {"fixed": "", "several": "", **{name: f'{{"schedule": "{name}"}}' for name in _SCHEDULES}},
                name="k-kind",
            ),
            Field(
                "k",
                "k is",
                "From 1 to n. Left out where the baseline takes none.",
                "number",
                when={"k-kind": ("fixed",)},
            ),
            Field(
                "k",
                "Weights",
                "k: weight, with commas between them, as 1: 0.5, 8: 0.5",
                "weights",
                when={"k-kind": ("several",)},
                name="k-weights",
            ),
            _k("from", "From", "", ENDS),
            _k("to", "To", "", ENDS),
            _k("at", "At step", "The first with the second k.", ("step",)),
            _k("over", "Over steps", "", RAMPS),
            _k("begin", "Beginning at step", "0 where it is left out.", RAMPS),
            _k("levels", "Levels", "In their order, as 8, 4, 1", ("plateau",), "numbers"),
            _k("patience", "Patience", "Steps without a rise.", ("plateau",)),
            _k("min_delta", "Least rise", "0 where it is left out.", ("plateau",)),
            _k("hysteresis", "Back after a fall of", "Never, where it is left out.", ("plateau",)),
            _k(
                "watch",
                "Watches",
                "",
                ("plateau",),
                "choice",
                options={"": "pass@k of the step", "cumulative_solve_rate": "cumulative solve rate"},
            ),
            _k("smallest", "Smallest k", "", RANGES),
            _k("largest", "Largest k", "", RANGES),
            _k("target", "Target solve rate", "From 0 to 1.", ("adaptive",)),
            _k(
                "direction",
                "Direction",
                "",
                ("adaptive",),
                "choice",
                options={"up": "k grows with it", "down": "k falls with it"},
            ),
            _k("decay", "Decay of the average", "0.9 where it is left out.", RANGES),
            _k(
                "per_problem",
                "For each problem",
                "",
                ("signal",),
                "truth",
                options={"": "one k for all", "true": "a k of its own"},
            ),
            Field(
                "transform",
                "Transform",
                "Makes credits of rewards; sloo_minus_one where it is left out.",
                options=dict.fromkeys(TRANSFORMS, ""),
            ),
            Field(
                "baseline",
                "Or a baseline",
                "A rival in place of the transform.",
                "choice",
                {"": "none", **{name: name for name in BASELINES}},
            ),
            Field(
                "credit_scale",
                "Credit scale",
                "rms holds the length of a step whatever k is: take it to compare k, or with a course of k.",
                "choice",
                {"mean": "mean", "rms": "rms", "sum": "sum"},
            ),
        ),
    ),
    Part(
        "How long, and what is kept",
        (
            Field("steps", "Steps", "0 evaluates the model as it is.", "number"),
            Field(
                "until/saturated_for",
                "Or until saturated for",
                "Steps in which no problem was solved for the first time.",
                "number",
            ),
            Field("evaluate_every", "Evaluate every", "Steps, and before the first and after the last.", "number"),
            Field("checkpoint_every", "Checkpoint every", "Steps, and where an evaluation is.", "number"),
            Field(
                "keep",
                "Weights kept",
                "evaluated: of every checkpoint that is; a number: of the last so many, and the best.",
                "either",
                {"evaluated": ""},
            ),
            Field("k_eval", "pass@k is told at", "1, 2, 4, 8, 12, 16 up to n where it is left out.", "numbers"),
        ),
    ),
    Part(
        "Optimiser",
        (
            Field("optimizer/lr", "Learning rate", "Of AdamW.", "number"),
            Field(
                "optimizer/schedule",
                "Its course",
                "",
                "choice",
                {"constant": "constant", "linear": "linear to 0", "cosine": "cosine to 0"},
            ),
            Field("optimizer/warmup", "Warm-up", "Steps in which it rises from 0.", "number"),
            Field("optimizer/weight_decay", "Weight decay", "", "number"),
            Field("optimizer/beta1", "β₁", "", "number"),
            Field("optimizer/beta2", "β₂", "", "number"),
            Field("optimizer/max_grad_norm", "Gradient norm", "Clipped beyond it; 0 never is.", "number"),
            Field(
                "loss",
                "Loss",
                "dr_grpo alone weighs no completion by its length.",
                "choice",
                {each: each for each in ("dr_grpo", "dapo", "bnpo", "grpo")},
            ),
            Field("kl", "KL weight", "", "number"),
            Field("entropy", "Entropy weight", "", "number"),
        ),
    ),
    Part(
        "Generation",
        (
            Field(
                "generation/engine",
                "Engine",
                "Of the completions that are trained on.",
                "choice",
                {
                    "transformers": "transformers",
                    "vllm-colocated": "vLLM, in the same process",
                    "vllm-server": "vLLM, in a server",
                },
            ),
            Field(
                "generation/base_url",
                "Address of the server",
                "Up to and with /v1.",
                when={"generation-engine": ("vllm-server",)},
                needed=True,
            ),
            Field("generation/temperature", "Temperature", "", "number"),
            Field("generation/max_tokens", "Most tokens", "Of one completion.", "number"),
            Field("generation/prompt", "Prompt", "", "choice", {"raw": "as it stands", "chat": "by the chat template"}),
            Field(
                "generation/gpu_memory_utilization",
                "Memory of vLLM",
                "Its part of the accelerator’s.",
                "number",
                when={"generation-engine": ("vllm-colocated",)},
            ),
        ),
    ),
    Part(
        "Adapter",
        (
            Field(
                "lora",
                "LoRA",
                "A low-rank adapter in place of all weights; checkpoints hold both, merged. None for a tiny model.",
                "choice",
                {"no": "no: all weights", "yes": "yes"},
                {"no": "", "yes": "{}"},
            ),
            Field("lora/r", "Rank", "", "number", when=_ADAPTED),
            Field("lora/alpha", "α", "", "number", when=_ADAPTED),
            Field("lora/dropout", "Dropout", "", "number", when=_ADAPTED),
            Field(
                "lora/targets",
                "Layers",
                "Names with spaces between them; all linear ones but the last where they are left out.",
                "names",
                when=_ADAPTED,
            ),
        ),
    ),
)


def fields() -> Iterator[Field]:
    """Of all parts."""
    return (each for part in PARTS for each in part.fields)
