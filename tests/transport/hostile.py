"""A server whose behaviour is a function of the connection; it remembers every request it read."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

CERTS = Path(__file__).parent / "certs"
AUTHORITY = CERTS / "authority.pem"
LOOPBACK = CERTS / "loopback.pem"
ELSEWHERE = CERTS / "elsewhere.pem"

Behaviour = Callable[["HostileServer", socket.socket], None]


class Serve(Protocol):
    """Start a server; the fixture stops it."""

    def __call__(self, behaviour: Behaviour, *, certificate: Path | None = None) -> HostileServer: ...


class HostileServer:
    """Listens on 127.0.0.1; `behaviour(server, connection)` runs in a thread per connection.

    `requests` are the whole requests read by `read`; `release` is set when the test wants those who
    stall to go on, and always at the end.
    """

    def __init__(self, behaviour: Behaviour, *, certificate: Path | None = None) -> None:
        self._behaviour = behaviour
        self._context: ssl.SSLContext | None = None
        if certificate:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self.requests: list[bytes] = []
        self.accepted = threading.Semaphore(0)  # one release per connection
        self.struck = threading.Semaphore(0)  # one release per finished behaviour
        self.release = threading.Event()
        self._ending = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self._threads: list[threading.Thread] = []
        self._main = threading.Thread(target=self._accept, daemon=True)
        self._main.start()

    def stop(self) -> None:
        """End every thread and close every socket."""
        self.release.set()
        self.stop_accepting_and_wait()
        self._listener.close()

    def stop_accepting_and_wait(self) -> None:
        """Wait until every connection accepted so far has been dealt with; `stop` may follow."""
        if self._main.is_alive():
            self._ending = True
            with socket.create_connection(("127.0.0.1", self.port), 5):
                self._main.join(10)
        for thread in self._threads:
            thread.join(10)

    def read(self, connection: socket.socket) -> bytes:
        """One whole request (head, and a body of its Content-Length)."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += _more(connection)
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or b"0")
        chunks = [body]
        while sum(map(len, chunks)) < length:
            chunks.append(_more(connection))
        self.requests.append(head + b"\r\n\r\n" + b"".join(chunks))
        return self.requests[-1]

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._ending:
                connection.close()
                return
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), contextlib.ExitStack() as stack:
            stack.callback(self.struck.release)
            stack.callback(connection.close)
            if self._context:
                wrapped = self._context.wrap_socket(connection, server_side=True)
                stack.callback(wrapped.close)
                connection = wrapped
            self.accepted.release()
            self._behaviour(self, connection)


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 20)
    if not data:
        raise EOFError
    return data


def answering(reply: bytes) -> Behaviour:
    """Reads the request, sends these bytes, closes."""

    def behave(server: HostileServer, connection: socket.socket) -> None:
        server.read(connection)
        connection.sendall(reply)

    return behave


def ok(body: bytes = b'{"id":"1"}', *headers: bytes) -> bytes:
    """A good reply."""
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def reset(connection: socket.socket) -> None:
    """Close with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def resetting_at_once(server: HostileServer, connection: socket.socket) -> None:
    """Resets before it has read a byte."""
    reset(connection)


def resetting_after_request(server: HostileServer, connection: socket.socket) -> None:
    """Takes the request, then resets: it may have published."""
    server.read(connection)
    reset(connection)


def stalling(server: HostileServer, connection: socket.socket) -> None:
    """Takes the request and says nothing."""
    server.read(connection)
    server.release.wait()


def trickling(server: HostileServer, connection: socket.socket) -> None:
    """Sends a byte of an endless header every few milliseconds: no single read ever times out."""
    server.read(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not server.release.wait(0.005):
        connection.sendall(b"a")


def not_reading(server: HostileServer, connection: socket.socket) -> None:
    """Accepts and never reads: the socket buffers fill."""
    server.release.wait()
