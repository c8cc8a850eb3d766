"""`pkpo sync`: what training loops left in the spool, to the server."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pkpo.commands.errors import CommandError

if TYPE_CHECKING:
    from pkpo.client.sync import Synced

DESCRIPTION = """\
Send what training loops have logged and could not send: their server was away, or they were killed.

Each request goes to the server that the loop was to log to, with the key of its own that it had there, so that nothing
is stored twice: not when the answer to an earlier attempt was lost, not when this command is repeated or runs twice at
once. What a loop that still runs has in the spool it sends itself, and is left to it. A request that the server will
never take is laid aside in the folder `refused` of the spool, with the reason in a file beside it.

environment:
  PKPO_SPOOL_DIR  the spool, before ~/.local/state/pkpo/spool
  PKPO_API_KEY    a key with the scope write, where the server asks for one
"""


def add_sync(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `pkpo sync` to the commands."""
    command = commands.add_parser(
        "sync",
        help="send what training loops could not",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--spool", type=Path, metavar="DIR", help="the spool, before PKPO_SPOOL_DIR")
    command.add_argument("--url", help="send to this server, whichever the loop was to log to")
    command.add_argument(
        "--deadline", type=float, default=30.0, metavar="SECONDS", help="how long to wait for a server (default: 30)"
    )
    command.set_defaults(run=run_sync)


def run_sync(arguments: argparse.Namespace) -> int:
    """Send all that nobody else sends, and say what became of it; status 1 where anything is left or refused."""
    try:
        from pkpo.client.spool import default_spool
        from pkpo.client.sync import sync
    except ModuleNotFoundError as error:
        raise CommandError(str(error)) from error
    spool = arguments.spool or default_spool()
    try:
        found = sync(spool, arguments.url, arguments.deadline, _progress if sys.stderr.isatty() else None)
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from error
    print(_summary(found, spool))
    for reason in found.refused:
        print(f"refused: {reason}", file=sys.stderr)
    for reason in found.away.values():
        print(reason, file=sys.stderr)
    return 1 if found.left or found.refused else 0


def _progress(found: "Synced") -> None:
    print(f"\r{found.requests:,} sent", end="", file=sys.stderr, flush=True)


def _summary(found: "Synced", spool: Path) -> str:
    rows = found.rows
    lines = [
        f"{spool}: {found.requests:,} requests sent ({rows.accepted:,} rows new, {rows.replayed:,} there already), "
        f"{len(found.refused):,} refused, {found.left:,} left"
    ]
    if found.in_use:
        lines.append(f"{found.in_use:,} running processes send what they logged themselves")
    return "\n".join(lines)
