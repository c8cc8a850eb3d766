"""What can be wrong with what a training loop logs."""

from collections.abc import Sequence

from app.errors import AppError


class LogConflict(AppError):
    """Rows of a segment that was named, and has others in their place."""

    status, type = 409, "log-conflict"

    def __init__(self, pointers: Sequence[str]) -> None:
        rows = "row is" if len(pointers) == 1 else "rows are"
        super().__init__(
            f"{len(pointers)} {rows} stored in this segment with another content; nothing of this request was written. "
            "A run that was resumed logs in a new segment; without `segment` one is opened for it.",
            [(pointer, "stored with another content") for pointer in pointers],
        )
