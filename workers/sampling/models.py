"""Models by hub name and revision, or a local folder under an allowed root: safetensors only, and no code in them."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from app.jobs.options.models import (
    FILES,
    ROOTS_VARIABLE,
    ModelRefused,
    check_files,
    hub_name,
    is_local,
    is_of_model,
    local_folder,
)
from workers.sampling.engine import Model, SamplingFailed

Files = frozenset[tuple[str, int, int, int]]


def resolved_model(name: str, roots: Sequence[Path]) -> Model:
    """The model called `owner/name`, `owner/name@revision`, or by the absolute path of a folder under one of the roots.

    Raises:
      ModelRefused: the sentence says what is wrong with the name, the place or the files.
      SamplingFailed: the hub does not answer.
    """
    if is_local(name):
        folder, revision = local_folder(name, roots), None
    else:
        folder = _downloaded(name, *hub_name(name))
        revision = folder.name  # the hub's cache names a snapshot by its commit
    _check_contents(name, folder)
    return Model(name, folder, revision, model_sha256(folder))


def _check_contents(name: str, folder: Path) -> None:
    """That no JSON file of the model leads to code of its own or to weights elsewhere."""
    for path in sorted(folder.glob("*.json")):
        if not is_of_model(path.name):
            continue
        try:
            content = json.loads(path.read_text())
        except (ValueError, OSError, RecursionError):
            raise ModelRefused(f"{name}: {path.name} is not JSON") from None
        if not isinstance(content, dict):
            if path.name in ("config.json", "model.safetensors.index.json"):
                raise ModelRefused(f"{name}: {path.name} is not an object")
            continue
        if path.name.endswith(".safetensors.index.json"):
            _check_index(name, folder, path.name, content.get("weight_map"))


def _check_index(name: str, folder: Path, index: str, weights: object) -> None:
    """An index that named a pickle would have it loaded, and one that named a path would read what lies there."""
    files = set(weights.values()) if isinstance(weights, dict) else {None}
    for file in files:
        if (
            not isinstance(file, str)
            or "/" in file
            or not file.endswith(".safetensors")
            or not (folder / file).exists()
        ):
            raise ModelRefused(f"{name}: {index} names {file!r}, which is not a .safetensors file beside it")


def not_loaded(model: Model, library: str, error: Exception) -> ModelRefused:
    """What to say where the library does not load a model whose files passed."""
    if "trust_remote_code" in str(error):
        return ModelRefused(f"{model.name} needs code of its own, which is never run: {library} does not know its kind")
    return ModelRefused(f"{model.name} cannot be loaded by {library}: {error}")


def model_sha256(folder: Path) -> str:
    """The SHA-256 of what `sha256sum` prints for the model's files, sorted by name, as 64 hexadecimal digits."""
    lines = []
    for path in sorted(path for path in folder.iterdir() if is_of_model(path.name)):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def fingerprint(folder: Path) -> Files:
    """What changes with the model's files, without reading them: name, inode, size and time of each."""
    found = ((path.name, path.stat()) for path in folder.iterdir() if is_of_model(path.name))
    return frozenset((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in found)


def _downloaded(name: str, repository: str, revision: str | None) -> Path:
    """The snapshot of a hub's model in the cache; only its names are looked at before anything is fetched."""
    import httpx2  # which huggingface_hub asks the hub with, and whose errors it lets through
    from huggingface_hub import HfApi, errors, snapshot_download

    try:
        try:
            found = HfApi().model_info(repository, revision=revision, timeout=30)
        except (errors.OfflineModeIsEnabled, httpx2.TransportError, errors.LocalEntryNotFoundError):
            # Without a hub the cache may do.
            folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
            check_files(name, (path.name for path in folder.iterdir()))
            return folder
        check_files(name, (each.rfilename for each in found.siblings or []))
        return Path(snapshot_download(repository, revision=found.sha, allow_patterns=list(FILES)))
    except errors.GatedRepoError as error:
        raise ModelRefused(
            f"{name} is gated on the hub; accept its terms there and give the worker HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelRefused(f"The hub has {repository}, but not the revision {revision}") from error
    except errors.RepositoryNotFoundError as error:
        raise ModelRefused(f"The hub has no model {repository}, or shows it to some only (HF_TOKEN)") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise SamplingFailed(
            f"{name} is not in this machine's cache and the hub does not answer. Is this machine offline? Then run "
            f"`hf download {repository}` on one that is not, bring the folder under one of {ROOTS_VARIABLE} and "
            "name that"
        ) from error
    except (errors.HfHubHTTPError, httpx2.HTTPError) as error:
        raise SamplingFailed(f"The hub does not give {name}: {str(error).partition(chr(10))[0]}") from error
