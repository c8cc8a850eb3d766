"""`pkpo curve` in this process, and what it prints."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pkpo.cli import main


def curves(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[dict[str, Any]]:
    """What `pkpo curve --json` prints."""
    assert main(["curve", "--json", *map(str, arguments)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def values(curve: Mapping[str, Any]) -> dict[int, float]:
    """The value at each k."""
    return {point["k"]: point["value"] for point in curve["points"]}


def table(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """What `pkpo curve` prints for a person."""
    assert main(["curve", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str | Path, status: int = 1) -> str:
    """The one line on standard error of a command that fails with this status."""
    with pytest.raises(SystemExit) as end:
        sys.exit(main([str(argument) for argument in arguments]))
    assert end.value.code == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("pkpo: ")
    assert printed.err.count("\n") == 1
    return printed.err.removeprefix("pkpo: ").rstrip("\n")
