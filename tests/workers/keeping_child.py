"""A job's process that keeps something loaded, as sampling keeps a model: `python -m tests.workers.keeping_child`."""

import sys

from workers.child.process import main
from workers.child.work import Work


class Kept:
    """What is loaded at once."""

    def close(self) -> None:
        """Let go of it."""


def run(work: Work) -> None:
    """Say whether it had to be loaded, and leave it to the next job."""
    if work.spec["run"] == "with-a-bar":
        for percent in (0, 50, 100):
            sys.stderr.write(f"\rLoading: {percent}%")
            sys.stderr.flush()
        sys.stderr.write("\n")
    kept = work.shelf.take("kept", Kept)
    work.say("it was loaded" if kept is None else "it is still loaded")
    work.shelf.keep("kept", kept or Kept())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], {"sampling": "tests.workers.keeping_child"}))
