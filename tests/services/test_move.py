"""Moving a wave: the words keep their key, approvals are asked again, what may still land stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.domain.content import Blackout, instant
from scheduler.domain.delivery import State
from scheduler.errors import ApprovalError, UsageError
from scheduler.services.move import move
from scheduler.services.windows import close_windows
from scheduler.store import desk

from .house import LAUNCH, House, actor, rendered

LATER = LAUNCH + timedelta(days=1)


def test_a_wave_moves_whole_with_its_window_and_keeps_its_keys(house: House) -> None:
    house.queue(*(rendered(a) for a in ("dorset/record", "wiltshire/record")))
    house.approve_all()
    before = {d.id: d for d in house.all()}
    done = move(house.db, house.clock, actor("bea"), house.all(), LATER, "the minister is ill")
    assert (len(done.moved), done.refused, done.voided) == (2, (), 2)
    for one in house.all():
        assert (one.due, one.fire_at, one.not_after) == (LATER, LATER, LATER + timedelta(minutes=10))
        assert (one.key, one.content_sha256) == (before[one.id].key, before[one.id].content_sha256)
        assert house.decisions(one.name)[0][1:] == ("voided", "the time changed")
    (first, _) = house.entries("schedule.moved")
    assert (first.body["from"], first.body["to"]) == (instant(LAUNCH), instant(LATER))
    assert first.reason_text == "the minister is ill"
    house.launch(at=LAUNCH)
    assert house.world.posts == []
    house.launch(at=LATER)
    assert {d.state for d in house.all()} == {State.MISSED}  # nobody approved the new time


def test_a_missed_delivery_can_be_moved_and_goes_after_new_approval(house: House) -> None:
    house.queue(rendered())
    house.launch()
    assert house.get().state is State.MISSED
    move(house.db, house.clock, actor("bea"), house.all(), LATER)
    house.approve_all()
    house.launch(at=LATER)
    assert house.get().state is State.PUBLISHED


@pytest.mark.parametrize("fault", ["ok", "lost"])
def test_what_is_not_waiting_is_not_moved(house: House, fault: str) -> None:
    house.queue(rendered())
    house.approve_all()
    house.launch(fault)
    done = move(house.db, house.clock, actor("bea"), house.all(), LATER)
    assert done.moved == ()
    assert house.get().due == LAUNCH


def test_what_may_still_land_is_not_moved(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    house.launch("late")
    house.look(timedelta(seconds=40))
    done = move(house.db, house.clock, actor("bea"), house.all(), LATER)
    assert [why for _, why in done.refused] == ["an earlier attempt may still land"]
    assert (house.get().due, house.get().state) == (LAUNCH, State.SCHEDULED)


def test_nothing_is_moved_into_the_past_before_its_embargo_or_into_a_blackout(house: House) -> None:
    quiet = Blackout(LATER, LATER + timedelta(hours=1), (), "election")
    house.queue(rendered(blackouts=[quiet]))
    with pytest.raises(UsageError, match="has passed"):
        move(house.db, house.clock, actor("bea"), house.all(), house.clock.now())
    for to, why in ((LAUNCH - timedelta(minutes=1), "embargo"), (LATER, "blackout: election")):
        ((_, said),) = move(house.db, house.clock, actor("bea"), house.all(), to).refused
        assert why in said
    assert house.get().due == LAUNCH


def test_who_moved_it_cannot_approve_its_new_time(house: House) -> None:
    house.queue(rendered())
    move(house.db, house.clock, actor("bob"), house.all(), LATER)
    with pytest.raises(ApprovalError, match="bob moved these posts"):
        house.approve("bob")
    assert house.approve("bea").given


def test_what_was_refused_can_be_moved_and_goes_after_new_approval(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    house.launch("rejected")
    move(house.db, house.clock, actor("bea"), house.all(), LATER)
    house.approve_all()
    house.launch(at=LATER)
    assert house.get().state is State.PUBLISHED


def test_a_moved_delivery_has_all_its_tries_again(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    house.launch("not_sent")
    house.hands.at = LAUNCH + timedelta(minutes=11)
    close_windows(house.db, house.clock)
    move(house.db, house.clock, actor("bea"), house.all(), LATER)
    assert house.get().attempts == 0


def test_an_approval_by_who_moved_it_does_not_count_however_it_came_into_the_store(house: House) -> None:
    house.queue(rendered())
    move(house.db, house.clock, actor("bob"), house.all(), LATER)
    one = house.get()
    granted = {
        "id": "01X",
        "delivery_id": one.id,
        "verdict": "granted",
        "person": "bob",
        "organisation": "dorset",
        "role": "owner:dorset",
        "content_sha256": one.content_sha256,
        "plan_sha256": one.plan_sha256,
        "policy_sha256": one.policy_sha256,
        "at": instant(house.clock.now()),
        "wall_at": instant(house.clock.wall()),
        "note": "",
        "why": "",
    }
    with house.db.write() as conn:
        desk.add_decisions(conn, [granted])
    house.launch(at=LATER)
    assert (house.get().state, house.world.posts) == (State.MISSED, [])


def test_another_approver_than_who_moved_it_approves_its_new_time(house: House) -> None:
    house.queue(rendered())
    move(house.db, house.clock, actor("bob"), house.all(), LATER)
    house.approve("bea")
    house.launch(at=LATER)
    assert house.get().state is State.PUBLISHED
