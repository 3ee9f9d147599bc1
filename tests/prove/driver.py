"""A thin DB-API over apsw, as much as SQLAlchemy's sqlite dialect uses: the store's code runs on a `Disk`.

Python's own sqlite3 cannot be given a VFS written in Python; apsw can.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apsw

from .disk import Disk


class PowerCut(BaseException):
    """The machine is off. No `except Exception` goes on after it, as nothing would."""


class Driver:
    """What SQLAlchemy takes for the module `sqlite3`.

    `version` is the library that the store shall believe in (it chooses its journal by it); `instead` gives
    another statement for one of the store's own, for the controls that must lose something.
    """

    paramstyle = "qmark"
    threadsafety = 1
    Binary = bytes
    PARSE_DECLTYPES = PARSE_COLNAMES = 0

    Error = sqlite3.Error
    Warning = sqlite3.Warning
    InterfaceError = sqlite3.InterfaceError
    DatabaseError = sqlite3.DatabaseError
    DataError = sqlite3.DataError
    IntegrityError = sqlite3.IntegrityError
    InternalError = sqlite3.InternalError
    NotSupportedError = sqlite3.NotSupportedError
    OperationalError = sqlite3.OperationalError
    ProgrammingError = sqlite3.ProgrammingError

    def __init__(self, disk: Disk, version: tuple[int, int, int], instead: Mapping[str, str]) -> None:
        self.disk, self.instead = disk, instead
        self.sqlite_version_info = version
        self.open: list[Connection] = []
        self.replaced: set[str] = set()

    def connect(self, path: str, **_settings: Any) -> Connection:
        """A connection to the file on the disk. One at a time: the disk knows no locks."""
        if any(not c.closed for c in self.open):
            raise RuntimeError("the simulated disk carries one connection at a time")
        found = Connection(self, path)
        self.open = [found]
        return found


class Connection:
    def __init__(self, driver: Driver, path: str) -> None:
        self.driver, self.disk = driver, driver.disk
        self.isolation_level: str | None = None
        self.closed = False
        self.db = self.say(lambda: apsw.Connection(path, vfs=self.disk.name))

    def say(self, work: Callable[[], Any]) -> Any:
        """Do it; errors are those of sqlite3, and a machine that is off does nothing more."""
        if self.disk.off:
            raise PowerCut
        try:
            return work()
        except apsw.ConstraintError as error:
            raise sqlite3.IntegrityError(str(error)) from error
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise sqlite3.DatabaseError(str(error)) from error
        except apsw.Error as error:
            if self.disk.off:
                raise PowerCut from error
            raise sqlite3.OperationalError(str(error)) from error

    def cursor(self) -> Cursor:
        return Cursor(self)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Cursor:
        return self.cursor().execute(statement, values)

    def commit(self) -> None:
        self._end("COMMIT")

    def rollback(self) -> None:
        if not self.disk.off:
            self._end("ROLLBACK")

    def _end(self, statement: str) -> None:
        if self.disk.off:
            raise PowerCut
        if self.db.in_transaction:
            self.say(lambda: self.db.execute(statement).fetchall())

    def create_function(self, name: str, arguments: int, work: Any, *, deterministic: bool = False) -> None:
        self.db.create_scalar_function(name, work, arguments, deterministic=deterministic)

    def close(self) -> None:
        self.closed = True
        try:
            self.db.close(force=True)
        except apsw.Error:
            if not self.disk.off:
                raise


class Cursor:
    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.description: Any = None
        self.rowcount = -1
        self.rows: Iterator[Any] = iter(())

    @property
    def lastrowid(self) -> int:
        return int(self.connection.db.last_insert_rowid())

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Cursor:
        return self._run(statement, [values])

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> Cursor:
        return self._run(statement, rows)

    def _run(self, statement: str, rows: Iterable[Sequence[Any]]) -> Cursor:
        driver, db = self.connection.driver, self.connection.db
        if statement in driver.instead:
            driver.replaced.add(statement)
            statement = driver.instead[statement]
        if statement == "PRAGMA journal_mode=WAL":
            # A WAL without shared memory, which a VFS in Python cannot give: one connection holds the file.
            # What is written and when it is synchronised is the same.
            statement = f"PRAGMA locking_mode=EXCLUSIVE; {statement}"
        self.description = None

        def columns(cursor: Any, _statement: str, _values: Any) -> bool:
            # Asked before the first row, as apsw does not tell it after the last.
            self.description = [(name, *[None] * 6) for name, _ in cursor.get_description()] or None
            return True

        def work() -> list[Any]:
            found: list[Any] = []
            cursor = db.cursor()
            cursor.exec_trace = columns
            for values in rows:
                found += cursor.execute(statement, tuple(values)).fetchall()
            return found

        before = db.total_changes()
        self.rows = iter(self.connection.say(work))
        self.rowcount = -1 if self.description else db.total_changes() - before
        return self

    def fetchone(self) -> Any:
        return next(self.rows, None)

    def fetchall(self) -> list[Any]:
        return list(self.rows)

    def fetchmany(self, size: int = 1) -> list[Any]:
        return [row for row, _ in zip(self.rows, range(size), strict=False)]

    def __iter__(self) -> Iterator[Any]:
        return self.rows

    def setinputsizes(self, *_sizes: Any) -> None:
        """Nothing to prepare."""

    def close(self) -> None:
        self.rows = iter(())
