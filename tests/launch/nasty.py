"""Simulated platforms behind a front that mistreats every reply in a way of its own.

The front reads each request whole, knows the account by its token, hands the request on (or not), and then
answers as badly as its account's trick says: once for each account, at the step that is tried.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scheduler.publishers.simulated import process

Trick = Callable[["Front", socket.socket, bytes], None]
PUBLISH = re.compile(rb"POST \S*(/api/v1/statuses|/2/tweets|/feed|putRecord)[ ?]")
SESSION = re.compile(rb'"identifier":"([a-z0-9-]+)\.example"')
TOKEN = re.compile(rb"Bearer (?:sim:)?([a-z0-9-]+)/")


@dataclass
class Front:
    """One listener for each platform, before the simulated one. `step`: publish, arm or look."""

    folder: Path
    tricks: Mapping[str, tuple[Trick, bool]]  # organisation → what it does, and whether the post is made
    step: str
    release: threading.Event = field(default_factory=threading.Event)
    trap_hits: list[bytes] = field(default_factory=list)
    struck: set[str] = field(default_factory=set)
    published: set[str] = field(default_factory=set)
    sessions: dict[bytes, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _listeners: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.behind = process.start(self.folder / "behind")
        self.trap = self._listen(self._spring)
        self.servers = {}
        for platform, address in self.behind.servers.items():
            port = int(address.rpartition(":")[2])
            serve = self._serving(platform, port)
            self.servers[platform] = f"http://127.0.0.1:{self._listen(serve)}"

    def stop(self) -> None:
        """End everything."""
        self.release.set()
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.behind.stop()

    def _listen(self, serve: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listeners.append(listener)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(connection,), daemon=True).start()

        def one(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError, EOFError):
                serve(connection)

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])

    def _spring(self, connection: socket.socket) -> None:
        """Whoever comes here has followed a redirect."""
        self.trap_hits.append(connection.recv(65536))

    def _serving(self, platform: str, port: int) -> Callable[[socket.socket], None]:
        def serve(connection: socket.socket) -> None:
            request = _whole(connection)
            trick = self._trick(platform, request)
            if self.step == "look" and PUBLISH.match(request):
                _through(port, request)  # made, and no word of it: now it is looked for
                return
            if trick is None or trick[1]:
                reply = _through(port, request)
                self._remember(request, reply)
            else:
                reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
            if trick is None:
                connection.sendall(reply)
            else:
                trick[0](self, connection, reply)

        return serve

    def _remember(self, request: bytes, reply: bytes) -> None:
        if found := SESSION.search(request):
            with contextlib.suppress(ValueError, KeyError):
                token = json.loads(reply.partition(b"\r\n\r\n")[2])["accessJwt"].encode()
                self.sessions[token] = found[1].decode()

    def _trick(self, platform: str, request: bytes) -> tuple[Trick, bool] | None:
        """The trick of the account that asks, where this is the step and its first time."""
        found = TOKEN.search(request) or SESSION.search(request)
        organisation = found[1].decode() if found else ""
        if (bearer := re.search(rb"Bearer (\S+)\r", request)) and bearer[1] in self.sessions:
            organisation = self.sessions[bearer[1]]
        account, publishing = f"{organisation}/{platform}", bool(PUBLISH.match(request))
        with self._lock:
            was = "publish" if publishing else ("look" if account in self.published else "arm")
            if publishing:
                self.published.add(account)
            if organisation not in self.tricks or was != self.step or account in self.struck:
                return None
            self.struck.add(account)
        return self.tricks[organisation]


def _whole(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or b"0")
    while len(body) < length:
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 20)
    if not data:
        raise EOFError
    return data


def _through(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as behind:
        behind.sendall(request)
        reply = b""
        with contextlib.suppress(EOFError):
            while True:
                reply += _some(behind)
        return reply


# The tricks


def says(raw: bytes) -> Trick:
    """These very bytes, and the end."""
    return lambda front, connection, reply: connection.sendall(raw)


def body(content: bytes, status: bytes = b"200 OK", *headers: bytes) -> Trick:
    """A well-formed reply with a body that is not what it should be."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(content), *headers]
    return says(b"\r\n".join(lines) + b"\r\n\r\n" + content)


def framed(*headers: bytes) -> Trick:
    """The true body in a false frame."""

    def trick(front: Front, connection: socket.socket, reply: bytes) -> None:
        content = reply.partition(b"\r\n\r\n")[2]
        connection.sendall(b"\r\n".join((b"HTTP/1.1 200 OK", *headers)) + b"\r\n\r\n" + content)

    return trick


def reset(front: Front, connection: socket.socket, reply: bytes) -> None:
    """RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close(front: Front, connection: socket.socket, reply: bytes) -> None:
    """FIN."""


def half_close(front: Front, connection: socket.socket, reply: bytes) -> None:
    """FIN for one direction; the other one stays open."""
    connection.shutdown(socket.SHUT_WR)
    front.release.wait(20)


def cut(share: float) -> Trick:
    """So much of the reply."""
    return lambda front, connection, reply: connection.sendall(reply[: int(len(reply) * share)])


def stall(after: int) -> Trick:
    """So many bytes, and silence."""

    def trick(front: Front, connection: socket.socket, reply: bytes) -> None:
        connection.sendall(reply[:after])
        front.release.wait(20)

    return trick


def trickle(start: bytes) -> Trick:
    """A byte now and then, without end."""

    def trick(front: Front, connection: socket.socket, reply: bytes) -> None:
        connection.sendall(start)
        while not front.release.wait(0.02):
            connection.sendall(b"a")

    return trick


def flood(piece: bytes) -> Trick:
    """The same again and again, as fast as it goes."""

    def trick(front: Front, connection: socket.socket, reply: bytes) -> None:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            connection.sendall(piece * 100)

    return trick


def redirect(status: bytes) -> Trick:
    """To another host, where a trap listens."""

    def trick(front: Front, connection: socket.socket, reply: bytes) -> None:
        where = b"Location: http://127.0.0.1:%d/x" % front.trap
        connection.sendall(b"HTTP/1.1 %s\r\n%s\r\nContent-Length: 0\r\n\r\n" % (status, where))

    return trick


def ids(value: Any) -> Trick:
    """Every platform's success with an id that is none."""
    said = {"id": value, "data": {"id": value}, "uri": value, "cid": value, "content": "<p>x</p>"}
    return body(json.dumps(said).encode(), b"201 Created")


def bomb(coding: bytes) -> Trick:
    """100 MB of nothing in 100 KB."""
    plain = b"\0" * 100_000_000
    packed = gzip.compress(plain, 9) if coding == b"gzip" else zlib.compress(plain, 9)
    return body(packed, b"200 OK", b"Content-Encoding: " + coding)


ABSURD = (b"-1", b"1e308", b"NaN", b"99999999999999", b"Fri, 31 Dec 9999 23:59:59 GMT",
          b"Thu, 01 Jan 1970 00:00:00 GMT", b"\xff", b"")  # fmt: skip
TRICKS: dict[str, Trick] = {
    "reset": reset,
    "close": close,
    "half-close": half_close,
    "cut-head": cut(0.1),
    "cut-half": cut(0.5),
    "cut-end": cut(0.98),
    "stall": stall(0),
    "stall-head": stall(20),
    "trickle-head": trickle(b"HTTP/1.1 200 OK\r\nX: "),
    "trickle-body": trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n"),
    "gzip-bomb": bomb(b"gzip"),
    "deflate-bomb": bomb(b"deflate"),
    "claims-gzip": framed(b"Content-Encoding: gzip"),
    "claims-br": framed(b"Content-Encoding: br", b"Content-Length: 3"),
    **{f"r{n.decode()}": redirect(n + b" Elsewhere") for n in (b"301", b"302", b"303", b"307", b"308")},
    "ok-error": body(b'{"error":"no","errors":[{"message":"no"}]}'),
    "ok-html": body(b"<html>Please log in</html>", b"200 OK", b"Content-Type: text/html"),
    "empty-201": body(b"", b"201 Created"),
    "no-content": says(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "half-json": body(b'{"id": "1", "data": {"id"'),
    "json-null": body(b"null"),
    "json-list": body(b"[1, 2]"),
    "json-deep": body(b"[" * 200_000),
    "json-nan": body(b'{"id": NaN, "data": {"id": Infinity}}'),
    "json-number": body(b'{"id": ' + b"9" * 6000 + b"}"),
    "not-utf8": body(b'{"id": "\xff\xfe"}'),
    "length-short": framed(b"Content-Length: 5"),
    "length-long": framed(b"Content-Length: 999999"),
    "length-minus": framed(b"Content-Length: -1"),
    "length-huge": framed(b"Content-Length: 99999999999999999999"),
    "length-twice": framed(b"Content-Length: 5", b"Content-Length: 6"),
    "length-word": framed(b"Content-Length: many"),
    "chunk-word": framed(b"Transfer-Encoding: chunked"),
    "chunk-minus": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n"),
    "chunk-open": says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
    "headers": flood(b"X-Endless: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
    "flood-100": flood(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "flood-102": flood(b"HTTP/1.1 102 Processing\r\n\r\n"),
    "flood-103": flood(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    "switch-101": says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"),
    "http09": says(b"<html>hello</html>"),
    "http2": says(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"),
    "status-999": says(b"HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n"),
    "status-word": says(b"HTTP/1.1 fine\r\n\r\n"),
    "odd-headers": framed(b"X-\xe4: \xff", b"Set-Cookie: a=b"),
    "folded": framed(b"X: a", b" b"),
    "id-object": ids({"a": 1}),
    "id-true": ids(True),
    "id-float": ids(1.5),
    "id-empty": ids(""),
    "id-long": ids("9" * 100_000),
    "id-control": ids("1\x1b[2J\x00\n2"),
    "id-half": ids("\ud800"),
    "id-script": ids("javascript:alert(1)"),
    **{f"e{n}": body(b"<html>sorry</html>", b"%d Sorry" % n) for n in (400, 404, 408, 409, 500, 502, 504)},
    **{f"retry-{n}": body(b"{}", b"503 Later", b"Retry-After: " + when) for n, when in enumerate(ABSURD)},
}
# 429 is a definite answer, so nothing has been made.
LIMITED: dict[str, Trick] = {
    f"limit-{n}": body(b"{}", b"429 Slow down", b"Retry-After: " + when) for n, when in enumerate(ABSURD)
}
