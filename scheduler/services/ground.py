"""What a whole wave stands on, whatever its deliveries: the gate asks this first, in its own transaction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from scheduler.domain.gates import Gate
from scheduler.errors import StoreError
from scheduler.services.lease import LOST
from scheduler.services.lived import Lived
from scheduler.store import disk, mark
from scheduler.store import lease as leases
from scheduler.store.database import Database
from scheduler.store.lease import Lease


@dataclass(frozen=True, slots=True)
class Ground:
    """`lease`: under which the sender was started (None: started by hand, under nobody's).

    `folder`: the state folder, which has the high-water mark (None: a test that has none). `lived`: whether
    the time up to the wave was lived through.
    """

    lease: Lease | None = None
    folder: Path | None = None
    lived: Lived | None = None

    @property
    def epoch(self) -> int:
        """What attempts store: the epoch of the lease, 0 without one."""
        return self.lease.epoch if self.lease else 0

    def stops(self, conn: Connection) -> tuple[Gate, ...]:
        """Every reason why nothing at all may go, read in the caller's transaction."""
        found: list[Gate] = []
        if self.lease and not leases.stands(conn, self.lease):
            found.append(LOST)
        if self.folder and (why := _older(conn, self.folder)):
            found.append(Gate("older", f"the database is older than its high-water mark: {why}"))
        if self.folder and min(map(disk.free, _folders(conn, self.folder))) < disk.RESERVE:
            found.append(Gate("disk", "the disk is nearly full: what is sent could not be recorded"))
        if self.lived and (why := self.lived.crossed()):
            found.append(Gate("clock", f"{why}, over the time at which it was due"))
        return tuple(found)

    def secure(self, db: Database) -> None:
        """Before the first byte: let the mark cover the intents that the gate has just written.

        A crash before this has sent nothing. After it, a database without these intents is an alarm. Raises
        StoreError where the mark cannot be written or the database has become older meanwhile.
        """
        if self.folder is None:
            return
        try:
            with db.read() as conn:
                covered = mark.advance(conn, mark.path_in(self.folder))
        except OSError as error:
            raise StoreError(f"the high-water mark cannot be written: {error.strerror}") from error
        if not covered:
            raise StoreError("the database is older than its high-water mark")


def _folders(conn: Connection, folder: Path) -> list[Path]:
    """Where what a wave leaves is written: the state folder, and that of a SQLite file."""
    url = conn.engine.url
    beside = [Path(url.database).parent] if url.drivername.startswith("sqlite") and url.database else []
    return [folder, *beside]


def _older(conn: Connection, folder: Path) -> str:
    try:
        known = mark.read(mark.path_in(folder))
    except StoreError as damaged:
        return damaged.message
    return mark.behind(conn, known) if known else ""
