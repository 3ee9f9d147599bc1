"""HTTP/1.1 as values: a request as it arrived, a reply as bytes, and the strict reading of both ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

MAX_HEAD = 64 * 1024
MAX_BODY = 10 * 1024 * 1024


@dataclass(slots=True)
class Incoming:
    """One request as it arrived; header names are lower-case, `arrived_ns` is its first byte."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    arrived_ns: int
    trick: Mapping[str, Any] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """The bearer token, or nothing."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    @property
    def mime(self) -> str:
        """The content type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply: a JSON value, or bytes as they are."""

    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()

    def wire(self, *, head: bool = False, close: bool = False) -> bytes:
        """The reply as bytes; `head` leaves the body out, as the answer to HEAD must."""
        raw = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {phrase}"]
        named = {name.lower() for name, _ in self.headers}
        lines.append(f"Date: {formatdate(usegmt=True)}")
        if "content-type" not in named:
            lines.append("Content-Type: application/json; charset=utf-8")
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append(f"Content-Length: {len(raw)}")
        lines.append("Connection: close" if close else "Connection: keep-alive")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head else raw)


class Refused(Exception):
    """Raised by a platform's rule; carries the reply it gives."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Malformed(Exception):
    """The bytes are no HTTP request that we take; the connection is answered and closed."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def head_of(raw: bytes) -> tuple[str, str, str, dict[str, str]]:
    """Method, target, version and headers (lower-case names). Raises Malformed."""
    try:
        first, *lines = raw.decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
    except ValueError:
        raise Malformed(400, "the request line is not METHOD TARGET VERSION") from None
    if not method.isalpha() or not target.startswith("/") or version not in ("HTTP/1.0", "HTTP/1.1"):
        raise Malformed(400, "the request line is not one of HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip():
            raise Malformed(400, "a header line is malformed")
        if name in ("content-length", "host", "transfer-encoding") and name in headers:
            raise Malformed(400, f"{name} is given twice")
        headers[name] = value.strip()
    if version == "HTTP/1.1" and "host" not in headers:
        raise Malformed(400, "the Host header is missing")
    if "content-length" in headers and "transfer-encoding" in headers:
        raise Malformed(400, "Content-Length and Transfer-Encoding are both given")
    return method, target, version, headers


def chunks_of(buffer: bytearray, at: int) -> tuple[bytes | None, int]:
    """A chunked body from `at` on and where it ends; None while it is not whole. Raises Malformed."""
    body = bytearray()
    while True:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None, at
        try:
            size = int(bytes(buffer[at:end]).partition(b";")[0], 16)
        except ValueError:
            raise Malformed(400, "a chunk has no size") from None
        if size < 0 or len(body) + size > MAX_BODY:
            raise Malformed(413, "the body is larger than 10 MB")
        at = end + 2 + size + 2
        if len(buffer) < at:
            return None, at
        if buffer[at - 2 : at] != b"\r\n":
            raise Malformed(400, "a chunk does not end where it says")
        if size == 0:
            return bytes(body), at
        body += buffer[end + 2 : at - 2]
