"""Publishers that misbehave in every way we know, and one that does not."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from scheduler.domain.account import Account
from scheduler.domain.publisher import (
    Capability,
    Http,
    Outgoing,
    Prepared,
    Publisher,
    Receipt,
    Reply,
    Request,
)

TRACE = "TRACE_FOLDER"  # where toys leave the process ids of what they started


class Good:
    """Does what the port asks for."""

    server = "https://toy.example"
    capability = Capability.LISTING

    def __init__(self, platform: str) -> None:
        self.platform = platform

    def prepare(self, outgoing: Outgoing, account: Account, http: Http) -> Prepared:
        sizes = [len(outgoing.read(m)) for m in outgoing.content.media]
        return Prepared(outgoing.content, account, {"pid": os.getpid(), "sizes": sizes})

    def request(self, prepared: Prepared, key: str) -> Request:
        return Request("POST", f"{self.server}/posts", (("key", key),), prepared.content.text.encode())

    def receipt(self, prepared: Prepared, reply: Reply) -> Receipt:
        return Receipt(reply.body.decode(), f"{self.server}/{prepared.content.account}")

    def find(self, prepared: Prepared, key: str, since: datetime, http: Http) -> Receipt | None:
        return Receipt(key, f"{self.server}/1")


class Bad(Good):
    """Misbehaves in preparing, reading and finding alike."""

    def __init__(self, platform: str, deed: Callable[[], Any]) -> None:
        super().__init__(platform)
        self._deed = deed

    def prepare(self, outgoing: Outgoing, account: Account, http: Http) -> Prepared:
        self._deed()
        return super().prepare(outgoing, account, http)

    def receipt(self, prepared: Prepared, reply: Reply) -> Receipt:
        self._deed()
        return super().receipt(prepared, reply)

    def find(self, prepared: Prepared, key: str, since: datetime, http: Http) -> Receipt | None:
        self._deed()
        return super().find(prepared, key, since, http)


def trace(folder: Path) -> None:
    """Leave our process id."""
    (folder / f"pid-{os.getpid()}").touch()


def deeds(folder: Path) -> dict[str, Callable[[], Any]]:
    """Name → what it does. All that they start leaves its process id in the folder."""

    def raises() -> None:
        raise ZeroDivisionError

    def hangs() -> None:
        trace(folder)
        while True:
            time.sleep(60)

    def spins() -> None:
        trace(folder)
        while True:
            pass

    def deaf() -> None:
        trace(folder)
        with contextlib.suppress(ValueError):  # in a thread it cannot; blocking it can
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        hangs()

    def leaves() -> None:
        os._exit(0)

    def exits() -> None:
        sys.exit(3)

    def kills_itself() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def kills_its_parent() -> None:
        os.kill(os.getppid(), signal.SIGKILL)
        hangs()

    def kills_its_group() -> None:
        os.killpg(0, signal.SIGKILL)

    def stops_its_parent() -> None:
        os.kill(os.getppid(), signal.SIGSTOP)
        hangs()

    def eats_memory() -> None:
        hoard = []
        while True:
            hoard.append(bytearray(32 * 1024 * 1024))

    def forks() -> None:
        for _ in range(5):
            if os.fork() == 0:
                hangs()
        hangs()

    def forks_without_end() -> None:
        while True:
            with contextlib.suppress(OSError):
                if os.fork() == 0:
                    trace(folder)

    def runs_away() -> None:
        """A daemon of its own: forked twice, a session of its own, its parent gone."""
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                hangs()
            os._exit(0)
        hangs()

    def runs_away_and_its_parent_dies() -> None:
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                hangs()
            os._exit(0)
        kills_its_parent()

    def writes_everywhere() -> None:
        for number in range(256):
            with contextlib.suppress(OSError):
                os.write(number, b"\x00\x00\x00\x05hello" * 10)
        hangs()

    def writes_without_end() -> None:
        while True:
            for number in range(3, 64):
                with contextlib.suppress(OSError):
                    os.write(number, b"\x00\x0f\xff\xff" + b" " * 65536)

    def closes_everything() -> None:
        os.closerange(0, 4096)
        hangs()

    def starts_threads() -> None:
        while True:
            threading.Thread(target=hangs, daemon=True).start()

    def breaks_the_interpreter() -> None:
        import ctypes

        ctypes.string_at(0)

    named = dict(locals())
    return {n: d for n, d in named.items() if callable(d) and n != "folder"}


def loader(
    publishers: Mapping[str, Callable[[], Publisher]],
) -> Callable[[Collection[str]], dict[str, Publisher]]:
    """A registry that makes these."""
    return lambda wanted: {name: publishers[name]() for name in wanted}
