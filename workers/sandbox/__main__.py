"""`python -m workers.sandbox check` tries the sandbox, prints what holds, and exits with 1 where code cannot be
graded.
"""

import argparse
import sys

from workers.sandbox.check import check, description


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m workers.sandbox", description=__doc__)
    parser.add_argument("what", choices=["check"])
    parser.parse_args()
    report = check()
    for tried in report.checks:
        print(f"ok    {tried.name}" if tried.passed else f"FAILS {tried.name}: {tried.detail}")
    if report.offered:
        print(f"code verification is offered: {description()}")
        return 0
    print(f"code verification is not offered: {report.reason or 'the sandbox does not hold'}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
