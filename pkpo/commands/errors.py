"""What a command of `pkpo` raises when it cannot do what it was asked."""


class CommandError(Exception):
    """A sentence for the person at the terminal: printed as one line, without a traceback."""

    def __init__(self, message: str, status: int = 1) -> None:
        """`status` is what the process exits with: 1 for what was read, 2 for how it was asked."""
        super().__init__(message)
        self.status = status
