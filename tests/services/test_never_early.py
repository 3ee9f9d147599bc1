"""Nothing leaves before its time, its embargo or its turn: not late gates, set-back clocks or receipts."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from scheduler.domain.delivery import State
from scheduler.domain.publisher import Receipt
from scheduler.errors import NotSent, RetryLater
from scheduler.services.move import move
from scheduler.services.settle import Outcome, settle

from .house import LAUNCH, LEAD, House, actor, rendered

TOMORROW = LAUNCH + timedelta(days=1)
MOMENT = timedelta(milliseconds=1)


def codes(passed: object) -> set[str]:
    return {g.code for _, why in passed.shut for g in why}  # type: ignore[attr-defined]


@pytest.fixture
def ready(house: House) -> House:
    house.queue(rendered())
    house.approve_all()
    return house


@pytest.fixture
def thread(house: House) -> House:
    house.queue(rendered(part=1, parts=2, text="one"), rendered(part=2, parts=2, text="two"))
    house.approve_all()
    return house


@pytest.mark.parametrize("early", [MOMENT, LEAD, timedelta(seconds=1), timedelta(hours=3)])
def test_a_sender_that_would_fire_before_its_time_does_not_pass(ready: House, early: timedelta) -> None:
    armed = ready.arm()
    assert codes(ready.gate(armed, LAUNCH - early)) == {"too_early", "embargo"}
    assert (ready.get().state, ready.attempts()) == (State.SCHEDULED, [])
    assert len(ready.gate(armed, LAUNCH).attempts) == 1


@pytest.mark.parametrize("waited", [timedelta(0), LEAD, timedelta(seconds=5)])
def test_a_gate_that_waited_for_the_write_lock_judges_the_instant_at_which_it_will_fire(
    ready: House, waited: timedelta
) -> None:
    """However late the gate gets its turn: a volley for an instant before T0 is no volley of T0."""
    armed = ready.arm()
    locked, seen = threading.Event(), []
    asking = threading.Thread(target=lambda: seen.append(ready.gate(armed, LAUNCH - MOMENT)))

    def write() -> None:
        with ready.db.write():
            locked.set()
            asking.start()
            ready.hands.at = LAUNCH - LEAD + waited

    writer = threading.Thread(target=write)
    writer.start()
    locked.wait()
    writer.join()
    asking.join()
    assert seen[0].attempts == {}
    assert {"too_early", "embargo"} <= codes(seen[0])


def test_a_gate_that_is_asked_long_before_its_instant_is_asked_again(ready: House) -> None:
    ready.hands.at = LAUNCH - timedelta(seconds=3)
    armed = ready.arm()
    ready.gate(armed, LAUNCH - timedelta(seconds=3) + LEAD)
    assert ready.get().state is State.SCHEDULED
    assert codes(ready.gate(ready.arm(), LAUNCH)) == set()


def test_a_deferred_delivery_waits_for_its_new_time_and_not_only_for_its_own(ready: House) -> None:
    ready.world.retry_at = LAUNCH + timedelta(minutes=2)
    ready.launch("throttled")
    assert ready.get().fire_at >= LAUNCH + timedelta(minutes=2)
    armed = ready.arm(LAUNCH + timedelta(minutes=3))
    assert codes(ready.gate(armed, LAUNCH + timedelta(minutes=1))) == {"too_early"}


def test_a_part_that_was_moved_to_tomorrow_is_not_woken_today_by_its_parents_receipt(thread: House) -> None:
    first, second = thread.all()
    passed = thread.gate(thread.arm())
    done = move(thread.db, thread.clock, actor("bea"), [second], TOMORROW, "a storm")
    assert [d.name for d in done.moved] == [second.name]
    thread.approve_all()
    thread.hands.at = LAUNCH
    receipt = Receipt("1", "https://fake.example/1")
    settle(thread.db, thread.clock, [Outcome(first.id, passed.attempts[first.id], receipt)])
    assert (thread.get(first.name).state, thread.get(second.name).fire_at) == (State.PUBLISHED, TOMORROW)
    assert codes(thread.gate(thread.ready(second.name), LAUNCH + MOMENT)) >= {"too_early"}


def test_a_part_that_was_moved_is_not_woken_when_its_parent_is_found_out_later(thread: House) -> None:
    first, second = thread.all()
    thread.launch("lost_but_done")
    move(thread.db, thread.clock, actor("bea"), [second], TOMORROW)
    assert thread.look() == ["asked the platform: there; recorded, not sent again"]
    assert (thread.get(first.name).state, thread.get(second.name).fire_at) == (State.PUBLISHED, TOMORROW)


def test_a_part_goes_right_after_its_parent_and_not_before_its_own_time(thread: House) -> None:
    first, second = thread.all()
    thread.launch("ok")
    assert thread.get(first.name).state is State.PUBLISHED
    assert LAUNCH <= thread.get(second.name).fire_at <= LAUNCH + timedelta(seconds=1)


@pytest.mark.parametrize("back", [MOMENT, timedelta(minutes=8), timedelta(hours=2)])
@pytest.mark.parametrize("result", [NotSent("clock_stepped", "x"), RetryLater("http_429", "slow down")])
def test_an_outcome_before_t0_because_the_clock_was_set_back_never_lowers_its_time_below_due(
    ready: House, back: timedelta, result: NotSent | RetryLater
) -> None:
    passed = ready.gate(ready.arm())
    one = ready.get()
    ready.hands.at = LAUNCH - back
    settle(ready.db, ready.clock, [Outcome(one.id, passed.attempts[one.id], result)])
    assert (ready.get().state, ready.get().fire_at >= LAUNCH) == (State.SCHEDULED, True)
    assert codes(ready.gate(ready.ready(), LAUNCH - MOMENT)) >= {"too_early"}


def test_what_is_looked_for_before_t0_because_the_clock_was_set_back_stays_for_its_time(
    house: House,
) -> None:
    house.queue(rendered("dorset/listing"))
    house.approve_all()
    passed = house.gate(house.arm())
    one = house.get("dorset/listing/launch")
    house.hands.at = LAUNCH - timedelta(minutes=20)
    settle(house.db, house.clock, [Outcome(one.id, passed.attempts[one.id], NotSent("dns"))])
    assert house.get(one.name).fire_at >= one.due
