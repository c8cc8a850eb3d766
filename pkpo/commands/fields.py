"""Options that say in which fields of a generic file its columns are."""

import argparse

COLUMNS = {
    "problem": "the name of the problem",
    "passed": "whether the completion passed; nothing else in the file is then a verdict",
    "reward": "its reward; nothing else in the file is then a verdict",
    "text": "its text",
    "answer": "its answer",
}


def add_fields(command: argparse.ArgumentParser) -> None:
    """Add --problem, --passed, --reward, --text and --answer to a command that reads results files."""
    group = command.add_argument_group(
        "fields of a generic file",
        "in JSON Lines also by dots into objects, as in --problem question --passed 6b_finetuning.is_correct",
    )
    for column, description in COLUMNS.items():
        group.add_argument(f"--{column}", dest=f"field_{column}", metavar="FIELD", help=description)


def named_fields(arguments: argparse.Namespace) -> dict[str, str]:
    """The fields that were named, by column."""
    given = {column: getattr(arguments, f"field_{column}") for column in COLUMNS}
    return {column: name for column, name in given.items() if name is not None}
