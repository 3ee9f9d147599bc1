"""What comes after publishing, as one job: removing what is to be removed, then reading back what is out.

It is a job of its own, so that a platform that answers slowly delays neither a wave nor the looking for what
is in doubt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from scheduler.domain.delivery import State
from scheduler.services.clock import Clock
from scheduler.services.reach import Reach
from scheduler.services.readback import read_back
from scheduler.services.reconcile import Reconciled
from scheduler.services.remove import remove
from scheduler.services.timing import Timing
from scheduler.store import looks
from scheduler.store.database import Database

LONGEST_WAIT = 2.0  # seconds between two looks at what is due


def is_due(db: Database, clock: Clock, timing: Timing, organisation: str = "") -> tuple[bool, bool]:
    """Whether there is something to remove now, and whether there is something to read back."""
    now = clock.now()
    with db.read() as conn:
        removing = looks.next_at(conn, State.RETRACTING, organisation)
        reading = looks.next_at(conn, State.PUBLISHED, organisation)
    return (
        removing is not None and removing <= now,
        reading is not None and reading <= now - timing.read_after,
    )


def unread(db: Database, clock: Clock, organisation: str = "") -> bool:
    """Whether something was published a moment ago and nobody has looked at it, or is being removed."""
    with db.read() as conn:
        reading = looks.next_at(conn, State.PUBLISHED, organisation)
        return looks.next_at(conn, State.RETRACTING, organisation) is not None or (
            reading is not None and reading <= clock.now()
        )


def follow_up(
    db: Database,
    clock: Clock,
    reach: Reach,
    timing: Timing,
    say: Callable[[Reconciled], None],
    *,
    organisation: str = "",
    seconds: float = 60.0,
) -> None:
    """Work until nothing is due within a moment, at most so many seconds; the daemon starts it again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for one in remove(db, clock, reach, timing, organisation):
            say(one)
        for one in read_back(db, clock, reach, timing, organisation):
            say(one)
        wait = _until_next(db, clock, timing, organisation)
        if wait is None or wait.total_seconds() > _patience(timing):
            return
        time.sleep(min(max(wait.total_seconds(), 0.05), LONGEST_WAIT))


def _patience(timing: Timing) -> float:
    """A removal is waited for from one look to the next; anything longer is the next job's."""
    return max((timing.settle / 4).total_seconds(), timing.read_after.total_seconds()) + 1.0


def _until_next(db: Database, clock: Clock, timing: Timing, organisation: str) -> timedelta | None:
    now = clock.now()
    with db.read() as conn:
        removing = looks.next_at(conn, State.RETRACTING, organisation)
        reading = looks.next_at(conn, State.PUBLISHED, organisation)
    waits = [removing - now] if removing else []
    # Only what is young is waited for here: a process that stays for an hourly look would cost memory.
    if reading and reading + timing.read_after - now <= timing.read_after:
        waits.append(reading + timing.read_after - now)
    return min(waits, default=None)
