"""`pkpo problems import`: problem sets to a server. Importing this module costs nothing."""

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from pkpo.commands.arguments import json_object
from pkpo.commands.errors import CommandError

if TYPE_CHECKING:
    from pkpo.problems import Found, Problem

DESCRIPTION = """\
Send problems to a server, where they become a problem set, or more of one: from files, from a dataset of the Hugging
Face hub, or as many as wanted from reasoning-gym.

Everything is read before anything is sent, so a file with a mistake in it changes nothing. Importing the same again is
safe: problems that are there already are counted, not doubled, and one that is there with another content is an error.

HumanEval, MBPP, GSM8K, MATH and tasks of ARC-AGI-1 are recognised by their fields. Of other records, --prompt,
--problem, --answer, --tests and --metadata say what is where. docs/problem-sets.md says what a verifier gets.
"""
EPILOG = """\
examples:
  pkpo problems import HumanEval.jsonl.gz --problem-set humaneval --close
  pkpo problems import ARC-AGI/data/evaluation --problem-set arc-agi-1 --dry-run
  pkpo problems import mine.jsonl --problem-set mine --problem id --prompt input.text --answer target
  pkpo problems import --hub openai/gsm8k --subset main --hub-split test --problem-set gsm8k
  pkpo problems import --reasoning-gym chain_sum --size 64 --seed 7 --config '{"max_terms": 3}' --problem-set sums
  pkpo problems import train.jsonl --problem-set gsm8k --split train=0.9   (makes gsm8k-train and gsm8k-held-out)

environment:
  PKPO_URL      the server (http://127.0.0.1:8000)
  PKPO_API_KEY  a key with the scopes read and write, where the server asks for one
"""
FIELDS = {
    "problem": "the name of the problem (default: a digest of its prompt)",
    "prompt": "what a policy gets",
    "answer": "the reference answer",
    "tests": "any JSON for the verifier",
    "metadata": "an object with all else",
}
SET_NAME = re.compile(r"[A-Za-z0-9._:-]+(@[A-Za-z0-9._:-]+)?")
LONGEST_SET_NAME = 200
SHOWN = 3
LONGEST_SHOWN = 300


def add_problems(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `pkpo problems` to the commands."""
    problems = commands.add_parser("problems", help="problem sets from files, the hub and reasoning-gym to a server")
    actions = problems.add_subparsers(required=True, metavar="import")
    command = actions.add_parser(
        "import",
        help="send problems to a server",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_sources(command)
    command.add_argument(
        "--problem-set", type=_set_name, metavar="NAME", required=True, help="name[@version] of the set"
    )
    command.add_argument("--limit", type=_whole, metavar="N", help="the first N problems only")
    command.add_argument(
        "--split", type=_share, metavar="PART=SHARE", help="two sets, as train=0.9: NAME-train and NAME-held-out"
    )
    command.add_argument("--seed", type=_seed, default=0, help="of --reasoning-gym, and of --split (0)")
    command.add_argument("--close", action="store_true", help="let the set take no further problems")
    command.add_argument("--dry-run", action="store_true", help=f"show {SHOWN} problems and send nothing")
    command.add_argument("--url", help="the server, before PKPO_URL")
    command.set_defaults(run=run_import)


def _add_sources(command: argparse.ArgumentParser) -> None:
    command.add_argument("files", metavar="FILE", nargs="*", type=Path, help="files, or folders of .json files")
    command.add_argument("--format", help="read as this format, recognised or not")
    hub = command.add_argument_group("the Hugging Face hub")
    hub.add_argument("--hub", metavar="NAME", help="the dataset, or a folder with a copy of it")
    hub.add_argument("--revision", help="branch, tag or commit; only a commit never changes (main)")
    hub.add_argument("--subset", help="where the dataset has several")
    hub.add_argument("--hub-split", metavar="SPLIT", help="where it has several, as test")
    gym = command.add_argument_group("reasoning-gym")
    gym.add_argument("--reasoning-gym", metavar="TASK", help="the task, as chain_sum")
    gym.add_argument("--size", type=_whole, metavar="N", help="how many problems")
    gym.add_argument("--config", type=json_object('{"max_terms": 3}'), metavar="JSON", help="settings of the task")
    fields = command.add_argument_group("fields of other records", "by dots into objects, as in --prompt input.text")
    for name, description in FIELDS.items():
        fields.add_argument(f"--{name}", dest=f"field_{name}", metavar="FIELD", help=description)


def run_import(arguments: argparse.Namespace) -> int:
    """Read, send, and say what is there now."""
    from pkpo.client.batches import encoded

    try:
        found = _found(arguments)
        parts = _parts(arguments, _read(found, arguments))
        lines = {
            problem_set: [encoded(each.sent(), f"the problem {each.name!a}") for each in problems]
            for problem_set, problems in parts.items()
        }
        print(f"{found.description}: {sum(map(len, parts.values())):,} problems", flush=True)
        for problem_set, problems in parts.items():
            if arguments.dry_run:
                _show(problem_set, problems)
            else:
                _send(arguments, problem_set, [each.name for each in problems], lines[problem_set])
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
    except ValueError as error:  # a ProblemsError, or what JSON cannot write
        raise CommandError(str(error)) from error
    return 0


def _found(arguments: argparse.Namespace) -> "Found":
    """What the arguments name, not read yet."""
    from pkpo.problems import from_files, from_hub, from_reasoning_gym

    sources = {"FILE": arguments.files or None, "--hub": arguments.hub, "--reasoning-gym": arguments.reasoning_gym}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        names = " or ".join(sources) if not given else " and ".join(given) + " together, which are two imports"
        raise CommandError(f"problems come from {names}" if given else f"name where problems come from: {names}", 2)
    _refuse_others(arguments, given[0])
    named = {name: value for name in FIELDS if (value := getattr(arguments, f"field_{name}")) is not None}
    if arguments.hub:
        if arguments.revision and Path(arguments.hub).is_dir():
            raise CommandError(f"{arguments.hub} is a folder, which has no --revision: it holds what was downloaded", 2)
        where = (arguments.revision or "main", arguments.subset, arguments.hub_split)
        return from_hub(arguments.hub, *where, arguments.format, named)
    if arguments.files:
        return from_files(arguments.files, arguments.format, named)
    if arguments.size is None:
        raise CommandError("reasoning-gym makes any number of problems: add --size N", 2)
    return from_reasoning_gym(arguments.reasoning_gym, arguments.size, arguments.seed, arguments.config or {})


def _refuse_others(arguments: argparse.Namespace, source: str) -> None:
    """Refuse options of other sources, which would have no effect."""
    of_fields = ["format", *(f"field_{name}" for name in FIELDS)]
    options = {
        "--hub": ["revision", "subset", "hub_split", *of_fields],
        "--reasoning-gym": ["size", "config"],
        "FILE": of_fields,
    }
    for option in {each for others in options.values() for each in others} - set(options[source]):
        if getattr(arguments, option) is not None:
            shown = option.removeprefix("field_").replace("_", "-")
            raise CommandError(f"--{shown} says nothing about problems from {source}", 2)


def _read(found: "Found", arguments: argparse.Namespace) -> list["Problem"]:
    """The problems, with names that a server takes."""
    from app.imports.bar import counting
    from app.imports.names import stored_name
    from pkpo.problems import ProblemsError

    read: dict[str, Problem] = {}
    with counting("reading", arguments.size) as advance:
        for each in found.problems:
            name = stored_name(each.name)
            if name in read:
                raise ProblemsError(f"two problems are called {name!a} once control characters are blanks")
            read[name] = replace(each, name=name)
            advance(1)
            if len(read) == arguments.limit:
                break
    return list(read.values())


def _parts(arguments: argparse.Namespace, problems: "list[Problem]") -> Mapping[str, "Sequence[Problem]"]:
    """The problems of each set."""
    from pkpo.problems import parts_of

    if arguments.split is None:
        return {arguments.problem_set: problems}
    part, share = arguments.split
    name, at, version = arguments.problem_set.partition("@")
    chosen, others = parts_of(problems, share, arguments.seed)
    return {f"{name}-{part}{at}{version}": chosen, f"{name}-held-out{at}{version}": others}


def _show(problem_set: str, problems: "Sequence[Problem]") -> None:
    for each in problems[:SHOWN]:
        print()
        for field, value in each.sent().items():
            text = json.dumps(value)  # in ASCII: what a file holds must not reach a terminal raw
            print(f"{field:<9}{text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + '...'}")
    print(f"\n{problem_set}: {len(problems):,} problems, none of them sent")


def _send(arguments: argparse.Namespace, problem_set: str, names: Sequence[str], problems: Sequence[bytes]) -> None:
    from app.imports.bar import counting
    from app.problem_sets.sender import ProblemSender

    with ProblemSender(arguments.url) as sender, counting("sending", len(problems)) as advance:
        sender.put(problem_set, None)
        sent = sender.send_problems(problem_set, names, problems, advance)
        if arguments.close:
            sender.put(problem_set, closed=True)
    closed = ", closed" if arguments.close else ""
    print(f"{problem_set}: {sent.accepted:,} new, {sent.replayed:,} there already{closed}")


def _set_name(text: str) -> str:
    if not SET_NAME.fullmatch(text) or len(text) > LONGEST_SET_NAME or text in (".", ".."):
        raise argparse.ArgumentTypeError(
            f"{text[:60]!a} is not name or name@version in up to {LONGEST_SET_NAME} letters, digits and . _ : -"
        )
    return text


def _whole(text: str) -> int:
    return _between(text, 1, inf)


def _seed(text: str) -> int:
    return _between(text, 0, 2**32 - 1)


def _between(text: str, least: int, most: float) -> int:
    bounds = f"from {least} up" if most == inf else f"between {least} and {most}"
    if not re.fullmatch("[0-9]{1,15}", text) or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!a} is not a whole number {bounds}")
    return int(text)


def _share(text: str) -> tuple[str, float]:
    match = re.fullmatch(r"([A-Za-z0-9._:-]+)=(0?\.[0-9]+)", text)
    if match is None or not 0 < float(match[2]) < 1 or match[1] == "held-out":
        raise argparse.ArgumentTypeError(f"{text!a} is not the name of a part and its share, such as train=0.9")
    return match[1], float(match[2])
