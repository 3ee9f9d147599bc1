"""Waves of hundreds: written in bulk, with every guard, default and content check that one delivery has."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from scheduler.domain.delivery import AttemptState, Delivery, State
from scheduler.errors import RefusedTransition
from scheduler.services.clock import Clock
from scheduler.store import log, outbox
from scheduler.store.database import Database
from tests.conftest import NOON

from .rows import event, one_delivery
from .test_outbox import attempt

MANY = 250


@pytest.fixture
def wave(db: Database, clock: Clock) -> list[Delivery]:
    one_delivery(db, clock)
    with db.write() as conn:
        row = dict(conn.execute(text("select * from deliveries")).mappings().one())
        rows = [{**row, "id": f"many-{n}", "name": f"many-{n}"} for n in range(MANY)]
        outbox.add(conn, NOON, rows, [event() for _ in rows])
        return [d for d in outbox.find(conn) if d.id.startswith("many-")]


def test_a_large_wave_changes_state_with_an_entry_for_each(db: Database, wave: list[Delivery]) -> None:
    with db.write() as conn:
        outbox.open_attempts(conn, NOON, [attempt(d.id, f"a-{d.id}") for d in wave])
        outbox.change(conn, NOON, [(d, State.PUBLISHING, {"prepared": d.id}, event()) for d in wave])
    with db.read() as conn:
        found = outbox.find(conn, ids=[d.id for d in wave], states=[State.PUBLISHING])
        assert [replace(d, state=State.SCHEDULED) for d in found] == wave
        assert outbox.column(conn, [d.id for d in wave], "prepared") == {d.id: d.id for d in wave}
        # What the rows did not name has its default.
        assert {a.lease for (a,) in outbox.attempts_of(conn, [d.id for d in wave]).values()} == {0}
        assert log.verify(conn) == 1 + 2 * MANY


def test_one_delivery_that_somebody_changed_meanwhile_stops_the_whole_change(
    db: Database, wave: list[Delivery]
) -> None:
    with db.write() as conn:
        conn.execute(text("update deliveries set revision = 2 where id = 'many-77'"))
    with pytest.raises(RefusedTransition, match="changed by somebody else"), db.write() as conn:
        outbox.change(conn, NOON, [(d, State.PUBLISHING, {}, event()) for d in wave])
    with db.read() as conn:
        assert not outbox.find(conn, states=[State.PUBLISHING])


def test_one_attempt_that_was_settled_already_stops_settling_the_others(
    db: Database, wave: list[Delivery]
) -> None:
    ended = (AttemptState.INTENT, AttemptState.ACCEPTED, {"code": "", "sent_us": 7})
    with db.write() as conn:
        outbox.open_attempts(conn, NOON, [attempt(d.id, f"a-{d.id}") for d in wave])
        outbox.settle_attempts(conn, [("a-many-3", *ended)])
    with pytest.raises(RefusedTransition, match="settled by somebody else"), db.write() as conn:
        outbox.settle_attempts(conn, [(f"a-{d.id}", *ended) for d in wave])
    with db.read() as conn:
        accepted = outbox.with_attempt(conn, [d.id for d in wave], {AttemptState.ACCEPTED})
    assert accepted == {"many-3"}


def test_one_second_open_attempt_refuses_all(db: Database, wave: list[Delivery]) -> None:
    with db.write() as conn:
        outbox.open_attempts(conn, NOON, [attempt("many-5", "first")])
    with pytest.raises(IntegrityError), db.write() as conn:
        outbox.open_attempts(conn, NOON, [attempt(d.id, f"a-{d.id}") for d in wave])


def test_known_words_stand_only_for_stored_bytes_with_their_hash(db: Database, wave: list[Delivery]) -> None:
    known = {d.content_sha256: d.content for d in wave}
    with db.write() as conn:
        conn.execute(text("update deliveries set content = :c where id = 'many-9'"), {"c": b'{"text": "x"}'})
        found = {d.id: d for d in outbox.find(conn, ids=[d.id for d in wave], contents=known)}
    assert found["many-8"].content is known[found["many-8"].content_sha256]
    assert found["many-9"].content.sha256 != found["many-9"].content_sha256
