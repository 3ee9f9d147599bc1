"""Any reply, however it is cut into pieces, is read whole or is an unknown outcome."""

from __future__ import annotations

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.publisher import Reply
from scheduler.errors import OutcomeUnknown
from scheduler.transport.reply import BODY_CAP, HEAD_CAP, ReplyReader

from .hostile import ok

RAW = zlib.compressobj(wbits=-zlib.MAX_WBITS)
RAW_DEFLATE = RAW.compress(b"body") + RAW.flush()


def read(*pieces: bytes, method: str = "POST", end: bool = True) -> Reply | None:
    reader = ReplyReader(method)
    for piece in pieces:
        reader.feed(piece)
    if end and reader.reply is None:
        reader.end()
    return reader.reply


def why(*pieces: bytes, end: bool = True) -> str:
    with pytest.raises(OutcomeUnknown) as unknown:
        read(*pieces, end=end)
    return unknown.value.code


def attempt(data: bytes) -> Reply | str | None:
    """The reply, or the code of the unknown outcome."""
    try:
        return read(*([data] if data else []))
    except OutcomeUnknown as unknown:
        return unknown.code


def coded(body: bytes, coding: bytes) -> bytes:
    return ok(body, b"Content-Encoding: " + coding)


GOOD = {
    "sized": ok(b"body"),
    "until the end": b"HTTP/1.1 200 OK\r\n\r\nbody",
    "HTTP/1.0 without a reason": b"HTTP/1.0 200\r\nContent-Length: 4\r\n\r\nbody",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 4\n\nbody",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n3;x=y\r\nody\r\n0\r\n\r\n",
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\nbody\r\n0\r\nA: b\r\n\r\n",
    "after 100": b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"body"),
    "after 103 and 100": b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 100\r\n\r\n" + ok(b"body"),
    "gzip": coded(gzip.compress(b"body", mtime=0), b"gzip"),
    "gzip in two members": coded(gzip.compress(b"bo", mtime=0) + gzip.compress(b"dy", mtime=0), b"gzip"),
    "deflate": coded(zlib.compress(b"body"), b"deflate"),
    "raw deflate": coded(RAW_DEFLATE, b"deflate"),
    "the same length twice": ok(b"body", b"Content-Length: 4"),
}


@pytest.mark.parametrize("reply", GOOD.values(), ids=GOOD.keys())
def test_a_good_reply_is_read_whatever_its_form(reply: bytes) -> None:
    found = read(reply)
    assert found is not None
    assert (found.status, found.body) == (200, b"body")
    assert "content-encoding" not in found.headers


@given(st.sampled_from(sorted(GOOD)), st.lists(st.integers(0, 200), max_size=8))
def test_where_it_is_cut_into_pieces_makes_no_difference(name: str, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), 10_000]
    pieces = [GOOD[name][a:b] for a, b in pairwise(places)]
    assert read(*(piece for piece in pieces if piece)) == read(GOOD[name])


@given(st.sampled_from(sorted(GOOD)), st.integers(0, 400))
def test_a_reply_cut_short_is_never_taken_for_a_whole_one(name: str, at: int) -> None:
    part = GOOD[name][:at]
    if name == "until the end" or part == GOOD[name]:
        return  # nothing says how long it should be
    assert attempt(part) in ("cut_reply", read(GOOD[name]))  # the latter: only bytes after it were missing


@given(st.binary(max_size=300))
def test_noise_is_an_unknown_outcome_and_nothing_worse(noise: bytes) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        found = attempt(start + noise)
        assert isinstance(found, Reply) or found in {"malformed_reply", "cut_reply", "oversize_reply"}


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_does_not_wait_for_one(status: int) -> None:
    assert read(b"HTTP/1.1 %d X\r\nContent-Length: 9\r\n\r\n" % status, end=False) == Reply(
        status, {"content-length": "9"}, b""
    )


def test_a_reply_to_head_has_no_body() -> None:
    found = read(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", method="HEAD", end=False)
    assert found is not None
    assert found.body == b""


def test_an_error_status_is_a_reply() -> None:
    found = read(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", end=False)
    assert found == Reply(503, {"retry-after": "7", "content-length": "0"}, b"")


def test_a_body_that_is_not_json_is_still_a_reply() -> None:
    found = read(ok(b"<html>"))
    assert found is not None
    assert found.json() == {}


def test_header_names_are_lower_case_and_repeated_ones_are_joined() -> None:
    found = read(ok(b"", b"Link: <a>", b"LINK: <b>", b"X-N: \xe9 "))
    assert found is not None
    assert (found.headers["link"], found.headers["x-n"]) == ("<a>, <b>", "é")


def test_bytes_after_the_reply_are_ignored() -> None:
    assert read(ok(b"body") + b"HTTP/1.1 500 Late\r\n\r\n") == read(ok(b"body"))


@pytest.mark.parametrize(
    "reply",
    [
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 099 X\r\n\r\n",
        b"HTTP/1.1 2000 X\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4, 5\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nContent-Length: four\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nbody\r\n0\r\n\r\n",
        coded(b"not gzip at all", b"gzip"),
    ],
)
def test_what_is_no_proper_reply_is_an_unknown_outcome(reply: bytes) -> None:
    assert why(reply) == "malformed_reply"


def test_a_body_longer_than_the_cap_is_refused_at_its_announcement() -> None:
    assert (
        why(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (BODY_CAP + 1), end=False) == "oversize_reply"
    )
    chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (BODY_CAP + 1)
    assert why(chunk, end=False) == "oversize_reply"


def test_a_body_without_an_announced_length_is_refused_at_the_cap() -> None:
    assert why(b"HTTP/1.1 200 OK\r\n\r\n", *[bytes(1 << 20)] * 9, end=False) == "oversize_reply"


def test_a_body_of_exactly_the_cap_is_read() -> None:
    found = read(ok(bytes(BODY_CAP)), end=False)
    assert found is not None
    assert len(found.body) == BODY_CAP


@pytest.mark.parametrize(
    "endless",
    [
        b"A: b\r\n",
        b"x" * 40,
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_endless_headers_are_refused(endless: bytes) -> None:
    start = b"" if endless.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n"
    assert why(start, *[endless * 100] * (HEAD_CAP // len(endless) // 100 + 2), end=False) == "oversize_reply"


def test_endless_trailers_and_chunk_extensions_are_refused() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert why(chunked + b"0\r\n", *[b"A: b\r\n" * 100] * 200, end=False) == "oversize_reply"
    assert why(chunked, *[b"1;" + b"x" * 100 + b"\r\nb\r\n"] * 700, end=False) == "oversize_reply"
    assert why(chunked, *[b"1" * 1000] * 70, end=False) == "oversize_reply"


@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
def test_a_bomb_is_refused_once_it_passes_the_cap(coding: bytes) -> None:
    bomb = bytes(20 << 20)
    packed = gzip.compress(bomb) if coding == b"gzip" else zlib.compress(bomb)
    assert len(packed) < 100_000
    assert why(coded(packed, coding)) == "oversize_reply"


def test_a_compressed_body_that_ends_early_is_cut() -> None:
    assert why(coded(gzip.compress(b"body" * 100)[:-4], b"gzip")) == "cut_reply"


def test_a_coding_we_cannot_read_leaves_the_body_and_says_so() -> None:
    found = read(coded(b"\x1b", b"br"))
    assert found is not None
    assert (found.body, found.headers["content-encoding"]) == (b"\x1b", "br")
