"""Corrections: a linked replacement with its own key and approvals, which ordinary queueing leaves alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.domain.delivery import Delivery, State
from scheduler.errors import UsageError
from scheduler.services.correct import correct
from scheduler.services.retract import mark

from .house import House, actor, rendered

NAME = "dorset/listing/launch"
CORRECTION = f"{NAME}/correction"
HALF = timedelta(minutes=30)


@pytest.fixture
def out(house: House) -> House:
    house.queue(rendered("dorset/listing", "285 people"))
    house.approve_all()
    house.launch()
    house.hands.at += timedelta(minutes=5)
    return house


def put_right(house: House, name: str = NAME, text: str = "286 people", *, first: bool = False) -> Delivery:
    return correct(
        house.db,
        house.clock,
        actor("ann"),
        house.get(name),
        rendered("dorset/listing", text),
        {},
        due=house.clock.now() + HALF,
        retract_first=first,
    )


def go(house: House) -> None:
    house.approve("bob", CORRECTION)
    house.launch(at=house.get(CORRECTION).fire_at)


def test_a_correction_has_its_own_key_and_approvals_and_names_what_it_corrects(out: House) -> None:
    made = put_right(out)
    assert (made.name, made.corrects, made.state) == (CORRECTION, out.get(NAME).id, State.SCHEDULED)
    assert made.key != out.get(NAME).key
    assert out.decisions(CORRECTION) == []
    assert out.entries("content.queued")[-1].body["corrects"] == NAME
    go(out)
    assert [p.text for p in out.world.posts] == ["285 people", "286 people"]
    assert out.verify() == len(out.entries())


def test_without_its_own_approval_a_correction_does_not_go(out: House) -> None:
    put_right(out)
    out.launch(at=out.get(CORRECTION).fire_at)
    assert len(out.world.posts) == 1
    assert out.get(CORRECTION).state is State.MISSED


def test_a_correction_that_waits_for_the_removal_goes_only_after_it(out: House) -> None:
    put_right(out, first=True)
    out.approve("bob", CORRECTION)
    at = out.get(CORRECTION).fire_at
    out.launch(at=at)
    assert [p.text for p in out.world.posts] == ["285 people"]
    mark(out.db, out.clock, actor("bob"), [out.get(NAME)], "wrong figure")
    out.launch(at=out.clock.now() + timedelta(seconds=1))
    assert [p.text for p in out.world.posts] == ["285 people"]
    for _ in range(4):
        out.remove(timedelta(seconds=31))
    assert out.get(NAME).state is State.RETRACTED
    out.launch(at=out.clock.now() + timedelta(seconds=1))
    assert [p.text for p in out.world.posts] == ["286 people"]


def test_ordinary_queueing_neither_withdraws_nor_doubles_a_correction(out: House) -> None:
    put_right(out)
    new = rendered("dorset/listing", "286 people")
    assert [(d.name, d.kind) for d in out.plan(new).values()] == [(NAME, "unchanged")]
    out.queue(new)
    go(out)
    assert [(d.name, d.kind) for d in out.plan(new).values()] == [(NAME, "unchanged")]
    assert [(d.name, d.kind) for d in out.plan(rendered("dorset/listing", "x")).values()] == [(NAME, "kept")]
    assert out.plan() == {}


def test_a_second_correction_waits_for_the_end_of_the_first_and_corrects_that(out: House) -> None:
    put_right(out)
    with pytest.raises(UsageError, match="corrects it already"):
        put_right(out, text="287 people")
    go(out)
    made = put_right(out, CORRECTION, "287 people")
    assert (made.name, made.corrects) == (f"{CORRECTION}/correction", out.get(CORRECTION).id)


def test_the_same_words_and_what_is_not_out_are_refused(out: House) -> None:
    with pytest.raises(UsageError, match="very words"):
        put_right(out, text="285 people")
    out.queue(rendered("dorset/listing", "285 people"), rendered("dorset/key"))
    with pytest.raises(UsageError, match="not known to be out"):
        put_right(out, "dorset/key/launch")
