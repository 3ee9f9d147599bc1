"""Settling: what each kind of answer makes of an attempt, a delivery and the log."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.domain.content import instant
from scheduler.domain.delivery import State
from scheduler.domain.publisher import Receipt
from scheduler.errors import OutcomeUnknown, Rejected
from scheduler.services.settle import Outcome, settle
from scheduler.store import desk

from .house import LAUNCH, House, rendered


@pytest.fixture
def ready(house: House) -> House:
    house.queue(rendered())
    house.approve_all()
    return house


@pytest.mark.parametrize(
    ("fault", "state", "attempt", "entry"),
    [
        ("ok", State.PUBLISHED, "accepted", "publish.accepted"),
        ("rejected", State.FAILED, "rejected", "publish.failed"),
        ("unauthorised", State.FAILED, "rejected", "publish.failed"),
        ("throttled", State.SCHEDULED, "not_sent", "publish.deferred"),
        ("not_sent", State.SCHEDULED, "not_sent", "publish.deferred"),
        ("lost", State.UNCONFIRMED, "unknown", "publish.unknown"),
        ("lost_but_done", State.UNCONFIRMED, "unknown", "publish.unknown"),
    ],
)
def test_each_kind_of_answer_has_its_state_attempt_and_entry(
    ready: House, fault: str, state: State, attempt: str, entry: str
) -> None:
    ready.launch(fault)
    assert (ready.get().state, ready.attempts()) == (state, [attempt])
    assert ready.entries(entry)
    assert ready.verify() == len(ready.entries())


def test_a_receipt_is_kept_and_logged(ready: House) -> None:
    ready.launch()
    one = ready.get()
    assert (one.remote_id, one.url, one.published_at) == ("1", "https://fake.example/1", LAUNCH)
    (entry,) = ready.entries("publish.accepted")
    assert entry.body["receipt"] == {"remote_id": "1", "url": "https://fake.example/1"}


def test_a_refused_token_holds_its_account_and_only_it_and_senders_look_again(house: House) -> None:
    house.queue(rendered("dorset/record"), rendered("dorset/key"))
    house.approve_all()
    with house.db.read() as conn:
        before = desk.stop_epoch(conn)
    passed = house.gate(house.arm())
    house.fire(passed, how=lambda d: "unauthorised" if d.platform == "record" else "ok")
    with house.db.read() as conn:
        (held,) = desk.holds(conn)
        assert desk.stop_epoch(conn) > before
    assert held.scope == "account:dorset/record"
    assert [e.body["scope"] for e in house.entries("hold.started")] == ["account:dorset/record"]
    assert house.get("dorset/key/launch").state is State.PUBLISHED


@pytest.mark.parametrize(
    ("asked", "at"),
    [
        (timedelta(minutes=3), timedelta(minutes=3)),
        (timedelta(days=-2), timedelta(seconds=1)),
    ],
)
def test_a_throttled_delivery_waits_as_long_as_it_was_asked_to_within_reason(
    ready: House, asked: timedelta, at: timedelta
) -> None:
    ready.world.retry_at = LAUNCH + asked
    ready.launch("throttled")
    # Up to a tenth later, so that accounts do not all come back at once.
    assert LAUNCH + at <= ready.get().fire_at <= LAUNCH + at * 1.1
    (entry,) = ready.entries("publish.deferred")
    assert entry.body["next_try_at"] == instant(ready.get().fire_at)


def test_what_was_certainly_not_sent_is_tried_again_each_time_later(ready: House) -> None:
    at, waits = LAUNCH, []
    for _ in range(4):
        ready.launch("not_sent", at)
        waits.append(ready.get().fire_at - at)
        at = ready.get().fire_at
    assert waits == sorted(waits)
    assert timedelta(seconds=1) <= waits[0] <= timedelta(seconds=3)
    assert timedelta(seconds=8) <= waits[3] <= timedelta(seconds=11)
    ready.launch("ok", at)
    assert (ready.get().state, len(ready.world.posts)) == (State.PUBLISHED, 1)


def test_a_refusal_is_no_failure_while_an_earlier_attempt_may_still_land(ready: House) -> None:
    ready.launch("late")
    ready.look(timedelta(seconds=40))
    ready.launch("rejected", ready.get().fire_at)
    assert ready.attempts() == ["resend_safe", "rejected"]
    assert ready.get().state is State.ASKING
    ready.world.land()
    assert len(ready.world.posts) == 1


def test_an_outcome_is_recorded_once_and_a_second_word_is_kept_beside_it(ready: House) -> None:
    passed = ready.gate(ready.arm())
    ready.fire(passed)
    ((delivery, attempt),) = passed.attempts.items()
    before, entries = ready.get(), len(ready.entries())
    settle(ready.db, ready.clock, [Outcome(delivery, attempt, Rejected("late", "word"))])
    assert (ready.get(), ready.attempts()) == (before, ["accepted"])
    assert [e.body["type"] for e in ready.entries()[entries:]] == ["publish.late_evidence"]


@pytest.mark.parametrize("said", ["nul \0 nul", "half \ud800 character", "x" * 100_000])
def test_whatever_a_server_says_can_be_stored_and_logged(ready: House, said: str) -> None:
    ((delivery, attempt),) = ready.gate(ready.arm()).attempts.items()
    settle(ready.db, ready.clock, [Outcome(delivery, attempt, OutcomeUnknown(said, said))])
    assert ready.get().state is State.UNCONFIRMED
    assert ready.verify() == len(ready.entries())


def test_a_receipt_with_the_id_of_another_deliverys_post_is_looked_for_instead(house: House) -> None:
    house.queue(rendered(text="one"), rendered(text="two", post="later"))
    house.approve_all()
    passed = house.gate(house.arm())
    proof = Receipt("7", "https://fake.example/7")
    outcomes = [Outcome(delivery, attempt, proof) for delivery, attempt in passed.attempts.items()]
    settle(house.db, house.clock, outcomes)
    states = {d.state: d for d in house.all()}
    assert set(states) == {State.PUBLISHED, State.UNCONFIRMED}
    assert "the id of another post" in states[State.UNCONFIRMED].reason
