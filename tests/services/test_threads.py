"""Threads: a part goes when the part before it has its receipt, as a reply to it, and never alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.domain.delivery import State
from scheduler.services.arm import arm
from scheduler.services.resolve import resolve
from scheduler.services.retract import mark
from scheduler.services.windows import close_windows

from .house import LAUNCH, House, actor, rendered

FIRST, SECOND, THIRD = "dorset/key/launch", "dorset/key/launch/2", "dorset/key/launch/3"


@pytest.fixture
def thread(house: House) -> House:
    house.queue(*(rendered("dorset/key", f"part {n}", part=n, parts=3) for n in (1, 2, 3)))
    house.approve_all()
    return house


def test_each_part_waits_for_the_one_before_it_and_replies_to_it(thread: House) -> None:
    assert thread.get(SECOND).after == thread.get(FIRST).id
    thread.launch()
    assert [thread.get(n).state for n in (FIRST, SECOND, THIRD)] == [
        State.PUBLISHED,
        State.SCHEDULED,
        State.SCHEDULED,
    ]
    thread.launch(at=thread.get(SECOND).fire_at)
    thread.launch(at=thread.get(THIRD).fire_at)
    assert [(p.text, p.parent) for p in thread.world.posts] == [
        ("part 1", ""),
        ("part 2", "1"),
        ("part 3", "2"),
    ]


@pytest.mark.parametrize("fault", ["rejected", "lost", "not_sent"])
def test_no_part_goes_while_the_one_before_it_is_not_certainly_out(thread: House, fault: str) -> None:
    thread.launch(fault)
    later = LAUNCH + timedelta(seconds=30)
    waiting = thread.ready(SECOND) | thread.ready(THIRD)
    passed = thread.gate(waiting, later)
    assert passed.attempts == {}
    assert {g.code for _, why in passed.shut for g in why} == {"after"}


def test_a_part_stops_at_its_last_look_when_the_one_before_it_is_taken_down(thread: House) -> None:
    thread.launch()
    at = thread.get(SECOND).fire_at
    passed = thread.gate(thread.arm(at), at)
    assert mark(thread.db, thread.clock, actor("bob"), [thread.get(FIRST)], "wrong figure").asked
    assert not thread.fire(passed, at)
    assert thread.get(SECOND).state is State.SCHEDULED
    assert len(thread.world.posts) == 1


def test_a_part_whose_first_part_is_found_later_goes_then(thread: House) -> None:
    thread.launch("lost_but_done")
    thread.look(timedelta(seconds=5))
    assert thread.get(SECOND).fire_at == LAUNCH + timedelta(seconds=5)
    thread.launch(at=thread.get(SECOND).fire_at)
    assert thread.get(SECOND).state is State.PUBLISHED


def test_the_rest_of_a_thread_whose_first_part_failed_is_missed_and_says_why(thread: House) -> None:
    thread.launch("rejected")
    thread.hands.at = LAUNCH + timedelta(minutes=11)
    close_windows(thread.db, thread.clock)
    assert thread.get(SECOND).state is State.MISSED
    assert thread.get(SECOND).reason == "the part before it is not out"


def test_a_part_is_never_sent_alone_where_the_part_before_it_has_no_id(house: House) -> None:
    names = ("dorset/write-only/launch", "dorset/write-only/launch/2")
    house.queue(*(rendered("dorset/write-only", f"part {n}", part=n, parts=2) for n in (1, 2)))
    house.approve_all()
    house.launch("lost_but_done")
    house.look(timedelta(seconds=31))
    resolve(house.db, house.clock, actor("bob"), house.get(names[0]), "https://x.example/1", "seen")
    ready, refused = arm(house.db, house.reach, [house.get(names[1])], LAUNCH.timestamp())
    assert ready == []
    assert [error.code for _, error in refused] == ["parent"]
