"""The posting log: numbers without gaps, one transaction with the change, and every tampering found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from scheduler.domain.content import canonical
from scheduler.domain.delivery import State
from scheduler.errors import LogBroken
from scheduler.services.clock import Clock
from scheduler.store import log, outbox
from scheduler.store.database import Database
from tests.services.house import NOON

from .rows import event, one_delivery, write

WRITER = """
import sys
from datetime import datetime, UTC
from scheduler.evidence.entry import Actor, Event
from scheduler.store import log
from scheduler.store.database import open_database
db = open_database(sys.argv[1], "simulation", datetime(2027, 3, 1, tzinfo=UTC))
event = Event("x.y", Actor(sys.argv[2], "", "", "person", "as"))
for n in range(20):
    with db.write() as conn:
        log.append(conn, datetime(2027, 3, 1, tzinfo=UTC), [event])
db.close()
"""


def numbers(db: Database) -> list[int]:
    with db.read() as conn:
        return [e.seq for e in log.read(conn)]


def verified(db: Database) -> int:
    with db.read() as conn:
        return log.verify(conn)


def sql(db: Database, statement: str, **values: Any) -> None:
    with db.write() as conn:
        conn.execute(text(statement), values)


def leaf(db: Database, seq: int) -> bytes:
    with db.read() as conn:
        return bytes(conn.execute(text("select leaf from entries where seq = :s"), {"s": seq}).scalar_one())


def test_numbers_begin_at_one_and_have_no_gaps_after_transactions_that_failed(db: Database) -> None:
    write(db, "a.b", "a.c")
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), db.write() as conn:
            log.append(conn, NOON, [event(), event()]) / 0
    write(db, "a.d")
    assert numbers(db) == [1, 2, 3]
    assert verified(db) == 3


def test_threads_that_write_at_once_leave_no_gap(db: Database) -> None:
    def some(number: int) -> None:
        for n in range(10):
            try:
                with db.write() as conn:
                    log.append(conn, NOON, [event()] * (1 + n % 3))
                    if (n + number) % 4 == 0:
                        raise ZeroDivisionError
            except ZeroDivisionError:
                pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(some, range(4)))
    assert numbers(db) == list(range(1, len(numbers(db)) + 1))
    assert verified(db) == len(numbers(db)) > 40


def test_processes_that_write_at_once_leave_no_gap(db: Database, url: str) -> None:
    commands = [[sys.executable, "-c", WRITER, url, f"writer-{n}"] for n in range(3)]
    writers = [subprocess.Popen(c, stderr=subprocess.PIPE) for c in commands]
    assert [w.communicate(timeout=60)[1] for w in writers] == [b""] * 3
    assert numbers(db) == list(range(1, 61))
    assert verified(db) == 60


@pytest.mark.parametrize("first", ["entry", "change"])
def test_the_entry_and_the_change_are_stored_together_or_not_at_all(
    db: Database, clock: Clock, first: str
) -> None:
    one = one_delivery(db, clock)
    huge = event(campaign="x" * 70_000)  # longer than a leaf may be: a real error after the update
    changes = [(one, State.CANCELLED, {}, huge)]
    with pytest.raises(ValueError, match="longer than 65535"), db.write() as conn:
        # Either the entry of something else is written already, or the change of the state is.
        outbox.change(conn, NOON, changes) if first == "change" else log.append(conn, NOON, [event(), huge])
    with db.read() as conn:
        assert outbox.find(conn)[0].state is State.SCHEDULED
        assert log.count(conn) == 1


def test_a_reason_is_committed_to_and_not_in_the_leaf(db: Database) -> None:
    write(db, "hold.started", said="Mrs Example of Poole rang")
    assert b"Poole" not in leaf(db, 1)
    assert "$sd" in json.loads(leaf(db, 1))["reason"]["text"]
    with db.read() as conn:
        assert next(iter(log.read(conn))).reason_text == "Mrs Example of Poole rang"
    sql(db, "delete from disclosures")
    with db.read() as conn:
        assert next(iter(log.read(conn))).reason_text == ""
    assert verified(db) == 1  # what was erased leaves the log whole


def edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Database], None]:
    def do(db: Database) -> None:
        body = change(json.loads(leaf(db, 2)))
        sql(db, "update entries set leaf = :l where seq = 2", l=canonical(body))

    return do


def raw(replace: Callable[[bytes], bytes]) -> Callable[[Database], None]:
    return lambda db: sql(db, "update entries set leaf = :l where seq = 2", l=replace(leaf(db, 2)))


def runs(*statements: str) -> Callable[[Database], None]:
    def do(db: Database) -> None:
        for one in statements:
            sql(db, one)

    return do


TAMPERINGS: dict[str, tuple[Callable[[Database], None], str]] = {
    "an edited type": (edit(lambda b: {**b, "type": "a.z"}), "columns of entry 2"),
    "an edited time": (edit(lambda b: {**b, "at": "2027-03-01T12:00:00.001Z"}), "columns of entry 2"),
    "another actor": (edit(lambda b: {**b, "actor": {**b["actor"], "id": "eve"}}), "columns of entry 2"),
    "another number": (edit(lambda b: {**b, "seq": 3}), "entry 2 is not the bytes"),
    "no actor": (edit(lambda b: {k: v for k, v in b.items() if k != "actor"}), "entry 2"),
    "a list": (edit(lambda b: [b]), "entry 2"),
    "white space": (raw(lambda r: r.replace(b",", b", ", 1)), "entry 2 is not the bytes"),
    "another order": (
        raw(lambda r: json.dumps(dict(reversed(json.loads(r).items()))).encode()),
        "entry 2 is not the bytes",
    ),
    "no JSON": (raw(lambda r: r[:-1]), "entry 2 is not an entry in canonical JSON"),
    "half a character": (raw(lambda r: b"\xff" + r), "entry 2 is not an entry in canonical JSON"),
    "a number with a fraction": (raw(lambda r: r.replace(b'"v":1', b'"v":1.5')), "entry 2"),
    "a deleted entry": (
        runs("delete from entries where seq = 2"),
        "entry 2 is missing: the log goes on at 3",
    ),
    "no first entry": (runs("delete from entries where seq = 1"), "entry 1 is missing"),
    "a cut end": (runs("delete from entries where seq = 4"), "removed from its end"),
    "nothing left": (runs("delete from disclosures", "delete from entries"), "ends at entry 0"),
    "an added entry": (
        runs(
            "insert into entries select 5, leaf, at, type, actor, campaign, organisation, account, delivery"
            " from entries where seq = 4"
        ),
        "entry 5 is not the bytes",
    ),
    "exchanged numbers": (
        lambda db: (
            [  # type: ignore[func-returns-value]
                sql(db, f"update entries set seq = {new} where seq = {old}")
                for old, new in ((2, 9), (4, 2), (9, 4))
            ]
            and None
        ),
        "entry 2 is not the bytes",
    ),
    "an exchanged column": (
        runs("update entries set delivery = 'x' where seq = 2"),
        "columns of entry 2",
    ),
    "another organisation": (
        runs("update entries set organisation = 'x' where seq = 2"),
        "columns of entry 2",
    ),
    "a forged reason": (
        runs("update disclosures set value = 'I was ill'"),
        "the reason shown for entry 3",
    ),
    "a reason from nowhere": (
        runs("insert into disclosures values (99, 1, 'reason.text', 's', 'v')"),
        "the reason shown for entry 1",
    ),
}


@pytest.mark.parametrize("how", TAMPERINGS)
def test_verify_finds(db: Database, how: str) -> None:
    write(db, "a.b", "a.c")
    write(db, "hold.started", said="because")
    write(db, "a.d")
    assert verified(db) == 4
    tamper, said = TAMPERINGS[how]
    tamper(db)
    with pytest.raises(LogBroken, match=said):
        verified(db)


def test_entries_can_be_read_by_family_and_number(db: Database) -> None:
    write(db, "publish.attempted", "publish.accepted", "published.x")
    with db.read() as conn:
        assert [e.seq for e in log.read(conn, type="publish")] == [1, 2]
        assert [e.seq for e in log.read(conn, type="publish.accepted")] == [2]
        assert [e.seq for e in log.read(conn, after=1)] == [2, 3]
        assert [e.seq for e in log.read(conn, since=NOON)] == [1, 2, 3]
        assert [e.seq for e in log.read(conn, actor="eve")] == []
