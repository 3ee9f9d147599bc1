"""Waiting for a removal: a worker process does it (tokens are there), the terminal shows how far it is."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scheduler.cli import show

if TYPE_CHECKING:
    from scheduler.app import App
    from scheduler.domain.delivery import Delivery

MARGIN = 30.0  # seconds beyond the time after which a worker itself asks a person


def wait_for(app: App, asked: Sequence[Delivery]) -> list[Delivery]:
    """Wait until each is removed or a question, at most as long as removing may take; how they stand then.

    Where no daemon runs, one worker is started here. Ctrl-C ends the waiting, never the removal: the next
    worker goes on.
    """
    from scheduler.domain.delivery import State

    end = (
        time.monotonic() + app.timing.remove_for.total_seconds() + app.timing.settle.total_seconds() + MARGIN
    )
    said = -1
    with _worker(app) as running:
        while True:
            found = _now(app, asked)
            left = sum(d.state is State.RETRACTING for d in found)
            if left != said:
                show.say(f"  {len(found) - left} of {len(found)} known")
                said = left
            if not left or time.monotonic() > end:
                return found
            running()
            time.sleep(0.2)


def _now(app: App, asked: Sequence[Delivery]) -> list[Delivery]:
    from scheduler.store import outbox

    with app.db.read() as conn:
        return outbox.find(conn, ids=[d.id for d in asked])


@contextmanager
def _worker(app: App) -> Iterator[_Keeping]:
    """See to it that somebody does the work: the daemon, or a worker of our own, started again if it ends."""
    from scheduler.publishers.simulated import process as platforms

    places = None
    if not _daemon(app) and app.mode != "live" and platforms.running(app.folder / "platforms") is None:
        places = platforms.start(app.folder / "platforms")
    keeping = _Keeping(app)
    try:
        yield keeping
    finally:
        keeping.end()
        if places is not None:
            places.stop()


class _Keeping:
    """Called again and again: starts a worker where there is neither a daemon nor one of ours."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._own: subprocess.Popen[bytes] | None = None
        self._tried = float("-inf")

    def __call__(self) -> None:
        ended = self._own is None or self._own.poll() is not None
        if not ended or _daemon(self._app) or time.monotonic() - self._tried < 1.0:
            return
        self._tried = time.monotonic()
        command = [sys.executable, "-m", "scheduler.sender", "after", "--root", str(self._app.root)]
        self._own = subprocess.Popen(
            [*command, "--mode", self._app.mode], stdin=subprocess.DEVNULL, start_new_session=True
        )

    def end(self) -> None:
        """End our worker, if there is one: it may end at any moment, the next one goes on."""
        if self._own is not None and self._own.poll() is None:
            self._own.terminate()
        if self._own is not None:
            self._own.wait()


def _daemon(app: App) -> bool:
    from scheduler.store import lock

    return lock.holder(app.folder / "daemon.lock") is not None
