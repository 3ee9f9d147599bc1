"""A busy database is asked again; at the last look it means stop; each writer sees the one before it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event, text

from scheduler.domain.delivery import State
from scheduler.errors import NotSent, OutcomeUnknown, TryLater
from scheduler.sender import _fire
from scheduler.services import gate as gates
from scheduler.services.collect import patiently
from scheduler.services.ground import Ground
from scheduler.services.mishap import Mishap
from scheduler.services.settle import Outcome, settle
from scheduler.store.database import Database, open_database
from scheduler.transport.volley import Fired
from tests import postgres as pg
from tests.conftest import NOON

from .house import LAUNCH, House, rendered


@pytest.fixture
def wave(house: House) -> House:
    house.queue(*(rendered(f"{o}/record") for o in ("dorset", "wiltshire", "charity")))
    house.approve_all()
    return house


@contextmanager
def impatient(db: Database) -> Iterator[threading.Event]:
    """Give up waiting for a lock at once; the event says that this has happened."""
    short = "PRAGMA busy_timeout=1" if db.is_sqlite else "SET lock_timeout = 1"
    refused = threading.Event()

    def soon(dbapi: Any, _record: object) -> None:
        with closing(dbapi.cursor()) as cursor:
            cursor.execute(short)
        dbapi.commit()

    def seen(_context: object) -> None:
        refused.set()

    db.engine.dispose()
    event.listen(db.engine, "connect", soon)
    event.listen(db.engine, "handle_error", seen)
    try:
        yield refused
    finally:
        event.remove(db.engine, "connect", soon)
        event.remove(db.engine, "handle_error", seen)
        db.engine.dispose()


@contextmanager
def somebody_writes(url: str, until: threading.Event) -> Iterator[None]:
    """Another program holds the write lock until the event."""
    other, locked = open_database(url, "simulation", NOON), threading.Event()

    def write() -> None:
        with other.write():
            locked.set()
            until.wait(60)

    writer = threading.Thread(target=write)
    writer.start()
    locked.wait()
    try:
        yield
    finally:
        until.set()
        writer.join()
        other.close()


def test_standing_down_is_tried_again_while_the_database_is_busy(wave: House, url: str) -> None:
    passed = wave.gate(wave.arm())
    why = NotSent("stopped", "somebody said stop")
    with impatient(wave.db) as refused, somebody_writes(url, refused):
        patiently(partial(gates.stand_down, wave.db, wave.clock, passed.attempts, why))
        assert refused.is_set()
    assert {d.state for d in wave.all()} == {State.SCHEDULED}
    assert [wave.attempts(d.name) for d in wave.all()] == [["not_sent"]] * 3


def test_outcomes_are_recorded_once_the_database_is_free_again(wave: House, url: str) -> None:
    passed = wave.gate(wave.arm())
    why = OutcomeUnknown("no_reply", "no reply came")
    outcomes = [Outcome(i, a, why) for i, a in passed.attempts.items()]
    with impatient(wave.db) as refused, somebody_writes(url, refused):
        patiently(partial(settle, wave.db, wave.clock, outcomes))
        assert refused.is_set()
    assert {d.state for d in wave.all()} == {State.UNCONFIRMED}


def test_patience_ends_and_says_why(wave: House, url: str) -> None:
    done = threading.Event()
    with impatient(wave.db), somebody_writes(url, done), pytest.raises(TryLater, match="busy"):
        patiently(partial(close_all, wave), seconds=0.0)


def close_all(house: House) -> None:
    with house.db.write():
        pass


@dataclass
class LastLook:
    """A volley that has come to its last look, which finds the database locked."""

    lock: Any

    def fire(self, *_: object, last_look: Any, **__: object) -> Fired:
        with self.lock():
            return Fired(held=not last_look())


@pytest.mark.parametrize("locked", [True, False])
def test_a_database_that_is_busy_at_the_last_look_means_stop(
    wave: House, url: str, database: str, locked: bool
) -> None:
    passed = wave.gate(wave.arm())
    other = open_database(url, "simulation", NOON)

    @contextmanager
    def shut() -> Iterator[None]:
        with other.engine.connect() as conn:
            if not locked:
                pass
            elif database == "sqlite":
                conn.exec_driver_sql("PRAGMA locking_mode=EXCLUSIVE")
                conn.rollback()
                conn.exec_driver_sql("PRAGMA journal_mode=DELETE")
                conn.rollback()
                conn.connection.driver_connection.execute("BEGIN EXCLUSIVE")
            else:
                conn.exec_driver_sql("LOCK TABLE control IN ACCESS EXCLUSIVE MODE")
            try:
                yield
            finally:
                conn.invalidate()

    app = SimpleNamespace(db=wave.db, clock=wave.clock)
    fired = _fire(app, LastLook(shut), passed, LAUNCH, Ground(), Mishap())  # type: ignore[arg-type]
    assert fired.held is locked
    other.close()


@pytest.fixture
def strict_role(postgres: pg.Postgres) -> Iterator[str]:
    """A database whose role asks for SERIALIZABLE by default."""
    postgres.run("create database strict")
    postgres.run("alter role launchday in database strict set default_transaction_isolation = 'serializable'")
    yield postgres.url("strict")
    postgres.run("drop database strict with (force)")


def test_a_writer_that_waited_sees_what_the_one_before_it_wrote_whatever_the_roles_default(
    strict_role: str,
) -> None:
    one, two = (open_database(strict_role, "simulation", NOON) for _ in range(2))
    with one.engine.connect() as conn:
        assert conn.exec_driver_sql("show transaction_isolation").scalar() == "serializable"
    with one.write() as conn:
        assert conn.exec_driver_sql("show transaction_isolation").scalar() == "read committed"
    with one.read() as conn:
        assert conn.exec_driver_sql("show transaction_isolation").scalar() == "repeatable read"
    writers = [threading.Thread(target=add, args=(db, 20)) for db in (one, two)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with one.read() as conn:
        assert conn.exec_driver_sql("select stop_epoch from control").scalar() == 40
    one.close()
    two.close()


def add(db: Database, times: int) -> None:
    """Read, then write what was read plus one: two that see the same number lose one of them."""
    for _ in range(times):
        with db.write() as conn:
            seen = conn.exec_driver_sql("select stop_epoch from control").scalar_one()
            conn.execute(text("update control set stop_epoch = :n"), {"n": seen + 1})
