"""The benchmark's server: one process, one epoll loop, stamps first bytes before it does anything else.

Replies wait until nothing has arrived for `grace` seconds, so that answering one request does not
delay the stamp of another. `grace` is 0 for clients that need a reply before they send the next request.
"""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import select
import socket
import time
from collections import deque
from multiprocessing.connection import Connection

from scheduler.transport.room import make_room
from tests.bench.campaign import WORDS

_BODY = json.dumps(
    {"id": "114", "url": "https://mastodon.example/@force/114", "content": WORDS, "media_attachments": []}
).encode()
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(_BODY)


class StampingServer:
    """Starts the process; `url` is its address. Use with `with`."""

    def __init__(self, most: int) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        context = multiprocessing.get_context("spawn")
        self._control, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(listener, theirs, most), daemon=True)
        self._process.start()
        listener.close()
        theirs.close()

    def __enter__(self) -> StampingServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._control.send(None)
        self._process.join(10)
        self._control.close()

    def clear(self, grace: float) -> None:
        """Forget all stamps; answer from now on after `grace` seconds of silence."""
        self._control.send(grace)
        self._control.recv()

    def stamps(self) -> list[int]:
        """Arrival of each request's first byte since `clear`, unix nanoseconds."""
        self._control.send("stamps")
        stamps: list[int] = self._control.recv()
        return stamps


def serve(listener: socket.socket, control: Connection, most: int) -> None:
    """The server process."""
    gc.disable()
    make_room(most)
    listener.setblocking(False)
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    epoll.register(control, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    reading: dict[int, bytes] = {}
    waiting: deque[int] = deque()
    stamps: list[int] = []
    grace = 0.0
    while True:
        events = epoll.poll(grace if waiting else None)
        if not events:
            _answer(waiting.popleft(), clients, reading)
            # One reply at a time, then look whether something has arrived that wants a stamp.
            while waiting and not (events := epoll.poll(0)):
                _answer(waiting.popleft(), clients, reading)
        for number, _ in events:
            if client := clients.get(number):
                now = time.time_ns()
                try:
                    data = client.recv(65536)
                except OSError:
                    data = b""
                if not data:
                    del clients[number]
                    reading.pop(number, None)
                    client.close()
                    continue
                if number not in reading:
                    stamps.append(now)
                reading[number] = reading.get(number, b"") + data
                if _whole(reading[number]):
                    waiting.append(number)
            elif number == listener.fileno():
                with contextlib.suppress(BlockingIOError):
                    while True:
                        client, _ = listener.accept()
                        clients[client.fileno()] = client
                        epoll.register(client, select.EPOLLIN)
            else:
                command = control.recv()
                if command is None:
                    return
                if command == "stamps":
                    control.send(stamps)
                else:
                    grace = command
                    control.send(True)
                stamps = []


def _whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
    return bool(end) and len(body) >= int(length or b"0")


def _answer(number: int, clients: dict[int, socket.socket], reading: dict[int, bytes]) -> None:
    data = reading.pop(number, None)
    client = clients.get(number)
    if client is None or data is None:
        return
    last = b"connection: close" in data.lower()
    with contextlib.suppress(OSError):
        client.sendall(_HEAD + (b"Connection: close\r\n\r\n" if last else b"\r\n") + _BODY)
    if last:
        del clients[number]
        client.close()
