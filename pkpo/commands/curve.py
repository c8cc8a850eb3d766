"""`pkpo curve`: what a results file says, as a table, as JSON or as CSV.

Here are its arguments; `file_curve` computes and `curve_table` writes. Both are imported when the command runs, so that
`pkpo --help` needs no NumPy.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from pkpo.commands.errors import CommandError
from pkpo.commands.fields import add_fields, named_fields

if TYPE_CHECKING:
    from pkpo.commands.file_curve import FileCurve

COUNT_METRICS = ("pass_at_k", "fail_at_k", "pass_hat_k")
SHARE_METRICS = ("g_pass_at_k", "mg_pass_at_k")
REWARD_METRICS = ("max_at_k", "min_at_k")
ANSWER_METRICS = ("maj_at_k", "distinct_at_k")
TIES = ("share", "correct", "wrong")
FIGURES = ("png", "html")
DESCRIPTION = """\
The pass@k curve of results files, with intervals: no server, no account, nothing is sent anywhere.

Every value is the mean over problems of an unbiased estimate from all n completions of the problem, not the share of
problems solved by the first k: for pass@k it is 1 - C(n-c, k) / C(n, k) with c of n passed (Chen et al. 2021,
arXiv:2107.03374). That needs k <= n, and completions drawn independently, with n fixed before anybody looked.

The interval takes the problems as a sample of those that could have been asked: mean +- t * sd / sqrt(P), Student's t
with P - 1 degrees of freedom. One problem has none.
"""
EPILOG = """\
formats, recognised by content, gzipped or not:
  cruxeval            CRUXEval's scored generations (raw_generations, raw_scored_generations)
  livecodebench       LiveCodeBench's eval_all of code generation (question_id, graded_list)
  evalplus            EvalPlus's eval_results.json, old and new: verifier base is its original tests, plus all of them
  human-eval          human-eval's results: JSON Lines of task_id, completion, result, passed
  human-eval-samples  the same before they are judged: no curve, but `pkpo import` takes them
  jsonl, csv          one completion a line: problem (or problem_id, question_id, task_id), passed (correct,
                      is_correct) or reward, and where there are: sample_index, text (completion), status, answer
  wide                one problem a line, its verdicts in a list: problem, rewards (as [1, 0.5, null]) or passed
                      (as [true, false]); JSON Lines, or CSV with JSON in the cell
  counts              one problem a line: problem, n, c (c of n completions passed); JSON Lines or CSV
What is read as JSON Lines may as well be Parquet, which needs pkpo's extra `parquet`.

missing verdicts (null, an empty cell, or status infrastructure_error) are not failures. --missing says what they are:
  error  no curve, but how many there are (the default)
  drop   a problem with fewer judged completions than the largest k asked for, or with none, leaves the whole curve
  fail   they count as not passed; for rewards, as --fail-reward
A status passed, failed, timeout, oom, output_limit or crash is a verdict where the field for it is empty.

examples:
  pkpo curve results.jsonl
  pkpo curve results.jsonl.gz --k 1,8,64 --level 0.99
  pkpo curve rewards.csv --metric max_at_k
  pkpo curve results.jsonl --metric g_pass_at_k --tau 0.5
  pkpo curve results.jsonl --metric maj_at_k --answer final_answer
  pkpo curve step_0.jsonl step_200.jsonl --html curves.html
  pkpo curve example_model_solutions.jsonl.gz --problem question --passed 175b_verification.is_correct
  zcat results.jsonl.gz | grep hard | pkpo curve - --json | jq '.points[0].value'

--html and --png need pkpo's extra `plot`, --png a Chrome or Chromium besides.
--json prints one object a line for each file and verifier; --csv one table with a line for each of these and k.
"""


def add_curve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `pkpo curve` to the commands."""
    command = commands.add_parser(
        "curve",
        help="the pass@k curve of results files, with intervals",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("files", metavar="FILE", nargs="+", help="results, `-` for standard input")
    command.add_argument(
        "--k", metavar="K", action="extend", type=_attempts, help="as 1,2,4 (default: powers of two up to n, and n)"
    )
    command.add_argument(
        "--metric",
        choices=COUNT_METRICS + SHARE_METRICS + REWARD_METRICS + ANSWER_METRICS,
        help="default: pass_at_k where the file says what passed, else max_at_k of its rewards; "
        "maj_at_k and distinct_at_k need answers",
    )
    command.add_argument(
        "--tau", type=_share, metavar="T", help="for g_pass_at_k: the share of k attempts that have to pass, as 0.5"
    )
    command.add_argument(
        "--ties",
        choices=TIES,
        help="for maj_at_k: a correct one of t winners counts 1/t (share, the default), 1 (correct), or 0 (wrong)",
    )
    command.add_argument("--level", type=_level, default=0.95, help="confidence level of the interval (0.95)")
    command.add_argument("--missing", choices=("error", "drop", "fail"), default="error", help="see below")
    command.add_argument(
        "--fail-reward", type=_finite, metavar="R", help="the reward of a missing one under --missing fail"
    )
    command.add_argument("--format", metavar="NAME", help="read the files as this format, recognised or not")
    command.add_argument(
        "--verifier", metavar="NAME", help="whose verdicts, where a file has several (default: a table of each)"
    )
    output = command.add_mutually_exclusive_group()
    output.add_argument(
        "--json", dest="output", action="store_const", const="json", help="full precision, one object a line"
    )
    output.add_argument(
        "--csv", dest="output", action="store_const", const="csv", help="full precision, one line for each k"
    )
    for suffix in FIGURES:
        command.add_argument(
            f"--{suffix}", type=Path, metavar="FILE", help=f"also draw all curves in one figure, as {suffix.upper()}"
        )
    add_fields(command)
    command.set_defaults(run=run_curve, output="table")


def run_curve(arguments: argparse.Namespace) -> int:
    """Print the curve of each file as soon as it is there."""
    if arguments.fail_reward is not None and arguments.missing != "fail":
        raise CommandError("--fail-reward is for --missing fail", status=2)
    if (arguments.tau is None) == (arguments.metric == "g_pass_at_k"):
        raise CommandError("--tau and --metric g_pass_at_k need each other", status=2)
    if arguments.ties is not None and arguments.metric != "maj_at_k":
        raise CommandError("--ties is for --metric maj_at_k", status=2)
    from pkpo.commands import curve_table

    write = {"table": curve_table.as_table, "json": curve_table.as_json, "csv": curve_table.as_csv}[arguments.output]
    figures = {suffix: path for suffix in FIGURES if (path := getattr(arguments, suffix)) is not None}
    _refuse_undrawable(figures)
    drawn = []
    curves = chain.from_iterable(_file_curves(name, arguments) for name in arguments.files)
    for position, curve in enumerate(curves):
        drawn.append(curve)
        text = write(curve, first=position == 0)
        encoding = sys.stdout.encoding or "utf-8"  # a file's name may hold what the terminal cannot show
        print(text.encode(encoding, "backslashreplace").decode(encoding))
    for suffix, path in figures.items():
        _draw(drawn, path, suffix)
    return 0


def _refuse_undrawable(figures: Mapping[str, Path]) -> None:
    from pkpo.plot import lacking

    for suffix in figures:
        if absent := lacking(f".{suffix}"):
            raise CommandError(f"--{suffix} needs {' and '.join(absent)}: install pkpo with its extra `plot`")


def _draw(curves: "Sequence[FileCurve]", path: Path, suffix: str) -> None:
    """Write one figure of all curves, named by file and verifier."""
    from pkpo.plot import save

    by_name = {" ".join(filter(None, (each.file.name, each.file.verifier))): each.curve for each in curves}
    try:
        save(by_name, path, f".{suffix}")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise CommandError(f"--{suffix}: {error}") from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CommandError(f"--{suffix}: {reason}") from error


def _file_curves(name: str, arguments: argparse.Namespace) -> "Iterator[FileCurve]":
    """The curve of a file under the verifier that was asked for, or under each that it names."""
    from pkpo.commands.file_curve import file_curve
    from pkpo.readers import ReadError, UnknownFormat, UnknownVerifier, open_results

    try:
        file = open_results(name, arguments.format, named_fields(arguments))
        for each in file.by_verifier() if arguments.verifier is None else [file.of(arguments.verifier)]:
            yield file_curve(
                each,
                arguments.k,
                metric=arguments.metric,
                tau=arguments.tau,
                ties=arguments.ties or "share",
                missing=arguments.missing,
                fail_reward=arguments.fail_reward,
                level=arguments.level,
            )
    except (UnknownFormat, UnknownVerifier) as error:
        raise CommandError(str(error), status=2) from error
    except ReadError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror or error}") from error
    except ValueError as error:
        raise CommandError(f"{name}: {error}") from error


def joined_ks(words: Sequence[str]) -> list[str]:
    """The words of a command line with `--k 1 2 4` as `--k 1,2,4`: argparse would make a FILE after it one more K."""
    joined: list[str] = []
    for word in words:
        if joined[-2:-1] == ["--k"] and _are_numbers(joined[-1]) and _are_numbers(word):
            joined[-1] += f",{word}"
        else:
            joined.append(word)
    return joined


def _are_numbers(word: str) -> bool:
    return all(part.isascii() and part.isdigit() for part in word.split(","))


def _attempts(text: str) -> list[int]:
    """The numbers of attempts in "8" or "1,2,4"."""
    if not _are_numbers(text) or 0 in (ks := [int(part) for part in text.split(",")]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up, nor several as in 1,2,4")
    return ks


def _level(text: str) -> float:
    try:
        level = float(text)
    except ValueError:
        level = -1.0
    if not 0 < level < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1, as 0.95 is")
    return level


def _share(text: str) -> float:
    share = _finite(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not from 0 to 1, as 0.5 is")
    return share


def _finite(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return number
