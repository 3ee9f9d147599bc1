"""A word to systemd over its notification socket (sd_notify): ready, alive, stopping, what we are doing."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress


class Systemd:
    """Says nothing where no systemd listens. Never raises and never waits: it must not cost a wave."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        """Take the socket's address out of the environment, so that no child process speaks for us."""
        address = environ.pop("NOTIFY_SOCKET", "")
        # "@" stands for the zero byte of an abstract address, which has no file.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        span, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        mine = pid in ("", str(os.getpid()))
        # A third of what is allowed, so that one word that is lost costs nothing.
        self.every = int(span) / 3_000_000 if mine and span.isdigit() else 0.0  # seconds; 0: nobody asks
        self._said_at = float("-inf")

    def ready(self, status: str) -> None:
        """The start is over."""
        self._say("READY=1", _status(status))

    def alive(self) -> None:
        """The work goes on: said only as often as systemd wants to hear it."""
        if self.every and time.monotonic() - self._said_at >= self.every:
            self._said_at = time.monotonic()
            self._say("WATCHDOG=1")

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._say(_status(status))

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._say("STOPPING=1", _status(status))

    def _say(self, *lines: str) -> None:
        if not self._address:
            return
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), self._address)


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())
