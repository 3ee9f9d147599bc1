"""A TCP proxy for tests that fails on purpose: each connection meets the next fault of its script.

| fault   | what the client sees                              | what the server has received |
|---------|---------------------------------------------------|------------------------------|
| `pass`  | the server's reply                                | the request                  |
| `drop`  | the connection closes, no reply                   | nothing                      |
| `reset` | a TCP reset once it has written something         | nothing                      |
| `cut`   | the connection closes instead of the reply        | the request, and it answered |
| `half`  | the first `half` bytes of the reply, then the end | the request, and it answered |
| `kill`  | a TCP reset instead of the reply                  | the request, and it answered |
| `delay` | no reply until `release()`                        | the request, and it answered |
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Iterable
from typing import Literal, get_args

Fault = Literal["pass", "drop", "reset", "cut", "half", "kill", "delay"]


class CutProxy:
    """Listens on 127.0.0.1 and forwards to `target`; `script` first, then `always`. Use with `with`.

    `seen` lists the fault each connection met, in order of their arrival.
    """

    def __init__(
        self,
        target: tuple[str, int],
        script: Iterable[Fault] = (),
        *,
        always: Fault = "pass",
        half: int = 20,
    ) -> None:
        self._target = target
        self._script = list(script)
        self._half = half
        self.always: Fault = always
        self.seen: list[Fault] = []
        self._released = threading.Event()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listening = threading.Thread(target=self._accept, daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> CutProxy:
        self._listening.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._released.set()
        # Closing a listener does not wake accept(); a connection does.
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            pass
        self._listening.join(10)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def script(self, *faults: Fault) -> None:
        """What the next connections will meet, one each."""
        assert set(faults) <= set(get_args(Fault))
        self._script.extend(faults)

    def release(self) -> None:
        """Let delayed replies go, those held now and those to come."""
        self._released.set()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._closing.is_set():
                client.close()
                return
            fault: Fault = self._script.pop(0) if self._script else self.always
            self.seen.append(fault)
            self._threads.append(threading.Thread(target=self._serve, args=(client, fault), daemon=True))
            self._threads[-1].start()

    def _serve(self, client: socket.socket, fault: Fault) -> None:
        with client, contextlib.suppress(OSError):
            if fault in ("drop", "reset"):
                while not self._readable(client):
                    if self._closing.is_set():
                        return
                if fault == "reset":
                    _reset(client)
                else:
                    _drain(client)
                return
            with socket.create_connection(self._target, 10) as server:
                self._relay(client, server, fault)

    def _relay(self, client: socket.socket, server: socket.socket, fault: Fault) -> None:
        """Both ways until one side ends; the fault strikes at the first bytes of the reply."""
        while not self._closing.is_set():
            ready, _, _ = select.select([client, server], [], [], 0.2)
            if client in ready:
                data = client.recv(65536)
                if not data:
                    return
                server.sendall(data)
            if server in ready:
                data = server.recv(65536)
                if not data:
                    return
                if fault == "delay":
                    self._released.wait()
                elif fault == "kill":
                    _reset(client)
                    return
                elif fault in ("cut", "half"):
                    client.sendall(data[: self._half] if fault == "half" else b"")
                    _drain(client)
                    return
                client.sendall(data)

    @staticmethod
    def _readable(sock: socket.socket) -> bool:
        return bool(select.select([sock], [], [], 0.2)[0])


def _reset(sock: socket.socket) -> None:
    """Close with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def _drain(sock: socket.socket) -> None:
    """Close with FIN: unread bytes would turn the close into a reset."""
    sock.shutdown(socket.SHUT_WR)
    sock.settimeout(2)
    with contextlib.suppress(OSError):
        while sock.recv(65536):
            pass
