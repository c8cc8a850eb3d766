"""What each of two processes of a training does: `python -m torch.distributed.run --nproc_per_node=2 -m … FOLDER`."""

import sys
from pathlib import Path

import torch

from tests.pkpo.integrations import tiny_trl


def main() -> None:
    folder = Path(sys.argv[1])
    # 12 completions a process and step, groups of 8: the second group lies across both processes.
    settings = {"per_device_train_batch_size": 6, "max_steps": 2}
    trainer = tiny_trl.trainer(folder, settings=settings, k=4)
    trainer.train()
    rank = trainer.accelerator.process_index
    assert trainer.accelerator.num_processes == 2
    torch.save(trainer.kept, folder / f"kept-{rank}.pt")
    if rank == 0:
        torch.save(trainer.accelerator.unwrap_model(trainer.model).state_dict(), folder / "model.pt")


if __name__ == "__main__":
    main()
