"""Where the schedule of k stands, kept in verl's checkpoints.

trainer.checkpoint_callback_class=pkpo.integrations.verl_checkpoints.KeepK
"""

import shutil
from pathlib import Path
from typing import Any

from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

NAME = "pkpo-schedule.json"


class KeepK(CheckpointCallback):  # type: ignore[misc]  # verl is not typed
    """Copies the file that `algorithm.pkpo.state` names into each checkpoint; a resumed training puts it back first."""

    def on_save(self, trainer: Any, global_step: int, checkpoint_dir: str, **_: Any) -> None:
        """Called by verl in its driver once a checkpoint is written."""
        assert self.config is not None
        shutil.copyfile(self.config.algorithm.pkpo.state, Path(checkpoint_dir) / NAME)
