"""What a worker on this machine can do."""


def capabilities() -> tuple[str, ...]:
    """The names by which jobs ask for it."""
    return ("import", "verify")
