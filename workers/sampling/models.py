"""Models by hub name and revision, or a local folder under an allowed root: safetensors only, and no code in them."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from workers.sampling.engine import SamplingFailed, SamplingRefused

ROOTS_VARIABLE: Final = "PKPO_MODEL_ROOTS"
# What a model is: read from a local folder, fetched from the hub, and hashed. Training leaves more beside it.
FILES: Final = (
    *("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json"),
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt"),
    *("*.model", "*.tiktoken", "chat_template.json", "chat_template.jinja"),
)
PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
HUB_NAME: Final = re.compile(
    rf"(?P<repository>{_PART}(?:/{_PART})?)(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9._/-]{{0,199}}))?"
)


class ModelRefused(SamplingRefused):
    """A model that there is not, that may not be loaded, or that cannot be."""


@dataclass(frozen=True)
class Model:
    """A model on this machine whose files were checked.

    Attributes:
      name: what was asked for.
      folder: real, absolute, and without a symbolic link in the way.
      revision: the commit that a hub name meant; None for a folder.
      sha256: of its files, `model_sha256`.
    """

    name: str
    folder: Path
    revision: str | None
    sha256: str


def allowed_roots(value: str | None = None) -> list[Path]:
    """The folders under which models may lie, from `PKPO_MODEL_ROOTS` (colon-separated) unless given."""
    parts = (os.environ.get(ROOTS_VARIABLE, "") if value is None else value).split(":")
    roots = [Path(part) for part in parts if part]
    for root in roots:
        if not root.is_absolute():
            raise ValueError(f"{ROOTS_VARIABLE}: {root} is not an absolute path")
    return [root.resolve() for root in roots]


def resolved_model(name: str, roots: Sequence[Path]) -> Model:
    """The model called `owner/name`, `owner/name@revision`, or by the absolute path of a folder under one of the roots.

    Raises:
      ModelRefused: the sentence says what is wrong with the name, the place or the files.
      SamplingFailed: the hub does not answer.
    """
    if name.startswith("/"):
        folder, revision = _local_folder(name, roots), None
        check_files(name, (path.name for path in folder.iterdir()))
    elif (match := HUB_NAME.fullmatch(name)) and not re.search(r"\.\.|--", name):
        folder = _downloaded(name, match["repository"], match["revision"])
        revision = folder.name  # the hub's cache names a snapshot by its commit
    else:
        raise ModelRefused(
            f"{name!r} is neither a hub name (owner/name, owner/name@revision) nor the absolute path of a folder"
        )
    _check_contents(name, folder)
    return Model(name, folder, revision, model_sha256(folder))


def _local_folder(name: str, roots: Sequence[Path]) -> Path:
    try:
        folder = Path(name).resolve()
    except (OSError, ValueError, RuntimeError):  # a loop of links, a zero byte, a name too long
        raise ModelRefused(f"{name!r} is not a path that can be followed") from None
    root = next((root for root in roots if folder.is_relative_to(root)), None)
    if root is None:  # whether something is there is not said: outside, nothing is looked at
        raise ModelRefused(f"{name} is not in a folder that models may be in; {ROOTS_VARIABLE} lists them")
    if not folder.is_dir():
        raise ModelRefused(f"{name} is not a folder on this machine")
    for path in folder.iterdir():
        if _is_of_model(path.name) and not path.resolve().is_relative_to(root):
            raise ModelRefused(f"{name}: {path.name} is a link that leads out of the folders that models may be in")
    return folder


def check_files(name: str, files: Iterable[str]) -> None:
    """Whether these may make up a model, by their names alone.

    Pickles beside safetensors, such as an optimizer's state, are never opened, so they are no reason to refuse.
    """
    present = sorted(files)
    if "adapter_config.json" in present:
        raise ModelRefused(f"{name} is an adapter, without the weights of its model; merge both and save the result")
    if "config.json" not in present:
        raise ModelRefused(f"{name} has no config.json, so it is not a model of transformers")
    if any(fnmatch(file, "*.safetensors") for file in present):
        return
    pickled = [file for file in present if any(fnmatch(file, pattern) for pattern in PICKLES)]
    if pickled:
        raise ModelRefused(
            f"{name} has its weights in {', '.join(pickled[:3])} only. Loading a pickle runs whatever it holds; save "
            "the model anew as safetensors: save_pretrained does"
        )
    raise ModelRefused(f"{name} has no .safetensors file, so no weights")


def _check_contents(name: str, folder: Path) -> None:
    """That no JSON file of the model leads to code of its own or to weights elsewhere."""
    for path in sorted(folder.glob("*.json")):
        if not _is_of_model(path.name):
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


def _is_of_model(file: str) -> bool:
    return any(fnmatch(file, pattern) for pattern in FILES)


def model_sha256(folder: Path) -> str:
    """The SHA-256 of what `sha256sum` prints for the model's files, sorted by name, as 64 hexadecimal digits."""
    lines = []
    for path in sorted(path for path in folder.iterdir() if _is_of_model(path.name)):
        with path.open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _downloaded(name: str, repository: str, revision: str | None) -> Path:
    """The snapshot of a hub's model in the cache; only its names are looked at before anything is fetched."""
    import httpx
    from huggingface_hub import HfApi, errors, snapshot_download

    try:
        try:
            found = HfApi().model_info(repository, revision=revision, timeout=30)
        except (errors.OfflineModeIsEnabled, httpx.TransportError, errors.LocalEntryNotFoundError):
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
    except (errors.HfHubHTTPError, httpx.HTTPError) as error:
        raise SamplingFailed(f"The hub does not give {name}: {str(error).partition(chr(10))[0]}") from error
