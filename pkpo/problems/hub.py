"""The records of a dataset on the Hugging Face hub, or of a folder with a copy of one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pkpo.problems.problem import ProblemsError, Record

STATE: Final = ("state.json", "dataset_dict.json")  # one of them is in what `save_to_disk` wrote


def records(name: str, revision: str, subset: str | None, split: str | None) -> Iterator[Record]:
    """The rows of one split; a folder, downloaded or written by `save_to_disk`, has no revision.

    Raises:
      ProblemsError: `datasets` is not installed, the hub does not answer, or it has no such dataset, subset or split.
    """
    try:
        import datasets
    except ModuleNotFoundError as error:
        if error.name != "datasets":
            raise
        raise ProblemsError("Datasets of the hub need the library datasets: pip install datasets") from error
    try:
        found: Any = _loaded(name, revision, subset, split)
    except ConnectionError as error:
        raise ProblemsError(
            f"{error}. Is this machine offline? Then run `hf download {name} --repo-type dataset --revision {revision} "
            "--local-dir FOLDER` on one that is not, bring the folder here and give --hub FOLDER."
        ) from error
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).partition("\n")[0]
        raise ProblemsError(f"{name} cannot be loaded: {reason}") from error
    if isinstance(found, datasets.DatasetDict):
        if (split is None and len(found) > 1) or split not in (None, *found):
            raise ProblemsError(f"{name} has the splits {', '.join(found)}: say which with --hub-split")
        found = found[split or next(iter(found))]
    yield from (Record(f"{name}, row {i}", row) for i, row in enumerate(found))


def _loaded(name: str, revision: str, subset: str | None, split: str | None) -> Any:
    import datasets

    folder = Path(name)
    if any((folder / file).exists() for file in STATE):
        if subset is not None:
            raise ValueError("what save_to_disk wrote has no subsets; leave it out")
        return datasets.load_from_disk(name)
    # Never the code of a dataset: this version of the library has no way to run any.
    return datasets.load_dataset(name, subset, split=split, revision=None if folder.is_dir() else revision)
