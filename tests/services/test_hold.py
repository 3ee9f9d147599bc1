"""Hold, release, cancel, resolve: what people stop, and what becomes of it afterwards."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.domain.delivery import State
from scheduler.errors import ApprovalError, UsageError
from scheduler.services import hold as holds
from scheduler.services.hold import Released, cancel, may_hold
from scheduler.services.resolve import resolve

from .house import DIRECTORY, LAUNCH, House, actor, rendered

SOON = timedelta(seconds=20)


def hold(house: House, scope: str = "all") -> holds.Held:
    return holds.hold(house.db, house.clock, actor("wil"), scope, "an attack", patience=0)


def release(house: House, scope: str = "all", *, resume: bool = False) -> Released:
    return holds.release(house.db, house.clock, actor("cat"), scope, "over", resume=resume, soon=SOON)


@pytest.fixture
def ready(house: House) -> House:
    house.queue(*(rendered(a) for a in ("dorset/record", "dorset/key", "wiltshire/record")))
    house.approve_all()
    return house


@pytest.mark.parametrize(
    ("scope", "stopped"),
    [
        ("all", {"dorset/record", "dorset/key", "wiltshire/record"}),
        ("campaign:spring", {"dorset/record", "dorset/key", "wiltshire/record"}),
        ("campaign:autumn", set()),
        ("org:dorset", {"dorset/record", "dorset/key"}),
        ("platform:record", {"dorset/record", "wiltshire/record"}),
        ("account:dorset/key", {"dorset/key"}),
        ("post:spring/launch", {"dorset/record", "dorset/key", "wiltshire/record"}),
        ("post:spring/other", set()),
    ],
)
def test_a_hold_stops_exactly_its_scope(ready: House, scope: str, stopped: set[str]) -> None:
    held = hold(ready, scope)
    assert {d.account for d in held.waiting} == stopped
    ready.launch()
    assert {p.account for p in ready.world.posts} == {d.account for d in ready.all()} - stopped
    assert {d.account for d in ready.all() if d.state is State.SCHEDULED} == stopped


def test_a_hold_says_by_name_what_had_left_and_what_is_in_doubt(ready: House) -> None:
    passed = ready.gate(ready.arm())
    ready.fire(passed, how=lambda d: "lost" if d.platform == "key" else "ok")
    held = hold(ready)
    assert [d.name for d in held.out] == ["dorset/record/launch", "wiltshire/record/launch"]
    assert [d.name for d in held.in_doubt] == ["dorset/key/launch"]
    assert held.waiting == ()


def test_a_hold_needs_a_reason_and_an_approver(ready: House) -> None:
    with pytest.raises(UsageError, match="needs its reason"):
        holds.hold(ready.db, ready.clock, actor("wil"), "all", "  ", patience=0)
    with pytest.raises(ApprovalError, match="no approver"):
        may_hold(DIRECTORY, actor("ann"))
    may_hold(DIRECTORY, actor("cat"))


def test_what_was_due_during_a_hold_is_missed_when_it_ends(ready: House) -> None:
    hold(ready)
    ready.launch()
    ready.hands.at = LAUNCH + timedelta(minutes=2)
    done = release(ready)
    assert (len(done.missed), done.resumed) == (3, ())
    assert {d.state for d in ready.all()} == {State.MISSED}
    ready.launch(at=LAUNCH + timedelta(minutes=3))
    assert ready.world.posts == []


def test_with_resume_what_was_due_goes_soon_while_its_window_is_open(ready: House) -> None:
    hold(ready)
    ready.hands.at = LAUNCH + timedelta(minutes=2)
    done = release(ready, resume=True)
    assert (len(done.resumed), done.missed) == (3, ())
    assert {d.fire_at for d in ready.all()} == {LAUNCH + timedelta(minutes=2) + SOON}
    ready.launch(at=LAUNCH + timedelta(minutes=2) + SOON)
    assert len(ready.world.posts) == 3


def test_resume_after_the_window_closed_is_missed_too(ready: House) -> None:
    hold(ready)
    ready.hands.at = LAUNCH + timedelta(minutes=9, seconds=50)
    assert len(release(ready, resume=True).missed) == 3


def test_a_release_before_anything_was_due_changes_nothing_else(ready: House) -> None:
    hold(ready)
    done = release(ready)
    assert (done.missed, done.resumed) == ((), ())
    ready.launch()
    assert len(ready.world.posts) == 3


def test_what_another_hold_still_covers_stays_held(ready: House) -> None:
    hold(ready)
    hold(ready, "org:dorset")
    ready.hands.at = LAUNCH + timedelta(minutes=1)
    with pytest.raises(UsageError, match="no hold on 'platform:key'"):
        release(ready, "platform:key")
    # `all` ends every hold; so end the wide one by ending only the narrow one first.
    done = release(ready, "org:dorset", resume=True)
    assert (done.missed, done.resumed) == ((), ())
    assert {d.state for d in ready.all()} == {State.SCHEDULED}
    assert len(release(ready, "all").missed) == 3


def test_a_release_is_no_verdict_where_an_attempt_may_still_land(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    house.launch("late")
    house.look(timedelta(seconds=40))
    hold(house)
    house.hands.at += timedelta(seconds=5)
    release(house)
    assert house.get().state is State.ASKING


def test_cancel_takes_out_what_waits_and_leaves_what_began(ready: House) -> None:
    armed = ready.arm()
    key = ready.get("dorset/key/launch")
    ready.gate({key.id: armed[key.id]})
    done = cancel(ready.db, ready.clock, actor("bob"), ready.all(), "wrong week")
    assert {d.name for d in done} == {"dorset/record/launch", "wiltshire/record/launch"}
    assert ready.get("dorset/key/launch").state is State.PUBLISHING
    assert [e.reason_text for e in ready.entries("content.withdrawn")] == ["wrong week"] * 2


def test_cancelling_what_may_still_land_stops_it_and_asks(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    house.launch("late")
    house.look(timedelta(seconds=40))
    assert cancel(house.db, house.clock, actor("bob"), house.all(), "") == ()
    assert house.get().state is State.ASKING


def _asked(house: House) -> None:
    house.queue(rendered("dorset/write-only"))
    house.approve_all()
    house.launch("lost")
    house.look(timedelta(seconds=31))
    assert house.all()[0].state is State.ASKING


@pytest.mark.parametrize(
    ("address", "state", "attempt"),
    [("https://x.example/1", State.PUBLISHED, "accepted"), ("", State.FAILED, "proven_absent")],
)
def test_a_persons_answer_is_recorded_as_that_persons_word(
    house: House, address: str, state: State, attempt: str
) -> None:
    _asked(house)
    assert resolve(house.db, house.clock, actor("bob"), house.all()[0], address, "I looked") is state
    one = house.all()[0]
    assert (one.state, one.url, one.reason) == (state, address, "by bob's word")
    assert house.attempts(one.name) == [attempt]
    entry = house.entries("publish.reconciled")[-1]
    assert (entry.body["by_word_of"], entry.reason_text) == ("bob", "I looked")


def test_only_a_question_can_be_answered(ready: House) -> None:
    with pytest.raises(UsageError, match="not a question"):
        resolve(ready.db, ready.clock, actor("bob"), ready.get(), "", "")
