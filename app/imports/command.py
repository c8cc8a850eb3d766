"""`pkpo import`: results files to a server. Importing this module costs nothing; running it brings httpx and rich."""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from pkpo.commands.arguments import json_object
from pkpo.commands.errors import CommandError
from pkpo.commands.fields import add_fields, named_fields

if TYPE_CHECKING:
    from app.imports.sender import Sender
    from pkpo.readers import ResultsFile

DESCRIPTION = """\
Send results files to a server, where they become an evaluation of one checkpoint: its curve is shown when it is done.

The whole of every file is read before anything is sent, so a file with a mistake in it changes nothing. Importing the
same files again is safe: completions that are there already are counted, not doubled. Several files are taken as one
set of results: where they number their completions alike, those of later files follow those of earlier ones.
A file of counts (problem, n, c) makes an evaluation that has no completions. A problem whose name has over 500
characters, or several lines, as a prompt has, is stored by the name's beginning and a hash of the whole.

examples:
  pkpo import results.jsonl --run my-model --step 300 --problem-set math-500
  pkpo import humaneval_0.jsonl humaneval_1.jsonl.gz --run codellama-7b --sampling '{"temperature": 0.8}'

environment:
  PKPO_URL      the server (http://127.0.0.1:8000)
  PKPO_API_KEY  a key with the scopes read and write, where the server asks for one
"""
# What the files of benchmarks say of themselves by their form.
PROBLEM_SETS = {
    "cruxeval": "cruxeval",
    "human-eval": "humaneval",
    "human-eval-samples": "humaneval",
    "livecodebench": "livecodebench",
}

SAMPLING = '{"temperature": 0.8}'


def add_import(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `pkpo import` to the commands."""
    command = commands.add_parser(
        "import",
        help="send results files to a server",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("files", metavar="FILE", nargs="+", type=Path)
    command.add_argument("--run", dest="run_name", metavar="RUN", required=True, help="the run they belong to")
    command.add_argument("--step", type=int, default=0, help="training step of the checkpoint (0: a static model)")
    command.add_argument("--problem-set", help="name[@version]; benchmarks with a form of their own are known by it")
    command.add_argument(
        "--verifier",
        help="name[@version] of what gave the verdicts (default: the file's format); a file of several verifiers adds "
        "what it calls them, as in evalplus-base and evalplus-plus",
    )
    command.add_argument(
        "--sampling",
        type=json_object('{"temperature": 0.8}'),
        default={},
        metavar="JSON",
        help="e.g. '{\"temperature\": 0.8}'",
    )
    command.add_argument("--model", help="what was sampled from, e.g. a name on the hub")
    command.add_argument("--n", type=int, help="completions per problem fixed beforehand, where it is known")
    command.add_argument("--format", help="read the files as this format, recognised or not")
    command.add_argument("--url", help="the server, before PKPO_URL")
    add_fields(command)
    command.set_defaults(run=run_import)


def run_import(arguments: argparse.Namespace) -> int:
    """Read, send, and say what is there now."""
    from app.imports.names import LONGEST, stored_name
    from app.imports.sender import Sender
    from app.imports.shipments import shipment_of
    from pkpo.readers import open_results

    _refuse_repeated(arguments.files)
    try:
        files = [open_results(path, arguments.format, named_fields(arguments)) for path in arguments.files]
        for file in files:
            print(f"{file.name}: {file.description}", flush=True)
        evaluation = _evaluation(arguments, files[0])
        shipment = shipment_of(files)
        _refuse_more_than_declared(shipment.sizes, arguments.n)
        if renamed := sum(stored_name(problem) != problem for problem in shipment.sizes):
            print(f"names of over {LONGEST} characters or several lines, cut and with a hash: {renamed:,}")
        with Sender(arguments.url) as sender:
            identity = sender.post("/v1/evaluations", evaluation)["id"]
            recorded = shipment.send(sender, identity, arguments.verifier or files[0].format)
            print(f"{shipment.description}: {recorded.accepted:,} new, {recorded.replayed:,} there already")
            _show_curve(sender, identity)
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
    except ValueError as error:
        raise CommandError(str(error)) from error
    return 0


def _refuse_repeated(paths: Sequence[Path]) -> None:
    # Its completions would follow themselves, and count twice.
    for path, times in Counter(path.resolve() for path in paths).items():
        if times > 1:
            raise CommandError(f"{path} is named {times} times")


def _refuse_more_than_declared(sizes: Mapping[str, int], n: int | None) -> None:
    problem, most = max(sizes.items(), key=itemgetter(1))
    if n is not None and most > n:
        raise CommandError(f"--n {n} says that every problem got {n} completions, and {problem!a} has {most}")


def _evaluation(arguments: argparse.Namespace, file: "ResultsFile") -> dict[str, object]:
    problem_set = arguments.problem_set or PROBLEM_SETS.get(file.format)
    if problem_set is None:
        raise CommandError(f"{file.name} does not say which problems these are: add --problem-set NAME")
    wanted = {
        "run": arguments.run_name,
        "step": arguments.step,
        "problem_set": problem_set,
        "sampling": arguments.sampling,
        "model": arguments.model,
        "n": arguments.n,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _show_curve(sender: "Sender", evaluation_id: str) -> None:
    """The curve of each verifier in a line, or why there is none yet, and where to look at it."""
    path = f"/v1/evaluations/{evaluation_id}/curve"
    answer = sender.get(path)
    if answer.get("type") == "verifier-needed":
        for verifier in answer["verifiers"]:
            print(f"{verifier}: {_curve_line(sender, path, {'verifier': verifier})}")
    else:
        print(_curve_line(sender, path, {}))
    print(sender.address(f"/evaluations/{evaluation_id}"))


def _curve_line(sender: "Sender", path: str, query: dict[str, str]) -> str:
    answer = sender.get(f"{path}?{urlencode(query)}")
    if answer.get("type") == "no-passed":
        answer = sender.get(f"{path}?{urlencode(query | {'metric': 'max_at_k'})}")
    if "points" not in answer:
        return f"no curve yet: {answer['detail']}"
    name = answer["metric"].removesuffix("_at_k")
    shown = [f"{name}@{point['k']} {point['value']:.4f}{_interval(point)}" for point in answer["points"]]
    return f"n={answer['n_min']}, {answer['problems_used']} problems:  " + "   ".join(shown)


def _interval(point: dict[str, float | None]) -> str:
    return "" if point["low"] is None else f" [{point['low']:.4f}, {point['high']:.4f}]"
