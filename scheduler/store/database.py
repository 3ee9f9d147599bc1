"""Opening a database: SQLite with safe settings, or PostgreSQL; one kind of write transaction."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import make_url

from scheduler.domain.content import instant
from scheduler.errors import StoreError, TryLater
from scheduler.store.tables import Control, table_of

HEAD = "0002"  # the newest migration; a test keeps it equal to Alembic's own answer
_WAL_FIXED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))  # SQLite's WAL-reset fix, per release line
_control = table_of(Control)


BUSY = ("40001", "40P01", "55P03")


class Database:
    """One database of one mode. `write` and `read` are the only ways in."""

    def __init__(self, engine: Engine, mode: str) -> None:
        self.engine = engine
        self.mode = mode

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite (else PostgreSQL)."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One write transaction: all writers are ordered by the control row (BEGIN IMMEDIATE / FOR UPDATE).

        Committed on leaving; rolled back, with nothing changed, on any exception.
        """
        with self._connect(write=True) as conn, conn.begin():
            if not self.is_sqlite:
                conn.execute(select(_control.c.id).with_for_update()).scalar_one()
            yield conn

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One read transaction: everything read inside belongs to one instant."""
        with self._connect(write=False) as conn, conn.begin():
            yield conn

    @contextmanager
    def _connect(self, *, write: bool) -> Iterator[Connection]:
        from sqlalchemy.exc import OperationalError

        try:
            options: dict[str, Any] = {"launchday_write": write}
            if not self.is_sqlite:
                # A writer waits for the control row and must then see what the one before it wrote.
                options["isolation_level"] = "READ COMMITTED" if write else "REPEATABLE READ"
            with self.engine.connect().execution_options(**options) as conn:
                yield conn
        except OperationalError as error:
            # 40001 serialization, 40P01 deadlock, 55P03 lock not available: nothing was changed, try again.
            if "locked" in str(error.orig) or getattr(error.orig, "sqlstate", "") in BUSY:
                raise TryLater(
                    "the database is busy with another writer; nothing was changed",
                    help="give the command again; launchday doctor says who holds it",
                ) from error
            raise

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def open_database(url: str, mode: str, now: datetime, driver: Any = sqlite3) -> Database:
    """Open the database at `url` for `mode`, or create it where there is none.

    PostgreSQL keeps each mode in a schema of its own. `driver` is SQLite's DB-API module. Raises StoreError
    where it belongs to another mode, is damaged, or was made by an older or a newer Launchday.
    """
    engine = connect(url, mode, driver)
    found = version(engine)
    if found is None:
        migrate(engine)
    elif found < HEAD:
        engine.dispose()
        raise StoreError(
            f"this database was made by an older Launchday (its tables are {found}, not {HEAD})",
            help="launchday upgrade, which makes a backup first; stop the daemon before",
        )
    elif found > HEAD:
        engine.dispose()
        raise StoreError(
            "this database was made by a newer Launchday", help="install that version, or restore a backup"
        )
    database = Database(engine, mode)
    _stamp(database, now)
    return database


def connect(url: str, mode: str, driver: Any = sqlite3) -> Engine:
    """An engine with the safe settings, whatever stands in the database. Raises StoreError."""
    return _sqlite(url, driver) if url.startswith("sqlite") else _postgres(url, mode)


def is_damaged(error: BaseException) -> bool:
    """Whether SQLite says that its file is not what it wrote (met while reading or writing it)."""
    code = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def check_whole(database: Database) -> None:
    """Read every page of a SQLite file. Raises StoreError where it is damaged; nothing is changed."""
    if not database.is_sqlite:
        return  # PostgreSQL guards its own files
    from sqlalchemy.exc import DatabaseError

    try:
        with database.read() as conn:
            said = conn.execute(text("pragma quick_check(1)")).scalar()
    except DatabaseError as error:
        if not is_damaged(error):
            raise
        said = str(error.orig)
    if said != "ok":
        raise StoreError(
            f"the database is damaged: {str(said).splitlines()[0]}; nothing is sent",
            help="launchday restore FILE puts a backup in its place; launchday log may still be readable",
        )


def _stamp(database: Database, now: datetime) -> None:
    with database.engine.connect() as conn:
        stamped = conn.execute(select(_control.c.mode)).scalar()
    if stamped is None:
        with database._connect(write=True) as conn, conn.begin():
            row = {"m": database.mode, "at": instant(now)}
            # Two first commands at once: the second insert does nothing.
            conn.execute(
                text(
                    "insert into control (id, mode, stop_epoch, next_seq, offset_ms, opened_at)"
                    " values (1, :m, 0, 1, 0, :at) on conflict (id) do nothing"
                ),
                row,
            )
        return
    if stamped != database.mode:
        database.close()
        raise StoreError(
            f"this database belongs to the mode '{stamped}', not '{database.mode}'",
            help="simulation and live never mix: name another database in LAUNCHDAY_DATABASE_URL",
        )


def version(engine: Engine) -> str | None:
    """Which migration its tables are at; None where there are none yet. Raises StoreError where damaged."""
    try:
        with engine.connect() as conn:
            if not inspect(conn).has_table("alembic_version"):
                return None
            found: str | None = conn.execute(text("select version_num from alembic_version")).scalar()
            return found
    except Exception as error:
        text_of = str(getattr(error, "orig", error)).splitlines()[0]
        if "not a database" in text_of or "malformed" in text_of:
            raise StoreError(
                f"the database is damaged: {text_of}",
                help="nothing is sent meanwhile. Put a backup back: launchday restore FILE",
            ) from error
        raise StoreError(f"the database cannot be opened: {text_of}", help="launchday doctor") from error


def migrate(engine: Engine, to: str = "head") -> None:
    """Bring the tables to a migration, in one transaction: a crash leaves them as they were."""
    with engine.connect().execution_options(launchday_write=True) as conn, conn.begin():
        # Two first commands at once: the second waits here (or at BEGIN IMMEDIATE) and finds nothing to do.
        _one_at_a_time(conn)
        migrate_on(conn, to)


def migrate_on(conn: Connection, to: str = "head") -> None:
    """The same in the caller's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = conn
    command.upgrade(config, to)


def _one_at_a_time(conn: Connection) -> None:
    if conn.dialect.name != "sqlite":
        conn.execute(text("select pg_advisory_xact_lock(hashtext('launchday opens a database'))"))


def _sqlite(url: str, driver: Any) -> Engine:
    path = make_url(url).database
    if path:
        folder = Path(path).parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    previous = os.umask(0o077)
    try:
        if path:
            Path(path).touch(mode=0o600)
    finally:
        os.umask(previous)
    journal = "WAL" if wal_is_safe(driver.sqlite_version_info) else "DELETE"
    engine = create_engine(url, module=driver, connect_args={"timeout": 20})

    @event.listens_for(engine, "connect")
    def _settings(dbapi: Any, _record: Any) -> None:
        dbapi.isolation_level = None  # we say BEGIN ourselves
        cursor = dbapi.cursor()
        cursor.execute(f"PRAGMA journal_mode={journal}")
        # An intent that was committed survives a power cut. In a WAL, NORMAL lost nearly all of them. Beside
        # a rollback journal FULL lost some, too: there the journal's deletion is the commit, and only EXTRA
        # synchronises the folder after it (measured with simulated power cuts; in a WAL the two are one).
        cursor.execute("PRAGMA synchronous=EXTRA")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        write = conn.get_execution_options().get("launchday_write", False)
        conn.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def wal_is_safe(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether this SQLite has the WAL-reset fix; without it several writing processes can corrupt a WAL."""
    return any(version[:2] == line[:2] and version >= line for line in _WAL_FIXED) or version >= (3, 51, 3)


def schema_of(mode: str) -> str:
    """PostgreSQL keeps each mode in a schema of its own."""
    return {"live": "launchday"}.get(mode, f"launchday_{mode}")


def _postgres(url: str, mode: str) -> Engine:
    address = make_url(url)
    if address.drivername in ("postgres", "postgresql"):
        address = address.set(drivername="postgresql+psycopg")
    if not address.drivername.startswith("postgresql"):
        raise StoreError(
            f"LAUNCHDAY_DATABASE_URL names '{address.drivername}', which is not supported",
            help="use sqlite:////path/to/file.db or postgresql://user@host/database",
        )
    schema = schema_of(mode)
    try:
        engine = create_engine(
            address, connect_args={"options": f"-csearch_path={schema} -csynchronous_commit=on"}
        )
    except ModuleNotFoundError as missing:
        raise StoreError("PostgreSQL needs its driver", help="pip install 'launchday[postgres]'") from missing
    from sqlalchemy.exc import DBAPIError

    try:
        with engine.begin() as conn:
            _one_at_a_time(conn)  # "if not exists" alone can still fail where two create it at once
            conn.execute(text(f"create schema if not exists {schema}"))
    except DBAPIError as error:
        said = str(error.orig).splitlines()[0]
        raise StoreError(
            f"the database cannot be opened: {said}", help="check LAUNCHDAY_DATABASE_URL"
        ) from None
    return engine


def wipe(url: str, mode: str) -> None:
    """Forget everything of a rehearsal. Raises StoreError for any other mode."""
    if mode != "rehearsal":
        raise StoreError(
            f"the database of mode '{mode}' is never wiped", help="this is a bug; please report it"
        )
    if url.startswith("sqlite"):
        path = make_url(url).database
        for tail in ("", "-journal", "-wal", "-shm"):
            if path:
                Path(path + tail).unlink(missing_ok=True)
        return
    engine = _postgres(url, mode)
    with engine.begin() as conn:
        conn.execute(text(f"drop schema if exists launchday_{mode} cascade"))
    engine.dispose()
