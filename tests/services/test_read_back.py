"""Reading back: a receipt is not believed alone, a lag is waited for, nothing is sent or removed by it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.domain.delivery import State
from scheduler.services.after import is_due
from scheduler.services.resolve import resolve
from scheduler.services.timing import LIVE

from .house import House, actor, rendered

NAME = "dorset/listing/launch"
LONG = timedelta(minutes=2)


@pytest.fixture
def out(house: House) -> House:
    house.queue(rendered("dorset/listing"))
    house.approve_all()
    house.launch()
    assert house.get(NAME).state is State.PUBLISHED
    return house


def test_what_the_public_sees_as_approved_is_verified(out: House) -> None:
    assert out.read_back(timedelta(seconds=9)) == []  # not yet due
    assert out.read_back(timedelta(seconds=1)) == ["read back: equal to what was approved"]
    assert out.get(NAME).state is State.VERIFIED
    assert out.column("verified_at", NAME) != ""
    assert out.entries("publish.verified")[0].body["content_sha256"] == out.get(NAME).content_sha256
    assert out.read_back(timedelta(days=2)) == []


def test_other_words_than_the_approved_ones_are_a_question(out: House) -> None:
    out.world.posts[0].text = "words of somebody else"
    assert out.read_back(LONG) == ["read back: differs from what was approved, a person is asked"]
    assert out.get(NAME).state is State.ASKING
    assert "the words are not the approved ones" in out.get(NAME).reason
    assert out.types()[-1] == "publish.mismatch"


def test_a_lag_of_minutes_is_no_question(out: House) -> None:
    out.world.lagging = True
    for _ in range(4):
        assert out.read_back(LONG) == []
    out.world.lagging = False
    assert out.read_back(timedelta(minutes=4)) == ["read back: equal to what was approved"]


def test_what_is_not_to_be_seen_for_long_is_a_question_after_several_looks(out: House) -> None:
    out.world.posts.clear()
    said = [word for _ in range(12) for word in out.read_back(LONG)]
    assert said == ["read back: not to be seen, a person is asked"]
    assert (out.get(NAME).state, out.column("looks", NAME)) == (State.ASKING, 2)
    assert out.types()[-1] == "publish.missing"
    assert out.world.posts == []  # it is not sent again


def test_one_look_after_days_is_not_several(out: House) -> None:
    out.world.lagging = True
    out.read_back(timedelta(hours=20))
    assert (out.get(NAME).state, out.column("looks", NAME)) == (State.PUBLISHED, 1)


def test_a_platform_that_cannot_say_is_asked_ever_more_rarely_and_its_receipt_stands(out: House) -> None:
    out.world.blind = True
    asked: list[timedelta] = []
    start = out.clock.now()
    while not asked or asked[-1] < timedelta(hours=25):
        before = out.column("look_at", NAME)
        out.read_back(timedelta(seconds=10))
        if out.column("look_at", NAME) != before:
            asked.append(out.clock.now() - start)
        if out.column("look_at", NAME) == "":
            break
    assert 20 < len(asked) < 40
    assert out.get(NAME).state is State.PUBLISHED
    assert out.get(NAME).reason == "not read back: http_503"


def test_a_platform_without_a_way_to_look_is_left_in_peace(house: House) -> None:
    house.queue(rendered("dorset/write-only"))
    house.approve_all()
    house.launch()
    house.read_back(LONG)
    one = house.get("dorset/write-only/launch")
    assert (one.state, one.reason) == (State.PUBLISHED, "")
    assert house.column("look_at", one.name) == ""


def test_a_persons_word_is_not_read_back(house: House) -> None:
    house.queue(rendered("dorset/write-only"))
    house.approve_all()
    house.launch("lost")
    house.look(timedelta(seconds=31))
    name = "dorset/write-only/launch"
    resolve(house.db, house.clock, actor("bob"), house.get(name), "https://fake.example/9", "seen")
    assert house.read_back(timedelta(days=3)) == []
    assert house.get(name).state is State.PUBLISHED


def test_a_publisher_that_breaks_while_reading_back_costs_only_its_own(house: House) -> None:
    house.queue(rendered("dorset/listing"), rendered("dorset/key"))
    house.approve_all()
    house.launch()
    house.publishers["listing"].broken = True
    assert house.read_back(LONG) == ["read back: equal to what was approved"]
    assert house.get(NAME).state is State.PUBLISHED


def test_what_was_retracted_meanwhile_is_not_verified(out: House) -> None:
    from scheduler.services.retract import mark

    look = type(out.publishers["listing"]).look  # type: ignore[attr-defined]

    def meanwhile(*asked: object) -> object:
        mark(out.db, out.clock, actor("bob"), [out.get(NAME)], "wrong")
        return look(out.publishers["listing"], *asked)

    out.publishers["listing"].look = meanwhile  # type: ignore[attr-defined]
    assert out.read_back(LONG) == []
    assert out.get(NAME).state is State.RETRACTING


def test_nothing_is_due_where_nothing_waits(out: House) -> None:
    assert is_due(out.db, out.clock, LIVE) == (False, False)
    out.hands.at += LONG
    assert is_due(out.db, out.clock, LIVE) == (False, True)
    assert is_due(out.db, out.clock, LIVE, "wiltshire") == (False, False)
    out.read_back()
    assert is_due(out.db, out.clock, LIVE) == (False, False)
