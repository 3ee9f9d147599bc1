"""What the gate will decide is worked out just before it: at the gate itself only what time decides is left.

Whatever anybody commits in between makes it worthless: then the gate asks everything anew, as without it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from scheduler.domain.gates import LONGEST_LEAD
from scheduler.services.clock import Clock
from scheduler.services.gate import Foreseen, Judged, Ready, intend, judge, known_people
from scheduler.store.changes import Changes
from scheduler.store.database import Database

_LONG = timedelta(days=1)
_EACH = 0.00015  # seconds a delivery may take (measured: 0.1 ms)
_NAP = 0.05  # seconds between two looks whether anybody has committed anything


class Foresight:
    """Foresees the gate of one wave; used by one thread. `close` gives its connection back."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        armed: Mapping[str, Ready],
        approvers: Mapping[str, Collection[str]],
        at: datetime,
    ) -> None:
        self._db, self._clock, self._at = db, clock, at
        self.armed = armed
        self._approvers = known_people(approvers)
        self._changes = Changes(db)
        self._foreseen: Foreseen | None = None
        self.took = _EACH * len(armed)  # seconds the last one took, or may take

    @property
    def ready(self) -> bool:
        """Whether anything was foreseen."""
        return self._foreseen is not None

    def foresee(self) -> None:
        """Read all that the gate looks at, and put together what it would write. Writes nothing."""
        begun = time.monotonic()
        # The mark comes first: what is committed while the facts are read shows.
        mark = self._changes.mark()
        with self._db.read() as conn:
            earliest = self._at - LONGEST_LEAD
            judged = judge(conn, self._clock, self.armed, self._approvers, self._at, not_before=earliest)
            intents = intend(conn.dialect, judged.known.now, judged.going, self.armed)
        expires = _expires(judged)
        self._foreseen = Foreseen(mark, judged, intents, self._at, self.armed, self._approvers, expires)
        self.took = time.monotonic() - begun

    def until(self, when: datetime) -> None:
        """Keep it fresh until then, while there is time to do so."""
        while (left := (when - self._clock.now()).total_seconds()) > 0:
            stale = self._foreseen is None or self._changes.mark() != self._foreseen.mark
            if stale and left > 2 * self.took:
                self.foresee()
            else:
                time.sleep(min(left, _NAP))

    def now(self) -> tuple[Foreseen, object] | None:
        """For the gate: what was foreseen, and the database's mark now."""
        return (self._foreseen, self._changes.mark()) if self._foreseen else None

    def close(self) -> None:
        """Give the connection back."""
        self._changes.close()


def _expires(judged: Judged) -> datetime:
    """Until when, by the machine's clock, the same approvals count as do now."""
    facts = judged.known
    ages = [
        (facts.wall_now - decision.wall_at, facts.policies[delivery].valid_for)
        for delivery, decisions in facts.decisions.items()
        for decision in decisions
    ]
    left = min((valid - age for age, valid in ages if age <= valid), default=_LONG)
    return facts.wall_now + min(left, _LONG)
