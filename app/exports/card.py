"""The model card of a checkpoint: Markdown with the metadata that model hubs read."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from math import floor, isfinite, log10
from pathlib import PurePath
from typing import Any, Final

import pkpo
from app.errors import AppError
from app.estimates.curves import EvaluationCurve
from app.estimates.schemas import REWARD_METRICS
from app.exports.facts import Evaluated, Facts, Trained
from app.exports.trained import Ancestor
from app.jobs.options.models import is_local
from app.jobs.specs.training import Lora, TinyModel, TrainingSpec
from app.training.checkpoint import Written
from pkpo.curves import CurvePoint

METRICS: Final = {"pass_at_k": "pass@k", "max_at_k": "max_g@k"}


def card(facts: Facts, checkpoint: Written | None, name: str | None = None) -> str:
    """The card.

    Args:
      checkpoint: where its files can be seen; without it nothing is said of them.
      name: of the folder that it lies in, for the commands that load it.
    """
    parts = [
        _metadata(facts.trained),
        f"# {facts.run}, step {facts.step}",
        _summary(facts),
        "## Results",
        *(_result(each) for each in facts.evaluated),
        *([] if facts.evaluated else ["This checkpoint was not evaluated."]),
        "## Use",
        _use(facts.trained, name or "this-folder"),
        "## Training",
        *_training(facts.trained),
        "## Files",
        _files(checkpoint),
    ]
    return "\n\n".join(parts) + "\n"


def _metadata(trained: Trained | None) -> str:
    lines = ["library_name: transformers", "pipeline_tag: text-generation", "tags:", "- pkpo", "- pass-at-k"]
    origin = None if trained is None else _origin(trained)
    if isinstance(origin, str) and not is_local(origin):
        lines.append(f"base_model: {json.dumps(origin.partition('@')[0])}")
    return "\n".join(["---", *lines, "---"])


def _origin(trained: Trained) -> str | TinyModel | None:
    """The model that all began with; None where it is not known."""
    first = trained.before[-1].spec if trained.before else trained.spec
    return None if first is None else first.model


def _summary(facts: Facts) -> str:
    trained = facts.trained
    if trained is None:
        return "Weights of a run that was trained outside of the service."
    spec = trained.spec
    base, seed = _base(spec, trained.before), f"with seed {trained.seed}"
    if facts.step == 0:
        return f"A language model that no step of reinforcement learning has changed: {base}, {seed}."
    return (
        f"A language model after {facts.step} of {'the' if spec.steps is None else spec.steps} steps of "
        f"{_learning(spec, trained.problem_set)}, {seed}. {_weights(spec.lora)} It began from {base}."
    )


def _learning(spec: TrainingSpec, problem_set: str | None = None) -> str:
    return f"reinforcement learning for {_objective(spec)} on `{problem_set or spec.problem_set}`"


def _objective(spec: TrainingSpec) -> str:
    method = f"{'baseline' if spec.baseline else 'transform'} `{spec.method}`"
    if spec.k is None:
        return f"its reward ({method})"
    if isinstance(spec.k, Mapping):
        which = "by the schedule" if "schedule" in spec.k else "weighted over"
        return f"pass@k, k {which} `{json.dumps(spec.k)}` ({method})"
    return f"pass@{spec.k:g} ({method})"


def _base(spec: TrainingSpec, before: Sequence[Ancestor]) -> str:
    """What a training began from, and what had been done to that, back to where it all began."""
    if isinstance(spec.model, TinyModel):
        return _made(spec.model, spec.problem_set)
    if not before:
        return "a model in a local folder" if is_local(spec.model) else f"`{spec.model}`"
    nearest, *further = before
    name = f"step {nearest.step} of the run `{nearest.run}`"
    if nearest.spec is None:
        return f"{name}, of which no more is known"
    origin = _base(nearest.spec, further)
    if nearest.step == 0:
        return f"{name}, which is {origin}"
    return f"{name}, which had come there by {_learning(nearest.spec)} and began from {origin}"


def _made(model: TinyModel, problem_set: str) -> str:
    sizes = f"layers: {model.layers} of width {model.hidden}, heads: {model.heads}"
    if model.teach is None:
        return f"a tiny model that was made on the spot ({sizes}) and was taught nothing"
    fresh = f" and of {model.teach.problems} more made like them" if model.teach.problems else ""
    return (
        f"a tiny model that was made on the spot ({sizes}) and was taught, in {model.teach.steps} supervised steps of "
        f"{model.teach.batch} answers, the answers to the problems of `{problem_set}` that are trained on{fresh}"
    )


def _weights(lora: Lora | None) -> str:
    if lora is None:
        return "All weights were trained."
    return (
        f"An adapter (LoRA, r = {lora.r}, alpha = {lora.alpha:g}) was trained and is merged into the weights here: "
        "nothing else is to be loaded."
    )


def _result(each: Evaluated) -> str:
    heading = f"### On `{each.found.problem_set}`"
    outcome = each.outcome
    if isinstance(outcome, AppError):
        return f"{heading}\n\nNo curve: {outcome}"
    metric = METRICS.get(outcome.query.metric, outcome.query.metric)
    points = outcome.curve.points
    form = _form([point.value for point in points]) if outcome.query.metric in REWARD_METRICS else ".4f"
    rows = [[str(point.k), format(point.value, form), _between(point, form)] for point in points]
    return "\n\n".join(
        [heading, _terms(each, outcome), _table(["k", metric, f"{outcome.curve.level:g} interval"], rows)]
    )


def _terms(each: Evaluated, drawn: EvaluationCurve) -> str:
    curve = drawn.curve
    n = f"n = {curve.n_min}" if curve.n_min == curve.n_max else f"n = {curve.n_min} to {curve.n_max}"
    unbiased = "unbiased" if drawn.unbiased else "not unbiased: n was not fixed beforehand, or completions depend"
    return (
        f"{n} completions of each of {curve.problems} problems, judged by `{drawn.verifier}`, sampled with "
        f"`{json.dumps(each.found.evaluation.sampling)}`. Means over problems of the estimator {curve.estimator} "
        f"({unbiased}); intervals by Student's t, problems as a sample."
    )


def _form(column: Sequence[float]) -> str:
    """How all numbers of a column are written: the largest has four significant digits, the others as many decimals."""
    largest = max((abs(each) for each in column if isfinite(each)), default=0.0)
    if largest == 0:
        return ".1f"
    return f".{max(0, 3 - floor(log10(largest)))}f" if 1e-3 <= largest < 1e6 else ".3e"


def _between(point: CurvePoint, form: str) -> str:
    if point.low != point.low or point.high != point.high:  # nan with one problem
        return "unknown"
    return f"{point.low:{form}} to {point.high:{form}}"


def _use(trained: Trained | None, name: str) -> str:
    prompt = "Prompts are texts as they stand, without a chat template."
    if trained is not None and trained.spec.generation.prompt == "chat":
        prompt = "Prompts go through the model's chat template."
    return (
        "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f"model = AutoModelForCausalLM.from_pretrained({json.dumps(name)})\n"
        f"tokenizer = AutoTokenizer.from_pretrained({json.dumps(name)})\n```\n\n"
        f"```sh\nvllm serve ./{name}\n```\n\n{prompt}"
    )


def _training(trained: Trained | None) -> Iterator[str]:
    if trained is None:
        yield "Nothing is known of it here: no training job of this service made the run."
        return
    spec = trained.spec
    yield "\n".join(f"* {each}" for each in _data(trained, spec))
    yield "The spec of the training job, without where on its machines things were:"
    yield f"```json\n{json.dumps(_public(spec), indent=2)}\n```"


def _public(spec: TrainingSpec) -> dict[str, Any]:
    """The spec as others may see it, who are given the folder with its card: no server, and of a path its end."""
    told = spec.model_dump(mode="json", exclude_none=True, exclude={"generation": {"base_url"}})
    if isinstance(spec.model, str) and is_local(spec.model):
        folder = PurePath(spec.model)
        run = [folder.parent.name] if re.fullmatch(r"step-\d+", folder.name) else []  # which tells a checkpoint apart
        told["model"] = "/".join(["...", *run, folder.name])
    return told


def _data(trained: Trained, spec: TrainingSpec) -> Iterator[str]:
    yield f"Problems: `{trained.problem_set or spec.problem_set}`, {trained.problems} of them when this was written."
    if spec.held_out is None:
        yield "Held out: none."
    elif isinstance(spec.held_out, str):
        yield f"Held out: the set `{spec.held_out}`, {trained.held_out} problems. None of them was trained on."
    else:
        share = f"{spec.held_out:g}, {trained.held_out} problems"
        yield f"Held out of them, and never trained on: {share}, the set `{spec.held_out_name}`."
    yield f"Rewards: the verifier `{spec.verifier}`."
    yield (
        f"Objective: {_objective(spec)}, credits scaled by `{spec.credit_scale}`, loss `{spec.loss}`, KL weight "
        f"{spec.kl:g}, entropy weight {spec.entropy:g}."
    )
    yield f"Each step: {spec.problems_per_step} problems, {spec.n} completions of each. Seed: {trained.seed}."
    if trained.began is not None:
        yield f"When: {_when(trained.began, trained.ended)}."


def _when(began: datetime, ended: datetime | None) -> str:
    first = began.astimezone(UTC).date()
    if ended is None:
        return f"begun on {first} (UTC), and not ended when this was written"
    last = ended.astimezone(UTC).date()
    return f"{first} (UTC)" if first == last else f"{first} to {last} (UTC)"


def _files(checkpoint: Written | None) -> str:
    if checkpoint is None:
        return "The files are not on the machine that wrote this card."
    versions = ", ".join(f"{name} {version}" for name, version in checkpoint.versions.items()) or "not known"
    rows = [[f"`{name}`", f"`{sha256}`"] for name, sha256 in checkpoint.files.items()]
    return (
        f"sha256 of all of them, `sha256  name` a line in this order: `{checkpoint.sha256}`. Trained with {versions}; "
        f"card written by pkpo {pkpo.__version__}.\n\n{_table(['file', 'sha256'], rows)}"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
