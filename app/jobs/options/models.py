"""What a model may be called and where it may lie: safetensors only, under a folder that the operator allows."""

import os
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from app.jobs.options.engines import SamplingRefused

ROOTS_VARIABLE: Final = "PKPO_MODEL_ROOTS"
# What a model is: read from a local folder, fetched from the hub, and hashed. Training leaves more beside it.
FILES: Final = (
    *("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json"),
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt"),
    *("*.model", "*.tiktoken", "chat_template.json", "chat_template.jinja"),
)
PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_HUB_NAME: Final = re.compile(
    rf"(?P<repository>{_PART}(?:/{_PART})?)(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9._/-]{{0,199}}))?"
)


class ModelRefused(SamplingRefused):
    """A model that there is not, that may not be loaded, or that cannot be."""


def allowed_roots(value: str | None = None) -> list[Path]:
    """The folders under which models may lie, from `PKPO_MODEL_ROOTS` (colon-separated) unless given."""
    parts = (os.environ.get(ROOTS_VARIABLE, "") if value is None else value).split(":")
    roots = [Path(part) for part in parts if part]
    for root in roots:
        if not root.is_absolute():
            raise ValueError(f"{ROOTS_VARIABLE}: {root} is not an absolute path")
    return [root.resolve() for root in roots]


def is_local(name: str) -> bool:
    """Whether the name is a folder's, not one of the hub."""
    return name.startswith("/")


def hub_name(name: str) -> tuple[str, str | None]:
    """Repository and revision of a hub name; ModelRefused where it is none."""
    match = _HUB_NAME.fullmatch(name)
    if match is None or re.search(r"\.\.|--", name):
        raise ModelRefused(
            f"{name!r} is neither a hub name (owner/name, owner/name@revision) nor the absolute path of a folder"
        )
    return match["repository"], match["revision"]


def root_of(name: str, roots: Sequence[Path]) -> tuple[Path, Path]:
    """The folder, real, absolute and without a link in the way, and the root above it; ModelRefused without one."""
    try:
        folder = Path(name).resolve()
    except (OSError, ValueError, RuntimeError):  # a loop of links, a zero byte, a name too long
        raise ModelRefused(f"{name!r} is not a path that can be followed") from None
    root = next((root for root in roots if folder.is_relative_to(root)), None)
    if root is None:  # whether something is there is not said: outside, nothing is looked at
        raise ModelRefused(f"{name} is not in a folder that models may be in; {ROOTS_VARIABLE} lists them")
    return folder, root


def local_folder(name: str, roots: Sequence[Path]) -> Path:
    """The folder of a model under one of the roots, by its files' names one that may be loaded; else ModelRefused."""
    folder, root = root_of(name, roots)
    if not folder.is_dir():
        raise ModelRefused(f"{name} is not a folder on this machine")
    for path in folder.iterdir():
        if is_of_model(path.name) and not path.resolve().is_relative_to(root):
            raise ModelRefused(f"{name}: {path.name} is a link that leads out of the folders that models may be in")
    check_files(name, (path.name for path in folder.iterdir()))
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


def is_of_model(file: str) -> bool:
    """Whether a file of this name is one that models are made of."""
    return any(fnmatch(file, pattern) for pattern in FILES)
