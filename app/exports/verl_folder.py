"""A folder from which a training is launched with verl: its configuration, data, reward function and command."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from app.config import CHECKOUT
from app.exports.verl import Cluster, NotExpressible, config
from app.jobs.specs.training import TrainingSpec
from pkpo.problems import Problem

REWARDS: Final = CHECKOUT / "workers" / "training" / "verl_rewards.py"
HEADER: Final = """\
# Written by `pkpo train export-verl` for verl 0.9.1. launch.sh makes the paths absolute.
hydra:
  searchpath:
    - pkg://verl.trainer.config
defaults:
  - ppo_trainer
  - _self_
"""
ROWS: Final = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        ("extra_info", pa.struct([("index", pa.int64()), ("problem", pa.string())])),
    ]
)


def write(
    folder: Path,
    spec: TrainingSpec,
    training: Sequence[Problem],
    held_out: Sequence[Problem],
    cluster: Cluster,
) -> list[Path]:
    """Write a folder for each seed, `folder` itself where there is one; returns them.

    Raises:
      NotExpressible: verl cannot be told what the spec asks, or the problems do not suit it.
      OSError: a folder is there already, or cannot be written.
    """
    _check(spec, training, held_out)
    longest = max(len(each.prompt.encode()) for each in (*training, *held_out))
    folders = [folder if len(spec.seeds) == 1 else folder / spec.run_of(seed) for seed in spec.seeds]
    configs = [config(spec, seed, cluster, longest) for seed in spec.seeds]
    for each, told in zip(folders, configs, strict=True):
        each.mkdir(parents=True)
        _write_table(each / "train.parquet", training, spec.problem_set)
        if spec.held_out is not None:
            _write_table(each / "held-out.parquet", held_out, spec.held_out_name)
        (each / "config.yaml").write_text(HEADER + "\n".join(yaml_lines(told)) + "\n")
        (each / "rewards.py").write_text(REWARDS.read_text())
        (each / "spec.json").write_text(json.dumps(_told(spec, told), indent=2) + "\n")
        (each / "README.md").write_text(_text("verl_readme.md", spec, told))
        launch = each / "launch.sh"
        launch.write_text(_text("verl_launch.sh", spec, told))
        launch.chmod(0o755)
    return folders


def _check(spec: TrainingSpec, training: Sequence[Problem], held_out: Sequence[Problem]) -> None:
    if len(training) < spec.problems_per_step:
        raise NotExpressible(
            f"problems_per_step: a step takes {spec.problems_per_step} different problems; there are {len(training)} "
            "to train on."
        )
    if empty := [each.name for each in (*training, *held_out) if not each.prompt]:
        raise NotExpressible(f"problem_set: {len(empty)} problems have no prompt, {empty[0]!a} among them.")
    prompts = {each.prompt for each in training}
    if both := [each.name for each in held_out if each.prompt in prompts]:
        raise NotExpressible(f"held_out: {len(both)} problems are also trained on, {both[0]!a} among them.")


def _told(spec: TrainingSpec, told: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with its one seed, and under its run's name."""
    seed = told["data"]["seed"]
    more = {"engine": "verl"} | ({} if spec.held_out is None else {"held_out_set": spec.held_out_name})
    run = {"run": spec.run_of(seed), "seeds": [seed]}
    return spec.model_dump(mode="json", exclude_none=True) | run | more


def _write_table(path: Path, problems: Sequence[Problem], problem_set: str) -> None:
    rows = [
        {
            "data_source": problem_set,
            "prompt": [{"role": "user", "content": each.prompt}],
            "ability": "pkpo",
            "reward_model": {"style": "rule", "ground_truth": json.dumps(each.sent())},
            "extra_info": {"index": i, "problem": each.name},
        }
        for i, each in enumerate(problems)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=ROWS), path)


def yaml_lines(told: Mapping[str, Any], indent: str = "") -> list[str]:
    """A mapping as YAML: mappings as blocks, all else as JSON, in which OmegaConf resolves nothing."""
    lines = []
    for name, value in told.items():
        key = name if re.fullmatch(r"[A-Za-z_]\w*", name) else json.dumps(name)
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{key}:", *yaml_lines(value, indent + "  ")]
        else:
            written = json.dumps(value).replace("${", "\\\\${")
            lines.append(f"{indent}{key}: {written}")
    return lines


def _text(name: str, spec: TrainingSpec, told: Mapping[str, Any]) -> str:
    """A file of this package with the run's own words in it."""
    seed = told["data"]["seed"]
    held_out = "no problems" if spec.held_out is None else spec.held_out_name
    words = {
        "RUN": spec.run_of(seed),
        "SET": spec.problem_set,
        "HELD_OUT": held_out,
        "NODES": str(told["trainer"]["nnodes"]),
        "GPUS": str(told["trainer"]["n_gpus_per_node"]),
        "VERIFIER": spec.verifier,
        "PROMPT_TOKENS": str(told["data"]["max_prompt_length"]),
    }
    text = files("app.exports").joinpath(name).read_text()
    return re.sub(r"@([A-Z_]+)@", lambda found: words[found[1]], text)


def is_free(folder: Path) -> bool:
    """Whether nothing is lost by writing there."""
    return not folder.exists() or (folder.is_dir() and not os.listdir(folder))
