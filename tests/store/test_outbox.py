"""The outbox: only transitions of the table, only from the state that was seen, always with the entry."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from scheduler.domain.delivery import ATTEMPT_MAY_BECOME, MAY_BECOME, AttemptState, State
from scheduler.errors import RefusedTransition
from scheduler.services.clock import Clock
from scheduler.store import log, outbox
from scheduler.store.database import Database
from tests.services.house import NOON

from .rows import event, one_delivery

ALL = [(a, b) for a in State for b in State]
ALLOWED = [(a, b) for a, b in ALL if b in MAY_BECOME[a]]


def attempt(delivery: str, number: str, state: AttemptState = AttemptState.INTENT) -> dict[str, object]:
    times = {"intent_at": "", "deadline": "", "ended_at": "", "looked_at": ""}
    words = {"sender": "", "code": "", "detail": ""}
    ids = {"id": number, "delivery_id": delivery, "state": state.value}
    return {**ids, **times, **words, "n": 1, "sent_us": 0, "looks": 0}


def put(db: Database, state: State) -> None:
    with db.write() as conn:
        conn.execute(text("update deliveries set state = :s"), {"s": state.value})


def stored(db: Database) -> tuple[State, int]:
    with db.read() as conn:
        (one,) = outbox.find(conn)
        return one.state, log.count(conn)


def test_every_transition_that_the_table_does_not_have_is_refused_and_every_other_is_not(
    db: Database, clock: Clock
) -> None:
    one = one_delivery(db, clock)
    entries = 1
    for was, to in ALL:
        put(db, was)
        change = (replace(one, state=was), to, {}, event())
        if (was, to) in ALLOWED:
            with db.write() as conn:
                outbox.change(conn, NOON, [change])
            entries += 1
            assert stored(db) == (to, entries)
        else:
            with (
                pytest.raises(RefusedTransition, match=f"is {was} and cannot become {to}"),
                db.write() as conn,
            ):
                outbox.change(conn, NOON, [change])
            assert stored(db) == (was, entries)


def test_a_state_that_is_stale_is_refused_and_nothing_of_the_transaction_is_kept(
    db: Database, clock: Clock
) -> None:
    one = one_delivery(db, clock)
    put(db, State.PUBLISHING)

    def all_at_once() -> None:
        with db.write() as conn:
            log.append(conn, NOON, [event()])
            outbox.note(conn, [one.id], reason="written in the same transaction")
            outbox.change(conn, NOON, [(one, State.CANCELLED, {}, event())])

    with pytest.raises(RefusedTransition, match="changed by somebody else"):
        all_at_once()
    assert stored(db) == (State.PUBLISHING, 1)
    with db.read() as conn:
        assert outbox.find(conn)[0].reason == ""


def test_a_revision_that_is_stale_is_refused(db: Database, clock: Clock) -> None:
    one = one_delivery(db, clock)
    with db.write() as conn:
        outbox.revise(conn, one, {"revision": 2})
    with pytest.raises(RefusedTransition), db.write() as conn:
        outbox.revise(conn, one, {"revision": 3})
    with pytest.raises(RefusedTransition), db.write() as conn:
        outbox.change(conn, NOON, [(one, State.CANCELLED, {}, event())])


def test_a_revision_that_changes_the_state_keeps_to_the_table_too(db: Database, clock: Clock) -> None:
    one = replace(one_delivery(db, clock), state=State.PUBLISHED)
    put(db, State.PUBLISHED)
    with pytest.raises(RefusedTransition, match="cannot become"), db.write() as conn:
        outbox.revise(conn, one, {"state": State.SCHEDULED.value})


def test_one_delivery_cannot_change_twice_in_one_go(db: Database, clock: Clock) -> None:
    one = one_delivery(db, clock)
    with pytest.raises(RefusedTransition), db.write() as conn:
        outbox.change(conn, NOON, [(one, State.CANCELLED, {}, event()), (one, State.CANCELLED, {}, event())])
    assert stored(db) == (State.SCHEDULED, 1)


@pytest.mark.parametrize("first", [AttemptState.INTENT, AttemptState.UNKNOWN])
def test_the_database_itself_refuses_a_second_open_attempt(
    db: Database, clock: Clock, first: AttemptState
) -> None:
    one = one_delivery(db, clock)
    with db.write() as conn:
        outbox.open_attempts(conn, NOON, [attempt(one.id, "1", first)])
    with pytest.raises(IntegrityError), db.write() as conn:
        outbox.open_attempts(conn, NOON, [attempt(one.id, "2")])


def test_another_attempt_may_follow_one_that_ended(db: Database, clock: Clock) -> None:
    one = one_delivery(db, clock)
    ended = set(AttemptState) - {AttemptState.INTENT, AttemptState.UNKNOWN}
    with db.write() as conn:
        for state in sorted(ended):
            outbox.open_attempts(conn, NOON, [attempt(one.id, state.value, state)])
        outbox.open_attempts(conn, NOON, [attempt(one.id, "last")])
        assert outbox.with_attempt(conn, [one.id], [AttemptState.INTENT]) == {one.id}


def test_an_attempt_changes_only_as_its_table_says_and_from_the_state_seen(
    db: Database, clock: Clock
) -> None:
    one = one_delivery(db, clock)
    with db.write() as conn:
        outbox.open_attempts(conn, NOON, [attempt(one.id, "1")])
    for was, allowed in ATTEMPT_MAY_BECOME.items():
        for to in set(AttemptState) - allowed:
            with pytest.raises(RefusedTransition), db.write() as conn:
                outbox.settle_attempts(conn, [("1", was, to, {})])
    with pytest.raises(RefusedTransition, match="settled by somebody else"), db.write() as conn:
        outbox.settle_attempts(conn, [("1", AttemptState.UNKNOWN, AttemptState.ACCEPTED, {})])


def test_there_is_one_living_delivery_per_name(db: Database, clock: Clock) -> None:
    one = one_delivery(db, clock)
    with db.read() as conn:
        row = dict(conn.execute(text("select * from deliveries")).mappings().one())
    with pytest.raises(IntegrityError), db.write() as conn:
        outbox.add(conn, NOON, [{**row, "id": "other"}], [event()])
    put(db, State.CANCELLED)
    with db.write() as conn:
        outbox.add(conn, NOON, [{**row, "id": "other"}], [event()])
        assert len(outbox.find(conn, name=one.name)) == 2


def test_an_attempt_of_no_delivery_is_refused(db: Database) -> None:
    with pytest.raises(IntegrityError), db.write() as conn:
        outbox.open_attempts(conn, NOON, [attempt("nobody", "1")])


def test_damaged_words_are_never_taken_for_the_approved_ones(db: Database, clock: Clock) -> None:
    one_delivery(db, clock)
    with db.write() as conn:
        conn.execute(text("update deliveries set content = :c"), {"c": b'{"text": "other"}'})
    with db.read() as conn:
        (one,) = outbox.find(conn)
    assert one.content.sha256 != one.content_sha256
