"""Locks between processes of one host: `flock`, which the kernel gives back when its holder dies."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path

from scheduler.errors import TryLater

HOST = socket.gethostname()


class Lock:
    """A held lock. The kernel releases it when this process ends, however it ends."""

    def __init__(self, path: Path, what: str, *, patience: float = 0.0, shared: bool = False) -> None:
        """Take it, waiting up to `patience` seconds. Raises TryLater, naming the holder's process id.

        Several processes may hold a `shared` one together; the file then names none of them.
        """
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        end = time.monotonic() + patience
        while not self._taken():
            if time.monotonic() < end:
                time.sleep(0.05)
                continue
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise TryLater(
                f"{what} already (process {holder})", help=f"wait for it, or end it: kill {holder}"
            )
        os.ftruncate(self._fd, 0)
        if not shared:
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def _taken(self) -> bool:
        try:
            fcntl.flock(self._fd, self._how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give it back (harmless a second time)."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def holder(path: Path) -> int | None:
    """The process id of whoever holds the lock, or None where nobody does."""
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(fd)
    return None


def sender_name(number: str) -> str:
    """What attempts store of their sender: the host and the lock file's name."""
    return f"{HOST}:{number}"


def proven_dead(folder: Path, sender: str) -> bool:
    """Whether the sender is certainly dead: its lock file is here, on this very host, and can be had.

    A file that is not here proves nothing: the sender may belong to another workspace or machine.
    """
    host, _, number = sender.partition(":")
    path = folder / f"{number}.lock"
    return host == HOST and path.exists() and holder(path) is None
