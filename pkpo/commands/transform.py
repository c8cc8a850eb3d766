"""`pkpo transform`: rewards in, credits out, a group a line, as soon as the line is there."""

import argparse
import errno
import json
import re
import sys
from collections.abc import Iterator
from math import inf
from typing import Any

from pkpo.commands.errors import CommandError
from pkpo.names import parsed

SCALES = ("sum", "mean")
DESCRIPTION = """\
The credits that PKPO (arXiv:2505.15201) gives the completions of a problem for their rewards, so that a policy gradient
with them maximises the expected best reward of k attempts: pass@k, where a reward is 1 or 0.

Each line is one group, the rewards of all completions of one problem: a list, or an object with the field rewards. Its
credits come out as the same line: a list, or the object with the field credits added. null is a completion that is not
there, as after a crash of the verifier; it gets null, and the others are a group of their own size.
"""
EPILOG = """\
transforms, in a group of n with g_i the reward of i:
  sloo_minus_one  what i adds to the best of k: max(g_I) - max(g_I without i), summed over the subsets I of k that hold
                  i, by C(n, k); never negative at k >= 2; at k = 1 g_i less the mean of the others, by n; k <= n
                  (the default)
  sloo            s less k / (n - 1) times max@k of the others; k <= n - 1
  centered        s less k / n times max@k of the others; sums to 0, ignores a constant in the rewards; k <= n - 1
  plugin          between centered and sloo_minus_one, unbiased for all k <= n
  alpha_loo       for rewards of 0 and 1 alone: the unbiased leave-one-out form of Pass@K-GRPO, which is what plugin
                  gives them; k <= n
  s               max(g_I) summed over the subsets I of k that hold i, by C(n, k): no baseline; k <= n
  mixed(0.25)     s less k / n times 0.25 max@k + 0.75 max@(k-1) of the others, or another number for 0.25: 0 is
                  sloo_minus_one, 1 is centered; k <= n - 1

and for another aim than the best of k: top_mean(2), the mean of the best two of k (2 in (0, k]); cvar(0.5), the mean of
the worst half (0.5 in (0, 1]); median; k <= n, n >= 2. In a shell, brackets stand in quotes.

The credits take the place of the advantages. Do not subtract the mean of the group or divide by its deviation: the
other credits of a group depend on completion i, and the gradient would be another one's.

--scale sum is for a loss that sums over the completions of a group, mean for one that averages over them. Dividing by
the root mean square takes a whole batch and not a line of it: that is scale="rms" of the transforms in Python.

examples:
  $ echo '[0, 0, 1, 0]' | pkpo transform --k 2
  [0.0, 0.0, 0.5, 0.0]
  $ echo '{"problem": "sum/7", "rewards": [1, 0.5, null]}' | pkpo transform --k 2
  {"problem": "sum/7", "rewards": [1, 0.5, null], "credits": [0.5, 0.0, null]}
  $ echo '[0, 0.5, 1, 0]' | pkpo transform --k 2 --transform 'mixed(0.5)'
  [-0.08333333333333333, 0.08333333333333333, 0.37499999999999994, -0.08333333333333333]
  $ zcat rewards.jsonl.gz | pkpo transform --k 8 --transform sloo > credits.jsonl
"""


def add_transform(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `pkpo transform` to the commands."""
    command = commands.add_parser(
        "transform",
        help="the credits of rewards, a group a line",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("file", metavar="FILE", nargs="?", default="-", help="JSON Lines (default: standard input)")
    command.add_argument(
        "--k", type=_k, required=True, help="attempts whose best reward is to rise; 2.5 is half 2 and half 3"
    )
    command.add_argument(
        "--transform", metavar="NAME", type=_name, default="sloo_minus_one", help="see below (sloo_minus_one)"
    )
    command.add_argument("--scale", choices=SCALES, default="sum", help="see below (sum)")
    command.set_defaults(run=run_transform)


def run_transform(arguments: argparse.Namespace) -> int:
    """Print the credits of each line before the next one is read: whoever writes the lines may wait for them."""
    from pkpo.readers.rows import ReadError

    name = "standard input" if arguments.file == "-" else arguments.file
    try:
        for number, line in enumerate(_lines(arguments.file), 1):
            if line.strip():
                try:
                    print(_credited(line, arguments), flush=True)
                except ValueError as error:
                    raise CommandError(f"{name}:{number}: {error}") from error
    except ReadError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise CommandError(f"{name}: {error.strerror or error}") from error
    return 0


def _lines(path: str) -> Iterator[bytes]:
    if path == "-":
        if sys.stdin is None:
            raise OSError(errno.EBADF, "it is closed")
        yield from sys.stdin.buffer
    else:
        from pkpo.readers.source import Source

        with Source(path).open() as stream:
            yield from stream


def _credited(line: bytes, arguments: argparse.Namespace) -> str:
    """The line with credits; ValueError where there are none for it."""
    from pkpo.transforms import transform

    record = _value(line)
    rewards = _rewards(record)
    there = [reward is not None for reward in rewards]
    given = [0.0 if reward is None else reward for reward in rewards]
    credits = transform(arguments.transform, given, arguments.k, mask=there, scale=arguments.scale).tolist()
    found = [credit if valid else None for credit, valid in zip(credits, there, strict=True)]
    return json.dumps({**record, "credits": found} if isinstance(record, dict) else found)


def _value(line: bytes) -> Any:
    try:
        return json.loads(line.rstrip())  # an error behind a line break would be in column 1
    except json.JSONDecodeError as cause:
        raise ValueError(f"not JSON: {cause.msg} (column {cause.colno})") from cause
    except UnicodeDecodeError as cause:
        raise ValueError(f"not UTF-8: {cause.reason}") from cause
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _rewards(record: Any) -> list[float | None]:
    """The rewards on a line as float64, None where one is missing."""
    from pkpo.readers.rows import shown

    values = record.get("rewards") if isinstance(record, dict) else record
    if not isinstance(values, list) or not values:
        raise ValueError(f"expected a list of rewards, or an object with the field rewards, got {shown(record)}")
    rewards: list[float | None] = []
    for value in values:
        if type(value) not in (float, int, bool, type(None)):
            raise ValueError(f"a reward must be a number, true, false or null, got {shown(value)}")
        try:
            rewards.append(None if value is None else float(value))
        except OverflowError:
            raise ValueError(f"a reward is beyond the range of float64: {shown(value)}") from None
    return rewards


def _name(text: str) -> str:
    try:
        transform = parsed(text).transform
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if transform == "history":
        raise argparse.ArgumentTypeError(f"{text!r} needs the past of a training, and a line has none")
    return text


def _k(text: str) -> float:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text, re.ASCII) or not 1 <= float(text) < inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up, such as 8 or 2.5")
    return int(text) if text.isdigit() else float(text)
