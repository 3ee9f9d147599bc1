"""When the daemon has to look at the deliveries, and when a tick may pass without: nearly all of them do."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from scheduler.domain.delivery import IN_DOUBT, State
from scheduler.services.clock import Clock
from scheduler.services.timing import Timing
from scheduler.store import looks, outbox
from scheduler.store.changes import Changes
from scheduler.store.database import Database

AT_LEAST = 30.0  # seconds after which it looks whatever seems to be
_NEVER = datetime.max.replace(tzinfo=UTC)


class Lookout:
    """Look when something was committed, when the next instant of interest comes, and every half minute."""

    def __init__(self, db: Database, clock: Clock, timing: Timing, organisation: str = "") -> None:
        self._db, self._clock, self._timing, self._organisation = db, clock, timing, organisation
        self._changes = Changes(db)
        self._mark: object = None
        self._until: datetime | None = None  # nothing comes of itself before this (None: it may any time)
        self._looked_at = 0.0

    def wanted(self) -> bool:
        """Whether to look now. The mark is taken first: what is committed during the look shows next time."""
        mark = self._changes.mark()
        quiet = (
            mark == self._mark
            and self._until is not None
            and self._clock.now() < self._until
            and time.monotonic() < self._looked_at + AT_LEAST
        )
        self._mark = mark
        if not quiet:
            self._until = None  # until a look has ended well
        return not quiet

    def looked(self) -> None:
        """A look has ended: find out until when nothing will happen by itself."""
        self._until = self._next()
        self._looked_at = time.monotonic()

    def _next(self) -> datetime | None:
        with self._db.read() as conn:
            if any(outbox.counts(conn).get(state) for state in IN_DOUBT):
                return None
            waves = [at - self._timing.arming(n) for at, n in outbox.waves(conn)]
            looking = [
                looks.next_at(conn, s, self._organisation) for s in (State.RETRACTING, State.PUBLISHED)
            ]
            wakes = [*waves, *outbox.next_close(conn), *(at for at in looking if at)]
            return min(wakes, default=_NEVER)

    def close(self) -> None:
        """Give the connection back."""
        self._changes.close()
