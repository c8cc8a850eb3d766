"""What each of two processes of a training does: `python -m torch.distributed.run … -m … FOLDER STOP_AFTER`."""

import json
import sys
from pathlib import Path

from accelerate import PartialState

from tests.workers.training import small


def main(folder: Path, stop_after: int) -> None:
    told = small.spec(steps=4, checkpoint_every=1, micro_batch=2)
    _, follower = small.trained(folder / "run", told, stop_after=stop_after or None)
    state = PartialState()
    assert state.num_processes == 2
    steps = [[each.step, [[g.problem, g.rewards, g.credits] for g in each.groups]] for each in follower.records]
    found = {"steps": steps, "evaluated": follower.evaluated, "lines": follower.lines}
    (folder / f"told-{state.process_index}-{stop_after}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
