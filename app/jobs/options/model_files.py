"""What the files of a model say of it before anybody loads it; where they do not say it, its worker must tell."""

import json
from pathlib import Path
from typing import Any, Final

TEMPLATES: Final = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
# Such tokenizers make their prompts without a template.
OTHER_TOKENIZERS: Final = ("tekken.json",)
MOST_BYTES: Final = 2**24


def has_no_chat_template(folder: Path) -> bool:
    """Whether it is known that prompts cannot be made chats."""
    told = _read(folder / "tokenizer_config.json")
    if told is None or told.get("chat_template") is not None:
        return False
    return not any((folder / name).exists() for name in (*TEMPLATES, *OTHER_TOKENIZERS))


def positions(folder: Path) -> int | None:
    """How many tokens a prompt and its completion may have together; None where its files do not say."""
    told = _read(folder / "config.json") or {}
    inner = told.get("text_config")
    room = (inner if isinstance(inner, dict) else told).get("max_position_embeddings")
    return room if isinstance(room, int) and room > 0 else None


def _read(path: Path) -> dict[str, Any] | None:
    """The object of a file; None where there is none, or where it is not to be read."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
