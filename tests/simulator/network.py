"""The simulated network: connections that fail, bytes that arrive or do not, replies that come late."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from scheduler.errors import NotSent
from scheduler.transport.wire import Origin

from .borrowed import HUNG, IN, OUT
from .world import Process, World

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Asked:
    """A whole HTTP request as it arrives."""

    process: Process
    method: str
    host: str
    path: str
    token: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a platform answers, and when; `at` is NEVER where no reply comes. `cut`: only half of it."""

    at: float
    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False

    def raw(self) -> bytes:
        """The bytes on the wire."""
        if self.cut:
            return b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"
        body = json.dumps(self.body).encode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return f"HTTP/1.1 {self.status} OK\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Internet(Protocol):
    """Whoever takes requests."""

    def first_byte(self, asked: Asked) -> None:
        """The first byte of a request leaves."""
        ...

    def answer(self, asked: Asked) -> Answer:
        """A whole request has arrived."""
        ...


class Sock:
    """A connection. It is what `Exchange`, `poll` and selectors touch of a socket."""

    def __init__(self, world: World, internet: Internet, process: Process, host: str, number: int) -> None:
        self.world, self.internet, self.process, self.host = world, internet, process, host
        self._number = number
        world.sockets[number] = self
        self._sent = bytearray()
        self._reply: Answer | None = None
        self._given = 0
        self._open = True
        self._dies_at = world.now + world.dice.random() * 8 if world.happens("connection_dies") else NEVER

    def fileno(self) -> int:
        return self._number

    def setblocking(self, _: bool) -> None:
        pass

    def close(self) -> None:
        self._open = False

    @property
    def _dead(self) -> bool:
        return not self._sent and self.world.now >= self._dies_at

    def ready(self) -> int:
        """What a poll would say of it now."""
        readable = self._dead or (self._reply is not None and self.world.now >= self._reply.at)
        return OUT | (IN if readable else 0) | (HUNG if self._dead else 0)

    def next(self) -> float:
        """When `ready` will say more than it does now."""
        return self._reply.at if self._reply is not None else self._dies_at

    def send(self, piece: bytes | memoryview) -> int:
        """Hand over bytes; the last one makes the platform act."""
        world = self.world
        world.may_die("a byte is to be written")
        if self._dead:
            raise ConnectionResetError(104, "the peer closed it")
        first = not self._sent
        begun = bytes(piece)
        half = first and len(begun) > 1 and world.dice.random() > 0.95
        taken = begun[: len(begun) // 2] if half else begun
        self._sent += taken
        asked = _parse(self.process, self.host, bytes(self._sent))
        if first:
            self.internet.first_byte(
                _parse(self.process, self.host, begun) or Asked(self.process, "", "", "", "", {})
            )
        if asked is not None and self._reply is None:
            self._reply = self.internet.answer(asked)
        world.may_die("a byte was written")
        return len(taken)

    def recv(self, size: int) -> bytes:
        """Bytes of the reply; nothing at its end."""
        if self._dead:
            return b""
        if self._reply is None or self.world.now < self._reply.at:
            raise BlockingIOError
        raw = self._reply.raw()
        piece, self._given = raw[self._given : self._given + size], len(raw)
        return piece


def _parse(process: Process, host: str, raw: bytes) -> Asked | None:
    """The request, None while it is not whole."""
    head, mark, body = raw.partition(b"\r\n\r\n")
    if not mark:
        return None
    first, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if len(body) < int(headers.get("content-length", "0")):
        return None
    method, path, _ = first.split(" ")
    token = headers.get("authorization", "").removeprefix("Bearer ")
    return Asked(process, method, host, path, token, json.loads(body) if body else {})


class Dialer:
    """Opens connections, or fails to before anything was sent."""

    def __init__(self, world: World, internet: Internet) -> None:
        self._world, self._internet = world, internet
        self._numbers = iter(range(100, 10**9))

    def dial(self, origin: Origin, seconds: float) -> Any:
        """A connected socket. Raises NotSent."""
        world = self._world
        assert world.current is not None
        process = world.current.process
        world.step("a connection is opened")
        if world.happens("dns_fails"):
            raise NotSent("dns", f"the name of {origin} was not found")
        if world.happens("connect_fails"):
            world.sleep(world.dice.choice((0.01, seconds)))
            raise NotSent("connect_refused", f"{origin} refused the connection")
        if world.happens("tls_fails"):
            raise NotSent("tls", f"{origin}: the handshake failed")
        world.sleep(world.dice.random() * 0.08)
        return Sock(world, self._internet, process, origin.host, next(self._numbers))

    def close(self) -> None:
        pass
