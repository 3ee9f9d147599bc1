"""Backups: one SQLite file with every row, whichever kind of database it was taken of or goes back into.

The database holds no secret (accounts name where theirs are kept), so neither does a backup.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, MetaData, insert, select, text
from sqlalchemy.exc import DatabaseError

from scheduler.errors import LaunchdayError, StoreError, TryLater
from scheduler.store import log
from scheduler.store.database import HEAD, connect, migrate, migrate_on, version
from scheduler.store.mark import sync_folder

_ROWS = 200  # rows copied at a time: a picture may have some megabytes


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: its mode, the version of its tables, and how many log entries (all verified)."""

    mode: str
    version: str
    entries: int


def write(engine: Engine, mode: str, to: Path) -> Backup:
    """Copy everything, as of one instant, into a new file for its owner only; it is read back and verified.

    Raises StoreError where the file exists or the copy is not whole.
    """
    if to.exists():
        raise StoreError(f"{to} exists already; a backup is never overwritten", help="name another file")
    part = to.with_name(f".{to.name}.{os.getpid()}.part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        if engine.dialect.name == "sqlite":
            _copy_file(engine, part)
        else:
            _copy_rows(engine, mode, part)
        found = examine(part, mode)
        _sync(part)
        # A crash before this leaves a hidden .part file, which is no backup and may be deleted.
        os.link(part, to)
        sync_folder(to.parent)
    except FileExistsError:
        raise StoreError(
            f"{to} exists already; a backup is never overwritten", help="name another file"
        ) from None
    except OSError as error:
        raise StoreError(
            f"the backup could not be written: {error.strerror}", help="name a file in a folder with space"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return found


def _copy_file(engine: Engine, part: Path) -> None:
    """SQLite's own online backup: pages in groups, begun anew where somebody writes meanwhile."""
    source = engine.raw_connection()
    try:
        with closing(sqlite3.connect(part)) as target:
            driver = source.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.backup(target, pages=1000, sleep=0.01)
            target.execute("pragma journal_mode=delete")  # one file, whatever the original uses
    except sqlite3.Error as error:
        raise StoreError(
            f"the database could not be copied: {error}", help="launchday doctor; then try again"
        ) from error
    finally:
        source.close()


def _copy_rows(engine: Engine, mode: str, part: Path) -> None:
    target = connect(f"sqlite:///{part}", mode)
    try:
        migrate(target, version(engine) or HEAD)
        with (
            engine.connect().execution_options(isolation_level="REPEATABLE READ") as source,
            target.connect().execution_options(launchday_write=True) as into,
            into.begin(),
        ):
            copy_tables(source, into)
    finally:
        target.dispose()


def copy_tables(source: Connection, into: Connection) -> None:
    """Every row of every table that `into` has; its tables are empty but for their version."""
    tables = MetaData()
    tables.reflect(into)
    for table in tables.sorted_tables:
        if table.name == "alembic_version":
            continue
        for rows in source.execute(select(table)).mappings().partitions(_ROWS):
            into.execute(insert(table), [dict(r) for r in rows])
    if into.dialect.name != "sqlite":
        # The numbers that were given by hand must not be given again.
        counter = "pg_get_serial_sequence('disclosures', 'id')"
        highest = "(select coalesce(max(id), 0) + 1 from disclosures)"
        into.execute(text(f"select setval({counter}, {highest}, false)"))


def examine(path: Path, mode: str) -> Backup:
    """Read a whole backup and verify its log. Raises StoreError or LogBroken; the file is not changed."""
    if not path.is_file():
        raise StoreError(f"there is no file {path}", help="name a file that launchday backup made")
    engine = _read_only(path)
    try:
        with engine.connect() as conn:
            said = conn.execute(text("pragma quick_check(1)")).scalar()
            if said != "ok":
                raise StoreError(f"{path.name} is damaged: {said}", help="use another backup")
            found = conn.execute(text("select version_num from alembic_version")).scalar_one()
            stamped = conn.execute(text("select mode from control")).scalar_one()
            if found > HEAD:
                raise StoreError(f"{path.name} was made by a newer Launchday", help="install that version")
            if stamped != mode:
                raise StoreError(
                    f"{path.name} is a backup of the mode '{stamped}', not '{mode}'",
                    help="simulation and live never mix: launchday --simulation restore, or mode: live",
                )
            return Backup(stamped, found, log.verify(conn))
    except LaunchdayError:
        raise
    except (DatabaseError, ValueError) as error:
        said = str(getattr(error, "orig", error)).splitlines()[0]
        raise StoreError(f"{path.name} is no whole backup: {said}", help="use another backup") from error
    except Exception as error:
        raise StoreError(f"{path.name} is no backup of Launchday", help="use another file") from error
    finally:
        engine.dispose()


def _read_only(path: Path) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    uri = f"{path.resolve().as_uri()}?mode=ro"
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True), poolclass=NullPool)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def staged(path: Path, mode: str, at: Path) -> Engine:
    """A copy of the backup at `at`, with tables as this Launchday has them; the backup is not changed."""
    at.unlink(missing_ok=True)
    os.close(os.open(at, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    original = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(original, uri=True)) as source, closing(sqlite3.connect(at)) as target:
        source.backup(target)
    engine = connect(f"sqlite:///{at}", mode)
    migrate(engine)
    return engine


def put_in_place(ready: Path, database: Path, aside: Path | None) -> None:
    """Let the ready file be the database; what was there stays beside it as `aside` (None: nothing was).

    A crash on the way leaves the old database where it was, or the new one in its place, never a mixture: a
    journal of the old one is worked off or moved away first.
    """
    with suppress(sqlite3.Error), closing(sqlite3.connect(database, timeout=5)) as old:
        old.execute("begin immediate")
        old.execute("rollback")
        old.execute("pragma wal_checkpoint(truncate)")
    if aside is not None:
        for tail in ("-journal", "-wal", "-shm"):
            left = Path(f"{database}{tail}")
            if left.exists():
                left.replace(f"{aside}{tail}")
        os.link(database, aside)
    _sync(ready)
    ready.replace(database)
    sync_folder(database.parent)


def into_schema(ready: Engine, engine: Engine, schema: str, aside: str) -> None:
    """The same for PostgreSQL, in one transaction: the old schema is renamed, a new one is filled."""
    with engine.connect() as into, into.begin():
        names = into.execute(text("select 1 from pg_namespace where nspname = :n"), {"n": aside}).first()
        if names:
            raise TryLater(f"the schema {aside} exists already", help="give the command again in a second")
        into.execute(text(f"alter schema {schema} rename to {aside}"))
        into.execute(text(f"create schema {schema}"))
        migrate_on(into)
        with ready.connect() as source:
            copy_tables(source, into)
