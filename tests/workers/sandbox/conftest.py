"""One pair of sandboxes for all tests, where this machine can make any."""

from collections.abc import Iterator

import pytest

from workers.sandbox import Limits, NotOffered, Sandboxes

LIMITS = Limits(seconds=4.0, memory_bytes=256 << 20, output_bytes=64 << 10, disk_bytes=4 << 20, files=64)


@pytest.fixture(scope="session")
def sandboxes() -> Iterator[Sandboxes]:
    """A slot of warm sandboxes with narrow limits. Skips, and says why, where none can be made."""
    try:
        started = Sandboxes(slots=1, limits=LIMITS)
    except NotOffered as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    with started:
        yield started
