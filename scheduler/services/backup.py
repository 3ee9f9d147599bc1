"""backup, restore, upgrade: the database as a whole. What replaces it is verified first; it is kept aside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from scheduler.domain.delivery import State
from scheduler.errors import StoreError, TryLater
from scheduler.services import safe
from scheduler.services.clock import Clock
from scheduler.store import backup as files
from scheduler.store import lock, outbox
from scheduler.store.backup import Backup
from scheduler.store.claim import Claim
from scheduler.store.database import HEAD, Database, connect, migrate, schema_of, version

QUIET = timedelta(minutes=2)  # a copy of a SQLite file and a gate must not wait for one another


def backup(db: Database, clock: Clock, to: Path) -> Backup:
    """Copy the database into a new file, whether a daemon runs or not, and verify the copy.

    Raises TryLater where a wave is near (SQLite), StoreError where the file exists or cannot be written.
    """
    if db.is_sqlite:
        with db.read() as conn:
            near = outbox.find(conn, states=[State.SCHEDULED], until=clock.now() + QUIET)
            near = [d for d in near if d.not_after >= clock.now()]
            if near or outbox.find(conn, states=[State.PUBLISHING]):
                raise TryLater(
                    "a wave is going out or is about to; copying the database could delay it",
                    help="give the command again when it is over: launchday status",
                )
    return files.write(db.engine, db.mode, to)


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put in place, and where the database that was there is kept ("" = there was none)."""

    backup: Backup
    aside: str


def restore(url: str, mode: str, folder: Path, file: Path, clock: Clock, reply_within: timedelta) -> Restored:
    """Put a verified backup in the database's place, in safe mode. The backup itself stays as it is.

    Raises TryLater while a daemon or a sender runs, StoreError or LogBroken where the backup is not whole:
    then nothing was changed.
    """
    found = files.examine(file, mode)
    stamp = clock.wall().strftime("%Y%m%dT%H%M%S")
    engine = connect(url, mode)
    place = Path(engine.url.database or "") if url.startswith("sqlite") else folder / "launchday"
    ready = place.with_name(f"{place.name}.restoring-{stamp}")
    try:
        with _alone(Database(engine, mode), folder):
            # A crash up to the swap leaves a .restoring file beside a database that was not touched.
            staged = Database(files.staged(file, mode, ready), mode)
            clock.follow(staged)
            # Before it is in place: whoever opens it finds it in safe mode, however we end.
            safe.enter(staged, clock, folder, "a backup was restored", reply_within)
            if url.startswith("sqlite"):
                aside = f"{place}.replaced-{stamp}"
                there = place.exists() and place.stat().st_size > 0
                staged.close()
                engine.dispose()
                files.put_in_place(ready, place, Path(aside) if there else None)
                aside = aside if there else ""
            else:
                aside = f"{schema_of(mode)}_replaced_{stamp.lower()}"
                files.into_schema(staged.engine, engine, schema_of(mode), aside)
                staged.close()
    finally:
        ready.unlink(missing_ok=True)
        engine.dispose()
    return Restored(found, aside)


def upgrade(url: str, mode: str, folder: Path, now: datetime) -> tuple[str, Path | None]:
    """Bring an older database up to date, after a backup. Returns its former version and the backup's file.

    Raises TryLater while a daemon or a sender runs, StoreError where there is nothing to upgrade.
    """
    engine = connect(url, mode)
    try:
        was = version(engine)
        if was is None:
            raise StoreError("there is no database here yet", help="launchday queue makes one")
        if was > HEAD:
            raise StoreError("this database was made by a newer Launchday", help="install that version")
        if was == HEAD:
            return was, None
        with _alone(Database(engine, mode), folder):
            kept = folder / f"before-{HEAD}-{now:%Y%m%dT%H%M%S}.db"
            files.write(engine, mode, kept)
            # A crash before this commit leaves the older database, and a backup of it.
            migrate(engine)
        return was, kept
    finally:
        engine.dispose()


@contextmanager
def _alone(db: Database, folder: Path) -> Iterator[None]:
    """No daemon and no sender works on the database while this is open."""
    with lock.Lock(folder / "daemon.lock", "a daemon runs on this database"):
        try:
            claim = Claim(db, "")
        except TryLater as busy:
            raise TryLater(
                "a daemon of another workspace runs on this database", help="end it first; then try again"
            ) from busy
        try:
            for path in (folder / "senders").glob("*.lock"):
                if (process := lock.holder(path)) is not None:
                    raise TryLater(
                        f"a sender still works (process {process})", help="wait until it has ended"
                    )
            yield
        finally:
            claim.give_back()
