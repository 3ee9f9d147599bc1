"""The processes that a daemon starts: one of a name at a time, each in a session of its own."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence

# Jobs that may be ended at any moment: the next start looks again, and tells again under the same key.
BESIDE = ("reconcile", "after", "notify")
AGAIN = 3.0  # seconds before a job that left something undone is started again


class Jobs:
    """What runs now, by name. Nothing is started any more once `stopping` is set."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._begun: dict[str, float] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Of those that run."""
        return tuple(self._running)

    @property
    def sending(self) -> bool:
        """Whether one of them has a wave in hand."""
        return any(name not in BESIDE for name in self._running)

    def wanted(self, name: str, again: float = AGAIN) -> bool:
        """Whether it may be started: it does not run, and has not just been begun."""
        if name in self._running or self._stopping.is_set():
            return False
        return time.monotonic() - self._begun.get(name, -again) >= again

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start it. A session of its own: Ctrl-C at the terminal must not tear a wave in the middle."""
        self._begun[name] = time.monotonic()
        self._running[name] = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)

    def ended(self) -> Iterator[tuple[str, int]]:
        """Name and exit code of each that has ended since the last call."""
        for name, process in list(self._running.items()):
            code = process.poll()
            if code is not None:
                del self._running[name]
                yield name, code

    def finish(self, say: Callable[[str], None]) -> None:
        """A wave that has begun is finished; what is only being looked for can wait for the next start."""
        if self.sending:
            say("stopping    a wave that has begun is finished first")
        for name in [name for name in BESIDE if name in self._running]:
            beside = self._running.pop(name)
            beside.terminate()
            beside.wait()
        for process in self._running.values():
            process.wait()
