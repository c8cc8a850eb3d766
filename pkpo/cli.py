"""The command `pkpo`: curves of results files and credits of rewards; the server's commands where the checkout is.

NumPy is imported by a command that computes, not by `pkpo --help`.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pkpo
from pkpo.commands.bias import add_bias
from pkpo.commands.curve import add_curve, joined_ks
from pkpo.commands.errors import CommandError
from pkpo.commands.sync import add_sync
from pkpo.commands.transform import add_transform

__all__ = ["CommandError", "main"]

DESCRIPTION = """\
pass@k, done right: unbiased estimates with intervals, from the results files that evaluations leave behind.
"""
EXAMPLES = """\
examples:
  pkpo curve results.jsonl                   the pass@k curve of a file, without a server
  pkpo curve a.jsonl.gz b.csv --k 1,8        several files, a table each
  pkpo transform --k 8 rewards.jsonl         the credits that train for the best of 8, a group of rewards a line
  pkpo bias --methods grpo,chen --n 16       what published methods maximise, not what they claim
  pkpo curve --help                          formats, intervals, what is done about missing verdicts
"""
SERVER_COMMANDS = ("serve", "migrate", "keys", "import", "problems", "jobs", "train", "export")
SERVICE_DOCS = "README.md, 'What runs where'"
BROKEN_PIPE = 128 + 13  # what a shell reports of a program that SIGPIPE ended
INTERRUPTED = 128 + 2


class Parser(argparse.ArgumentParser):
    """A parser that reports a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the mistake and where to read on, and exit with status 2."""
        self.exit(2, f"pkpo: {message} (see: {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names, by default the process's arguments; returns the exit status.

    Exits by itself with 0 after --help and --version, and with 2 after a mistake in the arguments.
    """
    arguments = joined_ks(sys.argv[1:] if argv is None else argv)
    try:
        parsed = _parser(arguments).parse_args(arguments)
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except CommandError as error:
        print(f"pkpo: {error}", file=sys.stderr)
        return error.status
    except BrokenPipeError:  # `pkpo curve … | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at exit
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    checkout = Path(pkpo.__file__).resolve().parent.parent
    parser: argparse.ArgumentParser = Parser(
        prog="pkpo",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pkpo {pkpo.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    add_curve(commands)
    add_transform(commands)
    add_bias(commands)
    add_sync(commands)
    if (checkout / "app" / "cli.py").exists():
        # In front of the current folder, which may well hold another program's `app`.
        sys.path.insert(0, str(checkout))
        importlib.import_module("app.cli").add_commands(commands)
    elif arguments and arguments[0] in SERVER_COMMANDS:
        raise CommandError(
            f"`pkpo {arguments[0]}` is part of the service, which runs from a checkout or an image and is not in the "
            f"installed package: see {SERVICE_DOCS}",
            status=2,
        )
    return parser
