"""The HTTP/1.1 that all simulated platforms speak: one loop, no thread per connection.

The first byte of a request is stamped in `buffer_updated`, before anything else is done with it, and
handling waits until the wire is quiet: a burst of a thousand arrivals is stamped before the first of
them is answered, so that the stamps measure the sender and not this server.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

from scheduler.publishers.simulated.wire import (
    MAX_BODY,
    MAX_HEAD,
    Answer,
    Incoming,
    Malformed,
    chunks_of,
    head_of,
)

QUIET_NS = 1_000_000  # no byte for this long: the burst is over
PATIENCE_NS = 100_000_000  # but nobody waits longer than this for quiet
_INBOX = bytearray(128 * 1024)


class Turns:
    """Lets connections take their turn one at a time, and only when the wire is quiet."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[int, Connection]] = deque()
        self.last_ns = 0
        self.running = False

    def ask(self, connection: Connection, now_ns: int) -> None:
        """Remember that this connection has bytes to look at, the latest of which came at `now_ns`."""
        self.last_ns = max(self.last_ns, now_ns)
        self.waiting.append((now_ns, connection))
        if not self.running:
            self.running = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        if not self.waiting:
            self.running = False
            return
        loop = asyncio.get_running_loop()
        now = time.time_ns()
        asked, connection = self.waiting[0]
        if now - self.last_ns < QUIET_NS and now - asked < PATIENCE_NS:
            loop.call_later(QUIET_NS / 1e9, self._next)
            return
        self.waiting.popleft()
        try:
            connection.advance()
        finally:
            loop.call_soon(self._next)


class Connection(asyncio.BufferedProtocol):
    """One client: stamps, parses, hands whole requests to `handle`, and writes what it is told."""

    def __init__(self, platform: str, turns: Turns, handle: Callable[[Connection, Incoming], None]) -> None:
        self.platform = platform
        self.turns = turns
        self.handle = handle
        self.transport: asyncio.Transport | None = None
        self.buffer = bytearray()
        self.first_ns = 0  # first byte of the request at the head of the buffer
        self.latest_ns = 0
        self.busy = False  # a request is being answered; later ones wait in the buffer
        self.continued = False
        self.head_only = False
        self.last = False
        self.no_more = False  # the client has closed its half
        self.silent = False  # this client will never be answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; small replies must not wait for Nagle."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where the next bytes go: one place for all, as one loop reads them one after another."""
        return _INBOX

    def buffer_updated(self, nbytes: int) -> None:
        """Stamp, keep, and queue for a turn: nothing else may happen here."""
        now = time.time_ns()
        self.latest_ns = now
        if not self.buffer:
            self.first_ns = now
        self.buffer += memoryview(_INBOX)[:nbytes]
        self.turns.ask(self, now)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing can be written any more; a whole request that arrived is done all the same.

        A sender that is killed after its last byte must find its posts on the platform, as it would on a
        real one.
        """
        self.transport = None

    def eof_received(self) -> bool:
        """The client sends no more: what it sent is still answered, unless nobody ever will."""
        self.no_more = True
        return not self.silent and (self.busy or bool(self.buffer))

    def advance(self) -> None:
        """Read one request from the buffer, if it is whole, and hand it on."""
        if self.busy:
            return
        try:
            incoming = self._parse()
        except Malformed as wrong:
            self.last = True
            self.answer(Answer(wrong.status, {"error": str(wrong)}))
            return
        if incoming is not None:
            self.busy = True
            self.handle(self, incoming)
        elif self.no_more:
            self.drop()

    def _parse(self) -> Incoming | None:
        while self.buffer[:2] == b"\r\n":
            del self.buffer[:2]
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self.buffer) > MAX_HEAD:
                raise Malformed(431, "the head of the request is too large")
            return None
        method, target, version, headers = head_of(bytes(self.buffer[:end]))
        body, used = self._body(headers, end + 4)
        if body is None:
            return None
        del self.buffer[:used]
        parts = urlsplit(target)
        stamp, self.first_ns = self.first_ns, self.latest_ns
        self.continued = False
        self.head_only = method == "HEAD"
        wish = headers.get("connection", "").lower()
        self.last = wish == "close" or (version == "HTTP/1.0" and wish != "keep-alive")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return Incoming(method, unquote(parts.path), query, headers, body, stamp)

    def _body(self, headers: Mapping[str, str], start: int) -> tuple[bytes | None, int]:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body, used = chunks_of(self.buffer, start)
        else:
            length = headers.get("content-length", "0")
            if not (length.isascii() and length.isdigit()):
                raise Malformed(400, "the Content-Length is not a number")
            if int(length) > MAX_BODY:
                raise Malformed(413, "the body is larger than 10 MB")
            used = start + int(length)
            body = bytes(self.buffer[start:used]) if len(self.buffer) >= used else None
        if body is None and not self.continued and headers.get("expect", "").lower() == "100-continue":
            self.continued = True
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return body, used

    def _write(self, raw: bytes) -> None:
        if self.transport is not None:
            self.transport.write(raw)

    def _wire(self, answer: Answer) -> bytes:
        return answer.wire(head=self.head_only, close=self.last)

    def _finish(self) -> None:
        self.busy = False
        if self.last:
            self.drop()
        elif self.buffer or self.no_more:
            self.turns.ask(self, self.turns.last_ns)

    def answer(self, answer: Answer) -> None:
        """Write the whole reply and take the next request."""
        self._write(self._wire(answer))
        self._finish()

    def drop(self) -> None:
        """Close in order (FIN) after what was written."""
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """Close with RST: the peer learns nothing, and loses what it had not read."""
        if self.transport is None:
            return
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def cut(self, answer: Answer) -> None:
        """Write half of the reply and close."""
        raw = self._wire(answer)
        self._write(raw[: len(raw) // 2])
        self.drop()

    def trickle(self, answer: Answer, gap_s: float) -> None:
        """Write the reply one byte at a time."""
        loop = asyncio.get_running_loop()
        raw = self._wire(answer)

        def one(at: int) -> None:
            if self.transport is None:
                return
            if at == len(raw):
                self._finish()
                return
            self._write(raw[at : at + 1])
            loop.call_later(gap_s, one, at + 1)

        one(0)
