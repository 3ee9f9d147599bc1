"""Whether anybody committed anything since one last asked: one small question on a kept connection."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Any

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.engine import make_url

from scheduler.store.database import Database

_PATIENCE = 0.2  # seconds for a database that is busy: then something is happening there


class Changes:
    """Asked again and again by one thread at a time; `close` gives its connection back."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._sqlite: sqlite3.Connection | None = None
        self._postgres: PoolProxiedConnection | None = None

    def mark(self) -> object:
        """A value that differs from the one before if anything was committed in between.

        SQLite counts the commits of others for each connection, and this one never writes. PostgreSQL names
        the transactions that are finished; those of other databases of the server count too. Whoever cannot
        be asked has changed.
        """
        try:
            return self._ask()
        except Exception:
            self.close()
            return object()

    def _ask(self) -> Any:
        if self._db.is_sqlite:
            if self._sqlite is None:
                path = make_url(str(self._db.engine.url)).database or ""
                self._sqlite = sqlite3.connect(path, timeout=_PATIENCE, check_same_thread=False)
            return self._sqlite.execute("PRAGMA data_version").fetchone()
        if self._postgres is None:
            self._postgres = self._db.engine.raw_connection()
            driver: Any = self._postgres.driver_connection
            driver.autocommit = True  # each question sees the present, and no transaction stays open
        # By the driver itself: SQLAlchemy's part of a question costs more than the question.
        cursor = self._postgres.cursor()
        cursor.execute("select pg_current_snapshot()::text")
        found = cursor.fetchone()
        cursor.close()
        return found

    def close(self) -> None:
        """Give the connection back; harmless a second time."""
        with suppress(Exception):
            if self._sqlite:
                self._sqlite.close()
            if self._postgres:
                self._postgres.invalidate()
        self._sqlite = self._postgres = None
