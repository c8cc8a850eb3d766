"""Bodies in gzip and zstd: decoded as they arrive, and never to more than their route takes."""

import gzip
import json
import random
import zlib
from pathlib import Path

import httpx
import pytest
import zstandard

from app.codings import CODINGS, MOST_MEMBERS, Decoder, Undecodable
from tests.app.ingesting import assert_refused

MIB = 2**20
TRANSFORM = json.dumps({"rewards": [[1, 0, 0.5, 0]] * 2000, "k": 2}).encode()


def encoded(coding: str, body: bytes) -> bytes:
    return gzip.compress(body) if coding == "gzip" else zstandard.compress(body)


def post(client: httpx.Client, body: bytes, coding: str, path: str = "/v1/transforms") -> httpx.Response:
    return client.post(path, content=body, headers={"Content-Type": "application/json", "Content-Encoding": coding})


def bomb(coding: str, mib: int) -> bytes:
    """Blanks of so many MiB, which JSON allows before its text."""
    if coding == "gzip":
        deflate = zlib.compressobj(wbits=31)
        return b"".join(deflate.compress(b" " * MIB) for _ in range(mib)) + deflate.flush()
    frame = zstandard.ZstdCompressor().compressobj()
    return b"".join(frame.compress(b" " * MIB) for _ in range(mib)) + frame.flush()


def peak_mib() -> int:
    """The most memory that this process, and with it the server, has held since `forget_peak`."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def forget_peak() -> int:
    """The memory held now, from which on the peak counts."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mib()


@pytest.mark.parametrize("coding", [*CODINGS, "x-gzip", "GZIP", "identity"])
def test_a_coded_body_is_read_as_if_it_were_plain(shared_client: httpx.Client, coding: str) -> None:
    plain = shared_client.post("/v1/transforms", content=TRANSFORM, headers={"Content-Type": "application/json"})
    kind = coding.lower().removeprefix("x-")
    body = encoded(kind, TRANSFORM) if kind in CODINGS else TRANSFORM
    assert post(shared_client, body, coding).raise_for_status().content == plain.raise_for_status().content


@pytest.mark.parametrize("coding", CODINGS)
def test_members_and_frames_follow_on_each_other(shared_client: httpx.Client, coding: str) -> None:
    body = encoded(coding, TRANSFORM[:700]) + encoded(coding, b"") + encoded(coding, TRANSFORM[700:])
    assert post(shared_client, body, coding).status_code == 200


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("chunk", [1, 3, 511, 512, 513, 70_000])
def test_it_does_not_matter_how_a_body_is_cut(coding: str, chunk: int) -> None:
    body = random.Random(chunk).randbytes(20_000) + b" " * MIB
    sent = encoded(coding, body[:9_000]) + encoded(coding, body[9_000:])
    decoder = Decoder(coding)
    cuts = [sent[start : start + chunk] for start in range(0, len(sent), chunk)]
    assert b"".join(piece for cut in cuts for piece in decoder.pieces(cut)) == body
    decoder.close()


@pytest.mark.parametrize("coding", CODINGS)
def test_damaged_truncated_and_other_bytes_are_refused(shared_client: httpx.Client, coding: str) -> None:
    whole = encoded(coding, TRANSFORM)
    damaged = whole[:40] + bytes([whole[40] ^ 0xFF]) + whole[41:]
    other = encoded("zstd" if coding == "gzip" else "gzip", TRANSFORM)
    for body in (whole[:-1], whole[:5], whole + b"and more", whole + whole[:9], damaged, other, TRANSFORM, b""):
        answer = post(shared_client, body, coding)
        # A flipped bit may also stand where the coding has no check: then what comes out is not JSON.
        assert answer.status_code in ((400, 422) if body is damaged else (400,)), body[:20]
        assert_refused(
            answer, answer.status_code, {400: "undecodable-body", 422: "invalid-request"}[answer.status_code]
        )


def test_many_empty_members_are_refused() -> None:
    decoder = Decoder("gzip")
    with pytest.raises(Undecodable, match=f"more than {MOST_MEMBERS}"):
        list(decoder.pieces(gzip.compress(b"") * (MOST_MEMBERS + 1)))


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "zstd, gzip", "gzip;q=1"])
def test_another_coding_is_refused_with_those_that_are_read(shared_client: httpx.Client, coding: str) -> None:
    answer = post(shared_client, TRANSFORM, coding)
    assert_refused(answer, 415, "unsupported-media-type")
    assert answer.headers["accept-encoding"] == "gzip, zstd"


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_of_256_mib_is_refused_without_taking_its_memory(shared_client: httpx.Client, coding: str) -> None:
    body = bomb(coding, 256)
    assert len(body) < MIB
    before = forget_peak()
    assert_refused(post(shared_client, body, coding, "/v1/evaluations"), 413, "body-too-large")
    assert peak_mib() - before < 80  # of which the body up to its limit of 25 MiB


@pytest.mark.parametrize("coding", CODINGS)
def test_no_piece_is_larger_than_its_bound(coding: str) -> None:
    assert max(map(len, Decoder(coding).pieces(bomb(coding, 64)))) <= 16 * MIB


def test_the_window_that_a_frame_may_ask_for_is_bounded(shared_client: httpx.Client) -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    frame = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    body = frame.compress(b" " * MIB) + frame.flush()
    answer = post(shared_client, body, "zstd")
    assert_refused(answer, 400, "undecodable-body")
    assert "window of at most 8 MiB" in answer.json()["detail"]
