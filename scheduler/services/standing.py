"""Where the daemon stands: may it go on, and may it start a wave? Nearly free at each tick."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from scheduler.services import safe
from scheduler.services.clock import Clock, Reading
from scheduler.services.lease import LOST, Tenure, take
from scheduler.services.lived import hold_crossed, jump
from scheduler.services.tell import over, tell
from scheduler.store import disk, mark
from scheduler.store.claim import KEEP
from scheduler.store.database import Database, check_whole, is_damaged


class Standing:
    """The daemon's lease while it runs. `lost`: another daemon has taken over.

    `folder` is the state folder, which has the high-water mark.
    """

    def __init__(self, db: Database, clock: Clock, folder: Path, reply_within: timedelta, scope: str) -> None:
        """Take the lease. Raises TryLater where another daemon lives, StoreError for a damaged database."""
        check_whole(db)
        self.tenure: Tenure = take(db, clock, scope)
        self._folder, self._reply_within = folder, reply_within
        self.lost = False
        self.low = False  # the disk
        self.damaged = False  # the database, noticed since the start
        # Nothing is started while a jump of the clock has not been dealt with (a busy database).
        self.unsettled = False
        self._reading = clock.reading()
        self._kept_at = time.monotonic()

    def look(self) -> tuple[str, ...]:
        """What changed since the last look, as lines for people."""
        if said := (*self._compare_clocks(), *self._look_at_disk()):
            return said
        if time.monotonic() - self._kept_at >= KEEP and not self.lost:
            self._kept_at = time.monotonic()
            self.lost = not self.tenure.kept()
            if self.lost:
                return (f"trouble     {LOST.sentence}",)
            return self._mark()
        return ()

    @property
    def reading(self) -> Reading:
        """The clocks as of the last look: a sender compares them with its own."""
        return self._reading

    def _compare_clocks(self) -> tuple[str, ...]:
        """Hold what a step of the clock or a suspend carried over its time since the last look."""
        clock, now = self.tenure.clock, self.tenure.clock.reading()
        if found := jump(self._reading, now, clock.offset):
            self.unsettled = True
            scopes = hold_crossed(self.tenure.db, clock, found, self.tenure.lease.scope)
            said = [f"clock       {found.why}"]
            said += [
                f"HELD        {s}: its time passed meanwhile; launchday release --post …" for s in scopes
            ]
        # Only now: where holding failed, the next look finds the same jump again.
        self._reading, self.unsettled = now, False
        return tuple(said) if found else ()

    def _look_at_disk(self) -> tuple[str, ...]:
        """Said and told when the reserve is reached, and when there is room again; one call at each look."""
        was, self.low = self.low, disk.free(self._folder) < disk.RESERVE
        if was == self.low:
            return ()
        wanted = f"less than {disk.RESERVE // 2**20} MB free on the disk of {self._folder}: nothing is sent"
        # Where even the notice finds no room, the line to the daemon's own talk has to do.
        with suppress(DBAPIError), self.tenure.db.write() as conn:
            if self.low:
                tell(
                    conn, self.tenure.clock.now(), "disk", "", f"{wanted}. Free some space; then it goes on."
                )
            else:
                over(conn, "disk")
        return (f"disk        {wanted if self.low else 'there is room again'}",)

    def met(self, error: Exception) -> str:
        """What a step of the daemon ran into, as a line for people; a damaged database stops all sending."""
        if is_damaged(error):
            self.damaged = True
            return "DAMAGED     the database is damaged, nothing is sent: stop the daemon, launchday restore"
        return f"trouble     {type(error).__name__}: {str(error)[:200].splitlines()[:1]}"

    def _mark(self) -> tuple[str, ...]:
        """Let the mark follow what was done elsewhere, or notice that the database was put back."""
        db = self.tenure.db
        if why := safe.check(db, self.tenure.clock, self._folder, self._reply_within):
            return (f"SAFE MODE   nothing is sent: the database is older than it was ({why}); {safe.TO_END}",)
        with db.read() as conn:
            mark.advance(conn, mark.path_in(self._folder))
        return ()

    def __enter__(self) -> Standing:
        return self

    def __exit__(self, *_: object) -> None:
        self.tenure.give_back()
