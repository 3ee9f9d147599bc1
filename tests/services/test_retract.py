"""Retracting: every account is asked, holds do not stop it, a look proves it, what remains is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.domain.delivery import State
from scheduler.services.hold import hold
from scheduler.services.retract import mark

from .house import LAUNCH, House, actor, rendered
from .platform import Showing

NAME = "dorset/listing/launch"
STEP = timedelta(seconds=30)


@pytest.fixture
def out(house: House) -> House:
    house.queue(rendered("dorset/listing"))
    house.approve_all()
    house.launch()
    house.hands.at += timedelta(minutes=5)
    return house


def showing(house: House, platform: str = "listing") -> Showing:
    found = house.publishers[platform]
    assert isinstance(found, Showing)
    return found


def retract(house: House, *names: str) -> None:
    wanted = [house.get(n) for n in names or (NAME,)]
    assert len(mark(house.db, house.clock, actor("bob"), wanted, "wrong figure").asked) == len(wanted)


def until_over(house: House, rounds: int = 40) -> list[str]:
    return [word for _ in range(rounds) for word in house.remove(STEP)]


@pytest.mark.parametrize("before", ["published", "verified"])
def test_a_removal_is_proven_by_two_looks_and_passes_holds(out: House, before: str) -> None:
    if before == "verified":
        out.read_back()
    assert out.get(NAME).state == before
    hold(out.db, out.clock, actor("cat"), "all", "an incident", patience=0)
    retract(out)
    assert out.remove() == []
    assert (out.get(NAME).state, out.world.posts) == (State.RETRACTING, [])
    assert out.remove(STEP) == ["removed"]
    assert out.get(NAME).state is State.RETRACTED
    entry = out.entries("publish.retracted")[0].body
    assert (entry["remote_id"], entry["stood_s"]) == ("1", 330)
    assert out.verify() == len(out.entries())


def test_an_answer_that_there_is_no_such_post_is_no_proof(out: House) -> None:
    showing(out).deletes = ["kept"] * 99
    retract(out)
    assert until_over(out) == ["NOT removed: a person is asked"]
    assert out.get(NAME).state is State.ASKING
    assert "NOT removed" in out.get(NAME).reason
    assert "https://fake.example/1" in out.get(NAME).reason
    assert len(out.world.posts) == 1


@pytest.mark.parametrize("how", ["lost", "lost_but_done"])
def test_a_removal_whose_answer_was_lost_is_looked_for_and_asked_again(out: House, how: str) -> None:
    showing(out).deletes = [how]
    retract(out)
    assert until_over(out) == ["removed"]
    assert (out.get(NAME).state, out.world.posts) == (State.RETRACTED, [])


def test_what_may_not_be_removed_is_told_at_once(out: House) -> None:
    showing(out).deletes = ["refused"]
    retract(out)
    assert out.remove() == ["NOT removed: a person is asked"]
    assert "not_yours" in out.get(NAME).reason


def test_a_platform_that_does_not_say_whether_it_is_gone_is_a_question(out: House) -> None:
    out.world.blind = True
    retract(out)
    assert until_over(out) == ["it cannot be told whether it is removed"]
    assert "--removed" in out.get(NAME).reason


def test_a_post_that_is_not_shown_yet_does_not_count_as_removed(house: House) -> None:
    """Read lag: neither the removal nor the look sees the post of a moment ago."""
    house.queue(rendered("dorset/listing"))
    house.approve_all()
    house.launch()
    house.world.lagging = True
    showing(house).deletes = ["kept", "kept"]
    retract(house)
    for _ in range(3):
        assert house.remove(STEP) == []
    house.world.lagging = False
    assert until_over(house) == ["removed"]
    assert house.world.posts == []


def test_a_platform_without_removal_is_told_with_its_address(house: House) -> None:
    house.queue(rendered("dorset/write-only"))
    house.approve_all()
    house.launch()
    retract(house, "dorset/write-only/launch")
    house.remove()
    one = house.get("dorset/write-only/launch")
    assert one.state is State.ASKING
    assert "https://fake.example/1" in one.reason


def test_later_parts_of_a_thread_are_removed_first(house: House) -> None:
    house.queue(*(rendered("dorset/key", f"part {n}", part=n, parts=3) for n in (1, 2, 3)))
    house.approve_all()
    for _ in range(3):
        house.launch(at=max(house.clock.now(), LAUNCH) + timedelta(seconds=3))
    assert len(house.world.posts) == 3
    house.hands.at += timedelta(minutes=5)
    names = ["dorset/key/launch", "dorset/key/launch/2", "dorset/key/launch/3"]
    retract(house, *names)
    until_over(house)
    assert list(dict.fromkeys(showing(house, "key").asked_to_remove)) == ["3", "2", "1"]
    assert {house.get(n).state for n in names} == {State.RETRACTED}


def test_what_only_may_be_out_is_looked_for_and_removed(house: House) -> None:
    house.queue(rendered("dorset/key"))
    house.approve_all()
    house.launch("lost_but_done")
    house.world.blind = True
    for _ in range(30):
        house.look(timedelta(seconds=40))
    name = "dorset/key/launch"
    assert house.get(name).state is State.ASKING
    house.world.blind = False
    retract(house, name)
    assert until_over(house) == ["found; it is removed next", "removed"]
    assert (house.get(name).state, house.world.posts) == (State.RETRACTED, [])


def test_where_nothing_is_found_a_person_is_asked(house: House) -> None:
    house.queue(rendered("dorset/key"))
    house.approve_all()
    house.launch("lost")
    house.world.blind = True
    for _ in range(30):
        house.look(timedelta(seconds=40))
    house.world.blind = False
    retract(house, "dorset/key/launch")
    assert house.remove() == ["nothing was found to remove: a person is asked"]
    assert house.get("dorset/key/launch").state is State.ASKING


def test_another_deliverys_post_with_the_same_words_is_never_removed(house: House) -> None:
    soon = LAUNCH + timedelta(minutes=1)
    house.queue(
        rendered("dorset/listing", "same"), rendered("dorset/listing", "same", post="again", due=soon)
    )
    house.approve_all()
    house.launch("ok")
    house.launch("lost", soon)
    for _ in range(30):
        house.look(timedelta(seconds=40))
    again = "dorset/listing/again"
    assert house.get(again).state is State.ASKING
    retract(house, again)
    until_over(house)
    assert (house.get(again).state, len(house.world.posts)) == (State.ASKING, 1)


def test_what_is_not_out_is_refused_with_what_to_do(house: House) -> None:
    house.queue(rendered("dorset/listing"))
    marked = mark(house.db, house.clock, actor("bob"), house.all(), "")
    assert marked.asked == ()
    assert "launchday cancel" in marked.refused[0][1]
    assert house.get(NAME).state is State.SCHEDULED


def test_what_was_retracted_is_never_sent_again(out: House) -> None:
    retract(out)
    until_over(out)
    out.queue(rendered("dorset/listing"))
    out.approve_all()
    for _ in range(3):
        out.launch(at=out.clock.now() + timedelta(seconds=1))
    assert out.world.posts == []
    assert [d.state for d in out.all()] == [State.RETRACTED]
