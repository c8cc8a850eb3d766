"""`pkpo bias`: what the expected gradient of each method is, over the gradient that it claims.

Here are its arguments; `bias_table` computes and writes. It is imported when the command runs, so that `pkpo --help`
needs no NumPy.
"""

import argparse
import math

from pkpo.commands.errors import CommandError

DESCRIPTION = """\
The bias of training methods, exactly: E[gradient estimate] / gradient of what the method claims to maximise, for a
policy whose completions pass with chance p. No sampling: the mean is taken over all outcomes of a group of n.

1 is unbiased. Another number that is the same for every p is a step size, which a learning rate absorbs. A number that
changes with p weighs problems by how hard they are: the method maximises something else. 0 is no gradient at all.
"""
EPILOG = """\
methods:
  the transforms of pkpo (s, sloo, sloo_minus_one, centered, plugin, ...), unbiased wherever they are defined, and the
  baselines of pkpo.baselines; mixed(0.25), or with another lam, where it is asked for. Those that claim pass@1 or
  pass@n have no k of their own and are compared with that; maxrl is compared with the sum over j = 1..n of pass@j / j.
  Each is taken at scale "sum": a method that is published for a loss that averages over the group carries 1/n.

where there is no number, the method is not defined (k > n, or n no multiple of k), or the gradient is so small that
credits in float64 cannot show its factor: --json and --csv say which.

examples:
  pkpo bias                                         all methods at n = 8
  pkpo bias --methods chen,mean_centered_s --n 8 --k 1,2,4,8
                                                    what centring costs: 1 - k/n, nothing left at k = n
  pkpo bias --methods grpo,rloo,maxrl --p 0.01,0.1,0.5,0.9,0.99
                                                    which problems a method prefers
  pkpo bias --methods sloo_minus_one --n 16 --k 8 --json | jq .factor
"""
FORMATS = {"json": "one object a line, full precision", "csv": "full precision", "markdown": "for a document"}


def add_bias(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `pkpo bias` to the commands."""
    command = commands.add_parser(
        "bias",
        help="the exact bias of training methods: transforms, GRPO and the rest",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--methods", metavar="NAME,...", type=_names, help="as sloo_minus_one,grpo (default: all)")
    command.add_argument("--n", metavar="N,...", type=_wholes, default=[8], help="completions in a group (8)")
    command.add_argument(
        "--k", metavar="K,...", type=_wholes, default=[1, 2, 4, 8], help="attempts of the objective (1,2,4,8)"
    )
    command.add_argument(
        "--p", metavar="P,...", type=_chances, default=[0.1, 0.5, 0.9], help="chances to pass (0.1,0.5,0.9)"
    )
    output = command.add_mutually_exclusive_group()
    for name, text in FORMATS.items():
        output.add_argument(f"--{name}", dest="output", action="store_const", const=name, help=text)
    command.set_defaults(run=run_bias, output="table")


def run_bias(arguments: argparse.Namespace) -> int:
    """Print the factors."""
    from pkpo.commands import bias_table

    names = bias_table.METHODS if arguments.methods is None else arguments.methods
    for name in names:
        if not bias_table.is_method(name):
            known = f"{', '.join(bias_table.METHODS)}, or mixed(lam) as mixed(0.25)"
            raise CommandError(f"method must be one of {known}; got {name!r}", status=2)
    factors = list(bias_table.factors(names, arguments.n, arguments.k, arguments.p))
    print(bias_table.WRITERS[arguments.output](factors))
    return 0


def _names(text: str) -> list[str]:
    return text.split(",")


def _wholes(text: str) -> list[int]:
    """The numbers in "8" or "1,2,4"."""
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up, nor several as in 1,2,4")
    return [int(part) for part in parts]


def _chances(text: str) -> list[float]:
    """The numbers between 0 and 1 in "0.5" or "0.1,0.5"."""
    try:
        chances = [float(part) for part in text.split(",")]
    except ValueError:
        chances = [math.nan]
    if not all(0 < chance < 1 for chance in chances):
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1, as 0.5 is, nor several as in 0.1,0.5")
    return chances
