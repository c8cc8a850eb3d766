"""`pkpo import`: results files to a server. Importing this module costs nothing; running it brings httpx and rich."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pkpo.commands.errors import CommandError

if TYPE_CHECKING:
    from app.imports.sender import Sender
    from pkpo.readers import ResultsFile

DESCRIPTION = """\
Send results files to a server, where they become an evaluation of one checkpoint: its curve is shown when it is done.

The whole of every file is read before anything is sent, so a file with a mistake in it changes nothing. Importing the
same files again is safe: completions that are there already are counted, not doubled. Several files are taken as one
set of results: where they number their completions alike, those of later files follow those of earlier ones.

examples:
  pkpo import results.jsonl --run my-model --step 300 --problem-set math-500
  pkpo import humaneval_0.jsonl humaneval_1.jsonl.gz --run codellama-7b --sampling '{"temperature": 0.8}'

environment:
  PKPO_URL      the server (http://127.0.0.1:8000)
  PKPO_API_KEY  a key with the scopes read and write, where the server asks for one
"""
# What the files of benchmarks say of themselves by their form.
PROBLEM_SETS = {"cruxeval": "cruxeval", "human-eval": "humaneval", "human-eval-samples": "humaneval"}


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
    command.add_argument("--verifier", help="name[@version] of what gave the verdicts (default: the file's format)")
    command.add_argument(
        "--sampling", type=json.loads, default={}, metavar="JSON", help="e.g. '{\"temperature\": 0.8}'"
    )
    command.add_argument("--model", help="what was sampled from, e.g. a name on the hub")
    command.add_argument("--n", type=int, help="completions per problem fixed beforehand, where it is known")
    command.add_argument("--format", help="read the files as this format, recognised or not")
    command.add_argument("--url", help="the server, before PKPO_URL")
    command.set_defaults(run=run_import)


def run_import(arguments: argparse.Namespace) -> int:
    """Read, send, and say what is there now."""
    from app.imports.sender import Numbering, Sender
    from pkpo.readers import ReadError, open_results

    try:
        files = [open_results(path, arguments.format) for path in arguments.files]
        for file in files:
            print(f"{file.name}: {file.description}")
        numbering = Numbering.of(files)
        with Sender.from_environment(arguments.url) as sender:
            evaluation = sender.post("/v1/evaluations", _evaluation(arguments, files[0]))
            counts = sender.send(evaluation["id"], files, numbering, arguments.verifier or files[0].format)
            print(f"{counts.accepted:,} completions are new, {counts.replayed:,} were there already")
            _show_curve(sender, evaluation["id"])
    except (ReadError, OSError, ValueError) as error:
        raise CommandError(str(error)) from error
    return 0


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
    """The curve in a line, or why there is none yet, and where to look at it."""
    path = f"/v1/evaluations/{evaluation_id}/curve"
    answer = sender.get(path)
    if answer.get("type") == "no-passed":
        answer = sender.get(f"{path}?metric=max_at_k")
    if "points" in answer:
        name = answer["metric"].removesuffix("_at_k")
        shown = [f"{name}@{point['k']} {point['value']:.4f}{_interval(point)}" for point in answer["points"]]
        print(f"n={answer['n_min']}, {answer['problems_used']} problems:  " + "   ".join(shown))
    else:
        print(f"no curve yet: {answer['detail']}")
    print(sender.address(f"/evaluations/{evaluation_id}"))


def _interval(point: dict[str, float | None]) -> str:
    return "" if point["low"] is None else f" [{point['low']:.4f}, {point['high']:.4f}]"
