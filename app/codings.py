"""The codings that a body may arrive in, decoded piece by piece: no piece is much larger than its share of the body.

A few bytes can decode to gigabytes. What is decoded is counted by who asked for it, who then stops asking.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, Protocol

import zstandard

PIECE: Final = 256 * 1024
# A block of zstd takes four bytes at least and holds 128 KiB at most: so many bytes decode to no more than 16 MiB.
ZSTD_SLICE: Final = 512
# What RFC 8878 asks decoders for the web to support; a frame may ask for 2 GiB.
ZSTD_WINDOW: Final = 8 * 2**20
# Tools write one, or one for some 64 KiB. A body could hold millions of empty ones, each with a decoder of its own.
MOST_MEMBERS: Final = 10_000


class Undecodable(ValueError):
    """Bytes that are not what their coding says."""


class _Stream(Protocol):
    """A decoder of one gzip member or one zstd frame."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def pieces(self, data: bytes) -> Iterator[bytes]: ...


class _GzipMember:
    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What these bytes decode to, each piece of at most 256 KiB."""
        while True:
            piece = self._inflate.decompress(data, PIECE)
            yield piece
            data = self._inflate.unconsumed_tail
            if self._inflate.eof or (not data and len(piece) < PIECE):
                return


class _ZstdFrame:
    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj()
        self._after = b""

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data + self._after

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What these bytes decode to, each piece of at most 16 MiB."""
        for start in range(0, len(data), ZSTD_SLICE):
            yield self._frame.decompress(data[start : start + ZSTD_SLICE])
            if self._frame.eof:
                self._after = data[start + ZSTD_SLICE :]
                return


class Decoder:
    """The decoded bytes of one body, whose members or frames follow on each other."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream: _Stream | None = None
        self._members = 0

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What these further bytes decode to; Undecodable where they break the rules of the coding."""
        while data:
            stream = self._stream or self._next_stream()
            try:
                yield from filter(None, stream.pieces(data))
            except (zlib.error, zstandard.ZstdError):
                raise Undecodable(f"The body is damaged, or is not {_NAMES[self._coding]}.") from None
            data = stream.unused_data if stream.eof else b""
            self._stream = None if stream.eof else stream

    def close(self) -> None:
        """Raise Undecodable where the body has ended too early."""
        if self._stream is not None or not self._members:
            raise Undecodable(f"The body ends before its {self._coding} data do.")

    def _next_stream(self) -> _Stream:
        self._members += 1
        if self._members > MOST_MEMBERS:
            raise Undecodable(f"The body has more than {MOST_MEMBERS} {self._coding} members or frames.")
        return _STREAMS[self._coding]()


_STREAMS: Final[Mapping[str, Callable[[], _Stream]]] = MappingProxyType({"gzip": _GzipMember, "zstd": _ZstdFrame})
_NAMES: Final = {"gzip": "gzip", "zstd": f"zstd with a window of at most {ZSTD_WINDOW // 2**20} MiB"}
CODINGS: Final = tuple(_STREAMS)
