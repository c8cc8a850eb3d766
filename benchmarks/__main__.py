"""Runs the benchmarks, prints each ratio as it is known, and exits with 1 where a bound is missed."""

import argparse
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from benchmarks.ratio import Ratio


def names() -> list[str]:
    """Every module of this folder that measures something."""
    helpers = {"__init__", "__main__", "ratio"}
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if path.stem not in helpers)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to run (default: all): {', '.join(names())}")
    chosen = parser.parse_args().names or names()
    if unknown := sorted(set(chosen) - set(names())):
        parser.error(f"no benchmark is named {', '.join(unknown)}; there are {', '.join(names())}")
    missed = [ratio for name in chosen for ratio in _printed(name) if not ratio.met]
    print(f"{len(missed)} bounds missed" if missed else "every bound is met")
    return 1 if missed else 0


def _printed(name: str) -> Iterator[Ratio]:
    """Each ratio of `measure()` in the module, printed when it is known."""
    print(f"\n{name}: {(import_module(f'benchmarks.{name}').__doc__ or '').splitlines()[0]}", flush=True)
    for ratio in import_module(f"benchmarks.{name}").measure():
        verdict = "" if not ratio.bound else "  ok" if ratio.met else "  MISSED"
        print(f"  {ratio.name:<44} {ratio.value:8.3g} × {ratio.yardstick}  {ratio.bound}{verdict}", flush=True)
        if ratio.detail:
            print(f"      {ratio.detail}", flush=True)
        yield ratio


if __name__ == "__main__":
    sys.exit(main())
