"""`pkpo train export-verl`. Importing this costs nothing; running it brings what it needs."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pkpo.commands.errors import CommandError

if TYPE_CHECKING:
    from app.jobs.specs.training import TrainingSpec
    from pkpo.problems import Problem

VERL = """\
Write a folder that trains what a training spec says with verl 0.9 on a Ray cluster: configuration, problems as Parquet,
reward function and command (launch.sh). What verl cannot be told is refused, each member with its reason.

The problems are those of the server's problem set, or of files; the held-out ones are the same as a training job's.
"""
EPILOG = """\
examples:
  pkpo train export-verl countdown.json --out countdown-verl
  pkpo train export-verl countdown.json --problems countdown.jsonl --nodes 4 --gpus 8 --out countdown-verl

environment:
  PKPO_URL      the server (http://127.0.0.1:8000)
  PKPO_API_KEY  a key with the scope read, where the server asks for one
"""
PAGE = 1_000


def add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `pkpo train` to the commands."""
    train = commands.add_parser("train", help="training specs for a cluster of one's own")
    actions = train.add_subparsers(required=True, metavar="export-verl")
    command = actions.add_parser(
        "export-verl",
        help="a folder that trains a spec with verl",
        description=VERL,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "spec", metavar="SPEC.json", type=Path, help="as a training job takes it: docs/training-jobs.md"
    )
    command.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="that is not there yet, or empty")
    command.add_argument(
        "--problems", metavar="FILE", type=Path, nargs="+", help="of problem_set, in the place of the server's"
    )
    command.add_argument(
        "--held-out-problems", metavar="FILE", type=Path, nargs="+", help="of held_out, where that names a set"
    )
    for name, default, what in (
        ("nodes", 1, "of the cluster"),
        ("gpus", 8, "of each node"),
        ("tensor-parallel", 1, "GPUs that one copy of the model is sampled on"),
    ):
        command.add_argument(f"--{name}", type=_count, default=default, metavar="N", help=f"{what} ({default})")
    command.add_argument(
        "--prompt-tokens", type=_count, metavar="N", help="of the longest prompt (by default its bytes, a bound)"
    )
    command.add_argument("--url", help="the server, before PKPO_URL")
    command.set_defaults(run=run_export_verl)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 2**20:
        raise argparse.ArgumentTypeError(f"{text!a} is not a whole number from 1 up")
    return int(text)


def run_export_verl(arguments: argparse.Namespace) -> int:
    """Write the folder, and say how it is launched."""
    from app.exports.verl import Cluster, NotExpressible
    from app.exports.verl_folder import is_free, write
    from pkpo.client.errors import ClientError

    spec = _spec(arguments.spec)
    out = arguments.out.absolute()
    cluster = Cluster(arguments.nodes, arguments.gpus, arguments.tensor_parallel, arguments.prompt_tokens)
    try:
        if not is_free(out):
            raise CommandError(f"{arguments.out} is there already: name a folder that is not, or is empty")
        training, held_out = _problems(arguments, spec)
        folders = write(out, spec, training, held_out, cluster)
    except NotExpressible as error:
        raise CommandError(f"verl cannot train this spec:\n{error}") from error
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
    except (ClientError, ValueError) as error:
        raise CommandError(str(error)) from error
    for each in folders:
        print(f"{each}: {len(training):,} problems to train on, {len(held_out):,} held out; launch with launch.sh")
    return 0


def _spec(path: Path) -> "TrainingSpec":
    from pydantic import ValidationError

    from app.jobs.specs.training import TrainingSpec

    try:
        told = json.loads(path.read_text())
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # also of bytes that are no UTF-8
        raise CommandError(f"{path}: not JSON: {error}") from error
    if isinstance(told, dict) and told.get("kind") == "training" and "spec" in told:
        told = told["spec"]
    try:
        return TrainingSpec.model_validate(told)
    except ValidationError as error:
        wrong = (
            f"{'.'.join(map(str, each['loc'])) or 'the spec'}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors()
        )
        raise CommandError(f"{path} is no training spec:\n" + "\n".join(wrong)) from error


def _problems(arguments: argparse.Namespace, spec: "TrainingSpec") -> "tuple[list[Problem], list[Problem]]":
    """The problems to train on and those held out."""
    from app.problem_sets.held_out import split

    training = _set(arguments.url, spec.problem_set, arguments.problems)
    if isinstance(spec.held_out, float):
        if arguments.held_out_problems:
            raise CommandError("held_out is a fraction of problem_set: leave out --held-out-problems", 2)
        return split(training, spec.held_out)
    if isinstance(spec.held_out, str):
        if bool(arguments.problems) != bool(arguments.held_out_problems):
            raise CommandError("held_out names a set: give both --problems and --held-out-problems, or neither", 2)
        return training, _set(arguments.url, spec.held_out, arguments.held_out_problems)
    return training, []


def _set(url: str | None, name: str, files: list[Path] | None) -> "list[Problem]":
    from pkpo.problems import from_files

    if files:
        from dataclasses import replace

        from app.imports.names import stored_name

        return [replace(each, name=stored_name(each.name)) for each in from_files(files).problems]
    from app.exports.problems import problems_of

    return problems_of(url, name)
