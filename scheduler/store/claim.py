"""Locks that keep two daemons off one database: given back by the kernel or the server when a holder dies.

A claim on everything excludes every other; claims on two organisations may stand side by side. SQLite:
`flock` on files beside the database, so that two workspaces on one file meet. PostgreSQL: advisory locks.
"""

from __future__ import annotations

import re
import time
import zlib
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from scheduler.errors import TryLater
from scheduler.store.database import Database
from scheduler.store.lock import Lock

# A session that holds a claim speaks every KEEP; one that was silent for SILENT (its process stopped, its
# network gone) is ended, and its claim with it. A session whose process has just died is gone after GONE.
# All in seconds; the server's clock decides.
KEEP = 30
SILENT = 120
GONE = 2


class Claim:
    """A scope that this process has claimed (`""` = every organisation) for as long as it lives."""

    def __init__(self, db: Database, scope: str) -> None:
        """Take it. Raises TryLater where a living process has claimed what overlaps."""
        self.scope = scope
        self._db = db
        self._files: list[Lock] = []
        self._session: Connection | None = None
        if db.is_sqlite:
            self._take_files()
        else:
            self._take_session()

    def holds(self) -> bool:
        """Whether it still stands; on PostgreSQL this also keeps the session from being taken for dead."""
        if self._session is None:
            return bool(self._files)
        try:
            self._session.execute(text("select 1"))
        except DBAPIError:
            return False
        return True

    def give_back(self) -> None:
        """End it (harmless a second time)."""
        for one in self._files:
            one.release()
        self._files = []
        if self._session is not None:
            # Closed for good, not put back into the pool: a pooled session would keep the lock.
            with suppress(DBAPIError):
                self._session.invalidate()
            self._session.close()
            self._session = None

    def _take_files(self) -> None:
        path = Path(self._db.engine.url.database or "").resolve()
        taken: list[Lock] = []
        try:
            what = "a daemon runs on this database"
            taken.append(Lock(Path(f"{path}.daemon"), what, shared=bool(self.scope)))
            if self.scope:
                name = re.sub(r"[^a-zA-Z0-9_-]", "_", self.scope)
                taken.append(Lock(Path(f"{path}.daemon-{name}"), what))
        except TryLater:
            for one in taken:
                one.release()
            raise
        self._files = taken

    def _take_session(self) -> None:
        session = self._db.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            # The server notices within half a minute that a machine is gone without a goodbye.
            for setting in ("idle=10", "interval=5", "count=3"):
                session.execute(text(f"set tcp_keepalives_{setting}"))
            wanted = [(0, "_shared"), (_number(self.scope), "")] if self.scope else [(0, "")]
            for number, how in wanted:
                _session_lock(session, self._space(), number, how)
        except BaseException:
            session.invalidate()
            session.close()
            raise
        self._session = session

    def _space(self) -> int:
        """Each mode has a schema of its own, and so claims of its own."""
        return _number(f"launchday {self._db.mode}")


def _number(name: str) -> int:
    """31 bits: what both an advisory lock's key and pg_locks' columns can say without a sign."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF or 1


def _session_lock(session: Connection, space: int, number: int, how: str) -> None:
    """Take one advisory lock; a holder that has been silent for too long is ended first."""
    wanted = text(f"select pg_try_advisory_lock{how}(:space, :number)")
    keys = {"space": space, "number": number}
    if session.execute(wanted, keys).scalar():
        return
    session.execute(
        text(
            "select count(pg_terminate_backend(a.pid))"
            " from pg_locks l join pg_stat_activity a on a.pid = l.pid"
            " where l.locktype = 'advisory' and l.objsubid = 2 and l.granted"
            " and l.database = (select oid from pg_database where datname = current_database())"
            " and l.classid = cast(:space as oid) and l.objid = cast(:number as oid)"
            " and a.state_change < clock_timestamp() - make_interval(secs => :silent)"
        ),
        {**keys, "silent": SILENT},
    )
    # The server needs a moment to end a session, and to notice one that ended by itself.
    end = time.monotonic() + GONE
    while time.monotonic() < end:
        if session.execute(wanted, keys).scalar():
            return
        time.sleep(0.1)
    raise TryLater("a daemon runs on this database already")
