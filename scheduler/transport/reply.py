"""Reading a reply from bytes as they arrive: no socket, no clock, every limit in one place."""

from __future__ import annotations

import re
import zlib
from typing import Literal

from scheduler.domain.publisher import Reply
from scheduler.errors import OutcomeUnknown

BODY_CAP = 8 * 1024 * 1024  # bytes, on the wire and decompressed alike (a 200 MB gzip bomb took 431 MB)
HEAD_CAP = 64 * 1024  # bytes of all header sections together, 100-continue and trailers included

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: .*)?")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")

_Stage = Literal["head", "sized", "size", "chunk", "chunk-end", "trailers", "until-close", "done"]


class ReplyReader:
    """One HTTP/1.x reply. Feed it what was received; `reply` is there once it is whole.

    `feed` and `end` raise OutcomeUnknown (`malformed_reply`, `oversize_reply`, `cut_reply`): the
    request had been written, so whatever is wrong with the reply, the post may be out.
    """

    __slots__ = ("_body", "_buffer", "_headers", "_heads", "_left", "_method", "_stage", "_status", "reply")

    def __init__(self, method: str) -> None:
        self._method = method
        self._buffer = bytearray()
        self._body = bytearray()
        self._headers: dict[str, str] = {}
        self._status = 0
        self._left = 0
        self._heads = 0
        self._stage: _Stage = "head"
        self.reply: Reply | None = None

    @property
    def begun(self) -> bool:
        """Whether any byte of the reply has arrived."""
        return bool(self._buffer) or self._status > 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes from the server (not empty)."""
        self._buffer += data
        while self._buffer and self._stage != "done" and self._step():
            pass

    def end(self) -> None:
        """The server closed the connection."""
        if self._stage == "until-close":
            self._finish()
        if self._stage != "done":
            raise OutcomeUnknown("cut_reply", "the connection ended before the whole reply was read")

    def _step(self) -> bool:
        """Go on by one piece; False = more bytes are needed."""
        match self._stage:
            case "head":
                return self._read_head()
            case "size":
                return self._read_size()
            case "chunk-end" | "trailers":
                return self._read_line_end()
            case "until-close":
                self._take(len(self._buffer))
                return False
            case _:
                taken = min(self._left, len(self._buffer))
                self._take(taken)
                self._left -= taken
                if self._left == 0:
                    self._after_sized()
                return self._left == 0

    def _take(self, count: int) -> None:
        self._body += self._buffer[:count]
        del self._buffer[:count]
        if len(self._body) > BODY_CAP:
            raise _oversize()

    def _after_sized(self) -> None:
        if self._stage == "chunk":
            self._stage = "chunk-end"
        else:
            self._finish()

    def _line(self) -> bytes | None:
        """The next line without its end, or None while it has not arrived."""
        at = self._buffer.find(b"\n")
        if at < 0:
            if self._heads + len(self._buffer) > HEAD_CAP:
                raise _oversize()
            return None
        line = bytes(self._buffer[:at]).removesuffix(b"\r")
        del self._buffer[: at + 1]
        return line

    def _read_head(self) -> bool:
        ends = [at + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (at := self._buffer.find(mark)) >= 0]
        if self._heads + (min(ends) if ends else len(self._buffer)) > HEAD_CAP:
            raise _oversize()
        if not ends:
            return False
        self._heads += min(ends)
        first, *lines = bytes(self._buffer[: min(ends)]).rstrip(b"\r\n").split(b"\n")
        del self._buffer[: min(ends)]
        status = _STATUS.fullmatch(first.rstrip(b"\r"))
        if status is None:
            raise _malformed("the first line is no HTTP status")
        if int(status[1]) == 101:
            raise _malformed("the server wants to leave HTTP")
        if int(status[1]) < 200:
            return True  # 100-continue and its like: the real reply follows
        self._status = int(status[1])
        self._headers = _headers(lines)
        self._choose_body()
        return True

    def _choose_body(self) -> None:
        if self._method == "HEAD" or self._status in (204, 304):
            self._finish()
        elif "transfer-encoding" in self._headers:
            if self._headers["transfer-encoding"].lower() != "chunked":
                raise _malformed("a transfer encoding we did not ask for")
            self._stage = "size"
        elif "content-length" in self._headers:
            lengths = {part.strip() for part in self._headers["content-length"].split(",")}
            length = lengths.pop()
            if lengths or not re.fullmatch(r"[0-9]{1,15}", length):
                raise _malformed("the length of the body is not one number")
            self._left = int(length)
            if self._left > BODY_CAP:
                raise _oversize()
            self._stage = "sized"
            if self._left == 0:
                self._finish()
        else:
            self._stage = "until-close"

    def _read_size(self) -> bool:
        line = self._line()
        if line is None:
            return False
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise _malformed("a chunk's size is no number")
        self._left = int(match[1], 16)
        if self._left + len(self._body) > BODY_CAP:
            raise _oversize()
        self._count(len(line))  # endless extensions, and millions of tiny chunks, count as headers
        self._stage = "chunk" if self._left else "trailers"
        return True

    def _read_line_end(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if self._stage == "chunk-end":
            if line:
                raise _malformed("a chunk is longer than it says")
            self._stage = "size"
        elif not line:
            self._finish()
        else:
            self._count(len(line))
        return True

    def _count(self, size: int) -> None:
        self._heads += size
        if self._heads > HEAD_CAP:
            raise _oversize()

    def _finish(self) -> None:
        coding = self._headers.get("content-encoding", "identity").lower()
        body = bytes(self._body)
        if coding in ("gzip", "x-gzip", "deflate"):
            body = _inflate(body, coding)
            del self._headers["content-encoding"]
        self._stage = "done"
        self._body.clear()
        self.reply = Reply(self._status, self._headers, body)


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, raw = line.partition(b":")
        if not colon or not _NAME.fullmatch(name):
            raise _malformed("a header line has no name")
        key, value = name.decode("ascii").lower(), raw.strip().decode("latin-1")
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def _inflate(body: bytes, coding: str) -> bytes:
    """The decompressed body, although we asked for none; stops at the cap, not after it."""
    raw_deflate = coding == "deflate" and (len(body) < 2 or int.from_bytes(body[:2], "big") % 31 != 0)
    plain = bytearray()
    while body:  # gzip allows several members one after another
        machine = zlib.decompressobj(-zlib.MAX_WBITS if raw_deflate else zlib.MAX_WBITS | 32)
        try:
            plain += machine.decompress(body, BODY_CAP + 1 - len(plain))
        except zlib.error:
            raise _malformed("the compressed body is damaged") from None
        if len(plain) > BODY_CAP:
            raise _oversize()
        if not machine.eof:
            raise OutcomeUnknown("cut_reply", "the compressed body ends too early")
        body = machine.unused_data
    return bytes(plain)


def _malformed(why: str) -> OutcomeUnknown:
    return OutcomeUnknown("malformed_reply", why)


def _oversize() -> OutcomeUnknown:
    return OutcomeUnknown("oversize_reply", f"more than {BODY_CAP // 2**20} MB, or endless headers")
