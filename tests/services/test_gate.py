"""The gate and the last look: what may go is written as an intent; what may not, stays or is missed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from scheduler.domain.content import Blackout
from scheduler.domain.delivery import State
from scheduler.domain.gates import MAX_ATTEMPTS
from scheduler.services.hold import cancel, hold
from scheduler.services.windows import close_windows

from .house import LAUNCH, House, actor, rendered


def codes(passed: object) -> set[str]:
    return {g.code for _, why in passed.shut for g in why}  # type: ignore[attr-defined]


@pytest.fixture
def ready(house: House) -> House:
    house.queue(rendered())
    house.approve_all()
    return house


def test_the_intent_is_stored_and_logged_before_anything_is_sent(ready: House) -> None:
    passed = ready.gate(ready.arm())
    assert len(passed.attempts) == 1
    assert (ready.get().state, ready.attempts()) == (State.PUBLISHING, ["intent"])
    (entry,) = ready.entries("publish.attempted")
    assert (entry.body["try"], entry.body["key"]) == (1, ready.get().key)
    assert ready.world.posts == []


def test_nothing_passes_the_gate_twice(ready: House) -> None:
    armed = ready.arm()
    ready.gate(armed)
    again = ready.gate(armed)
    assert again.attempts == {}
    assert codes(again) == {"state", "in_doubt"}


def test_a_wave_that_is_called_early_stays(ready: House) -> None:
    passed = ready.gate(ready.arm(), LAUNCH - timedelta(seconds=2))
    assert codes(passed) == {"too_early", "embargo"}
    assert ready.get().state is State.SCHEDULED


@pytest.mark.parametrize("early", [timedelta(milliseconds=ms) for ms in (1, 299, 7_200_000)])
def test_nothing_leaves_before_its_embargo_even_when_a_waker_calls_early(
    house: House, early: timedelta
) -> None:
    embargo = LAUNCH + timedelta(minutes=1)
    house.queue(rendered(embargo=embargo))
    house.approve_all()
    armed = house.arm()
    house.hands.at = embargo - early
    passed = house.gate(armed, embargo - early)
    assert passed.attempts == {}
    assert "embargo" in codes(passed)
    house.hands.at = embargo
    assert len(house.gate(armed, embargo).attempts) == 1


def test_in_a_blackout_of_its_organisation_nothing_goes(house: House) -> None:
    quiet = Blackout(LAUNCH, LAUNCH + timedelta(minutes=5), ("dorset",), "minute's silence")
    house.queue(*(rendered(a, blackouts=[quiet]) for a in ("dorset/record", "wiltshire/record")))
    house.approve_all()
    passed = house.launch()
    assert codes(passed) == {"blackout"}
    assert house.get("wiltshire/record/launch").state is State.PUBLISHED
    assert house.get().state is State.SCHEDULED
    house.launch(at=LAUNCH + timedelta(minutes=5, seconds=1))
    assert house.get().state is State.PUBLISHED


def test_words_that_change_after_arming_are_shut_out(ready: House) -> None:
    armed = ready.arm()
    ready.queue(rendered(text="other words"))
    ready.approve_all()
    passed = ready.gate(armed)
    assert codes(passed) == {"changed"}
    assert ready.get().state is State.SCHEDULED
    ready.launch()
    assert [p.text for p in ready.world.posts] == ["other words"]


def test_bytes_that_are_altered_in_the_store_are_neither_armed_nor_let_through(ready: House) -> None:
    armed = ready.arm()
    with ready.db.write() as conn:
        body = ready.get().content.canonical().replace(b"words", b"swear")
        conn.execute(text("update deliveries set content = :b"), {"b": body})
    assert codes(ready.gate(armed)) == {"changed"}
    assert ready.arm() == {}


def test_a_hold_after_the_gate_makes_the_last_look_fail_and_nothing_is_sent(ready: House) -> None:
    passed = ready.gate(ready.arm())
    held = hold(ready.db, ready.clock, actor("wil"), "all", "an attack", patience=0)
    assert [d.name for d in held.in_doubt] == ["dorset/record/launch"]
    assert not ready.fire(passed)
    assert ready.world.posts == []
    assert (ready.get().state, ready.attempts(), ready.get().attempts) == (
        State.SCHEDULED,
        ["not_sent"],
        0,
    )
    assert codes(ready.gate(ready.arm())) == {"hold"}


def test_a_hold_a_second_before_launch_holds(ready: House) -> None:
    armed = ready.arm()
    ready.hands.at = LAUNCH - timedelta(seconds=1)
    hold(ready.db, ready.clock, actor("wil"), "all", "an attack", patience=0)
    passed = ready.gate(armed)
    assert (passed.attempts, codes(passed)) == ({}, {"hold"})
    assert ready.get().state is State.SCHEDULED


def test_cancelling_another_delivery_only_makes_the_wave_ask_again(house: House) -> None:
    house.queue(rendered(), rendered(post="later", due=LAUNCH + timedelta(days=1)))
    house.approve_all()
    passed = house.gate(house.arm())
    later = house.get("dorset/record/later")
    cancel(house.db, house.clock, actor("bob"), [later], "")
    assert not house.fire(passed)
    house.hands.at += timedelta(milliseconds=1)
    assert house.fire(house.gate(house.arm()))
    assert house.get().state is State.PUBLISHED
    assert house.attempts() == ["not_sent", "accepted"]


def test_five_attempts_are_enough(ready: House) -> None:
    at = LAUNCH
    for _ in range(MAX_ATTEMPTS):
        ready.launch("not_sent", at)
        at = ready.get().fire_at
    assert ready.attempts() == ["not_sent"] * MAX_ATTEMPTS
    assert codes(ready.gate(ready.arm(at), at)) == {"attempts"}
    ready.hands.at = LAUNCH + timedelta(minutes=11)
    close_windows(ready.db, ready.clock)
    assert (ready.get().state, ready.get().reason) == (State.MISSED, "5 attempts were made")


def test_a_closed_window_lets_nothing_through_and_is_missed_with_a_reason(ready: House) -> None:
    armed = ready.arm()
    ready.hands.at = LAUNCH + timedelta(minutes=10, seconds=1)
    assert codes(ready.gate(armed)) == {"too_late"}
    (missed,) = close_windows(ready.db, ready.clock)
    assert missed.name == "dorset/record/launch"
    assert (ready.get().state, ready.get().reason) == (
        State.MISSED,
        "nothing was running when it was due",
    )
    assert close_windows(ready.db, ready.clock) == ()


def test_a_window_that_closes_while_an_attempt_may_still_land_is_a_question(ready: House) -> None:
    ready.launch("late")
    ready.look(timedelta(seconds=40))
    ready.launch("not_sent", ready.get().fire_at)
    assert ready.attempts() == ["resend_safe", "not_sent"]
    ready.hands.at = LAUNCH + timedelta(minutes=11)
    close_windows(ready.db, ready.clock)
    ready.world.land()
    assert ready.get().state is State.ASKING
    assert "schedule.missed" not in ready.types()


def test_losing_its_approval_while_an_attempt_may_still_land_is_a_question(ready: House) -> None:
    ready.launch("late")
    ready.look(timedelta(seconds=40))
    ready.approvers["dorset"] = ()
    ready.gate(ready.ready(), ready.get().fire_at)
    assert ready.get().state is State.ASKING
    assert ready.types()[-1] == "publish.unknown"
