"""What commands read their arguments as."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def json_object(example: str) -> Callable[[str], dict[str, Any]]:
    """The type of an argument that is a JSON object, or `@` and the file that holds one.

    The example is for those who wrote something else.
    """

    def read(text: str) -> dict[str, Any]:
        if text == "@":
            raise argparse.ArgumentTypeError("@ must be followed by the name of a file")
        try:
            value = json.loads(Path(text[1:]).read_bytes() if text.startswith("@") else text)
        except OSError as error:
            raise argparse.ArgumentTypeError(f"{text[1:]}: {error.strerror}") from error
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"not JSON: {error}; it takes an object, such as '{example}'") from error
        if not isinstance(value, dict):
            raise argparse.ArgumentTypeError(f"must be a JSON object, such as '{example}', not {text}")
        return value

    return read
