"""The process that decodes Parquet: started with the first such body, kept for the next ones, replaced when it dies."""

import atexit
import io
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, Timer
from typing import Any, Final

from app.errors import InvalidRequest
from app.ingest.schemas import MOST_ROWS, MOST_VERDICTS_OF_A_REQUEST

PROGRAM: Final = Path(__file__).with_name("parquet_decoder.py")
LONGEST: Final = 20.0  # seconds for a body; the largest takes half of one
LONGEST_START: Final = 60.0  # seconds; it takes half of one, on a machine with other work six


class Decoder:
    """A decoder process, for one body at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    def decode(self, body: bytes) -> tuple[dict[str, list[Any]], list[int] | None]:
        """The values by column, and the number of verdicts of each row: see parquet_decoder. InvalidRequest if not."""
        with self._lock:
            kind, *answer = self._answer(body)
        if kind == "refused":
            sentence, pointer, code = answer
            raise InvalidRequest(sentence, [(pointer, code)])
        columns, lengths = answer
        return columns, lengths

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _answer(self, body: bytes) -> tuple[Any, ...]:
        process = self._running()
        try:
            with _bounded(process, LONGEST):
                assert process.stdin is not None
                process.stdin.write(len(body).to_bytes(8, "little"))
                process.stdin.write(body)
                process.stdin.flush()
                answer: tuple[Any, ...] = _Plain(io.BytesIO(_read(process))).load()
                return answer
        except (OSError, EOFError):
            self.close()
        return "refused", "The body is no Parquet that can be read: its reader broke down over it.", "", "not-parquet"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        # -P: the folder of the program is none of Python's, for the modules there have names of others.
        command = [sys.executable, "-P", str(PROGRAM), str(MOST_ROWS), str(MOST_VERDICTS_OF_A_REQUEST)]
        pipe = subprocess.PIPE
        # A session of its own: Ctrl-C is for the service, whose end is the end of this process's input.
        process = self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True)
        with _bounded(process, LONGEST_START):
            _read(process)
        return process


class _Plain(pickle.Unpickler):
    """Loads lists, dictionaries, text and numbers, and nothing else."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise pickle.UnpicklingError("the decoder answers with plain values")


@contextmanager
def _bounded(process: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
    """Kill the process when it takes longer: who reads from it then finds the end."""
    timer = Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _read(process: subprocess.Popen[bytes]) -> bytes:
    """An answer; EOFError where the process ends before it."""
    assert process.stdout is not None
    size = int.from_bytes(process.stdout.read(8), "little")
    answer = process.stdout.read(size)
    if not size or len(answer) < size:
        raise EOFError
    return answer
