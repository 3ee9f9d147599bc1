"""Where the daemon stands: may it go on, and may it start a wave? Nearly free at each tick."""

from __future__ import annotations

import time

from scheduler.services.clock import Clock
from scheduler.services.lease import Tenure, take
from scheduler.store.claim import KEEP
from scheduler.store.database import Database


class Standing:
    """The daemon's lease while it runs. `lost`: another daemon has taken over."""

    def __init__(self, db: Database, clock: Clock, scope: str) -> None:
        """Take the lease. Raises TryLater where another daemon lives."""
        self.tenure: Tenure = take(db, clock, scope)
        self.lost = False
        self._kept_at = time.monotonic()

    def look(self) -> tuple[str, ...]:
        """What changed since the last look, as lines for people."""
        if time.monotonic() - self._kept_at >= KEEP and not self.lost:
            self._kept_at = time.monotonic()
            self.lost = not self.tenure.kept()
            if self.lost:
                return (
                    "trouble     another daemon has taken over; this one sends nothing any more and stops",
                )
        return ()

    def __enter__(self) -> Standing:
        return self

    def __exit__(self, *_: object) -> None:
        self.tenure.give_back()
