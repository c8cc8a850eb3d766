"""What can be wrong with problems that are sent to a set."""

from collections.abc import Sequence

from app.errors import AppError


class ProblemsConflict(AppError):
    """Problems that the set has with another content."""

    status, type = 409, "problems-conflict"

    def __init__(self, pointers: Sequence[str]) -> None:
        fields = "field is" if len(pointers) == 1 else "fields are"
        super().__init__(
            f"{len(pointers)} {fields} stored with another content; nothing of this request was written. Problems that "
            "changed make another version of the set.",
            [(pointer, "stored with another content") for pointer in pointers],
        )
