from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from pkpo.commands.arguments import json_object

read = json_object('{"k": 8}')


def test_an_object_is_read_from_the_argument_or_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_text('{"name": "pässe"}\n', encoding="utf-8")
    assert read('{"k": [1, 2]}') == {"k": [1, 2]}
    assert read(f"@{file}") == {"name": "pässe"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{k: 8}", """not JSON: .*; it takes an object, such as '{"k": 8}'"""),
        ("[8]", """must be a JSON object, such as '{"k": 8}', not \\[8\\]"""),
        ("@nowhere.json", "nowhere.json: No such file or directory"),
        ("@", "@ must be followed by the name of a file"),
    ],
)
def test_anything_else_is_refused_with_what_it_takes(text: str, said: str) -> None:
    with pytest.raises(ArgumentTypeError, match=said):
        read(text)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(ArgumentTypeError, match="not JSON"):
        read(f"@{file}")
