"""The model that a training begins from: the same where it is needed again to go on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from app.jobs.specs.training import TinyModel, TrainingSpec
from workers.sampling.engine import Model
from workers.sampling.models import resolved_model
from workers.training.checkpoints import Checkpoint, OtherTraining

ORIGIN: Final = "origin"  # in the manifest of a checkpoint: the sha256 of the model that its training began from


def origin(spec: TrainingSpec, roots: Sequence[Path], last: Checkpoint | None) -> Model | TinyModel:
    """The model that the spec names, or is to be made.

    A training that has all its weights in its last checkpoint goes on without what it began from, which may have been
    deleted: the folder is then that of the checkpoint. An adapter, and a KL, need it again.

    Raises:
      ModelRefused: it cannot be had.
      OtherTraining: it has other weights than the training began from.
    """
    if isinstance(spec.model, TinyModel):
        return spec.model
    began = "" if last is None else last.manifest.get(ORIGIN, "")
    if last is not None and spec.lora is None and spec.kl == 0:
        return Model(spec.model, last.folder, None, began)
    found = resolved_model(spec.model, roots)
    if began not in ("", found.sha256):
        raise OtherTraining(
            f"{spec.model} has other weights than this training began from (sha256 {found.sha256[:12]}, not "
            f"{began[:12]}), and {'its adapter' if spec.lora else 'its KL'} is to those. Bring them back and retry the "
            "job, or give the training another name as run"
        )
    return found
