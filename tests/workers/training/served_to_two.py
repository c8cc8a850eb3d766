"""What each of two processes loads its vLLM from: `python -m torch.distributed.run … -m … FOLDER`."""

import sys
from pathlib import Path

from accelerate import PartialState

from tests.workers.training import small
from workers.training.models import initial
from workers.training.problems import split
from workers.training.vllm_colocated import serve_from


def main(folder: Path) -> None:
    policy = initial(small.spec(), split(small.SUMS, 0.25), ())
    rank = PartialState(cpu=True).process_index
    serve_from(policy, folder / f"of-{rank}")
    (folder / f"told-{rank}").write_text(policy.model.name_or_path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
