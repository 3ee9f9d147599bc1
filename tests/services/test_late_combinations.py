"""Late word beside other events: a stop, a second try that is given up, a removal, a person's answer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.domain.delivery import State
from scheduler.domain.publisher import Receipt
from scheduler.errors import CannotTell, OutcomeUnknown
from scheduler.services.arm import unstored
from scheduler.services.resolve import resolve
from scheduler.services.retract import mark
from scheduler.store import desk

from .house import LAUNCH, House, actor, rendered
from .test_late_evidence import OTHER, POST, absent, hears, no_more_requests
from .test_never_twice import FOREIGN
from .test_retract import STEP, showing, until_over


def second_try(house: House, name: str, sender: str = FOREIGN) -> str:
    """Through the gate once more; returns the attempt. Nobody knows what its sender does."""
    at = house.get(name).fire_at
    return house.gate(house.arm(at), at, sender).attempts[house.get(name).id]


def test_a_stop_at_the_last_look_of_a_second_try_does_not_forget_the_receipt_of_the_first(
    house: House,
) -> None:
    name, one, first = absent(house)
    at = house.get(name).fire_at
    passed = house.gate(house.arm(at), at)
    hears(house, one, first, POST)
    with house.db.write() as conn:
        desk.advance_stop_epoch(conn)
    assert not house.fire(passed, at)
    no_more_requests(house, name)
    assert house.get(name).state is State.ASKING
    assert POST.url in house.get(name).reason
    assert house.attempts(name) == ["proven_absent", "not_sent"]


@pytest.mark.parametrize(("word", "state"), [(OTHER, State.ASKING), (POST, State.PUBLISHED)])
def test_both_receipts_after_both_tries_were_given_up(house: House, word: Receipt, state: State) -> None:
    name, one, first = absent(house)
    second = second_try(house, name)
    hears(house, one, first, POST)
    house.hands.at += timedelta(minutes=12)
    assert len(house.adopt()) == 1
    hears(house, one, second, word)
    assert (house.get(name).state, house.attempts(name)) == (state, ["proven_absent", "accepted"])
    no_more_requests(house, name)


def test_a_first_try_that_was_sent_after_all_beside_a_second_one_is_told(house: House) -> None:
    name, one, first = absent(house)
    house.launch("ok", at=house.get(name).fire_at)
    hears(house, one, first, OutcomeUnknown("timeout", "no reply came"))
    assert house.get(name).state is State.ASKING
    assert "was sent after all" in house.get(name).reason


def blind(*_: object) -> None:
    """A look that gives no answer."""
    raise CannotTell("http_503", "the platform does not say")


def posted(house: House, name: str) -> Receipt:
    """The words arrive once more."""
    found = house.world.send(showing(house), unstored(house.column("prepared", name)), "key", "ok")
    assert isinstance(found, Receipt)
    return found


def removed(house: House, name: str) -> list[str]:
    house.hands.at += timedelta(minutes=5)
    assert mark(house.db, house.clock, actor("bob"), [house.get(name)], "wrong figure").asked
    return until_over(house)


def test_a_removal_finds_what_a_second_try_in_doubt_has_made_besides(house: House) -> None:
    name, one, first = absent(house)
    second_try(house, name, "gone")
    hears(house, one, first, posted(house, name))
    posted(house, name)
    house.hands.at += timedelta(minutes=2)
    house.adopt()
    house.look(STEP)
    assert house.get(name).state is State.ASKING
    assert removed(house, name)[-1] == "removed"
    assert (house.get(name).state, house.world.posts) == (State.RETRACTED, [])
    assert house.verify() == len(house.entries())


def test_a_removal_in_doubt_that_cannot_look_for_a_second_post_asks(house: House) -> None:
    name, one, first = absent(house)
    second_try(house, name, "gone")
    hears(house, one, first, posted(house, name))
    house.hands.at += timedelta(minutes=2)
    house.adopt()
    house.look(STEP)
    showing(house).find = blind  # type: ignore[method-assign]
    assert removed(house, name)[-1] == "nothing was found to remove: a person is asked"
    assert (house.get(name).state, house.world.posts) == (State.ASKING, [])


def test_a_removal_after_a_person_named_one_of_two_posts_removes_both(house: House) -> None:
    name = "dorset/listing/launch"
    house.queue(rendered("dorset/listing"))
    house.approve_all()
    passed = house.launch("ok", at=LAUNCH)
    one = house.get(name)
    second = posted(house, name)
    hears(house, one.id, passed.attempts[one.id], second)
    assert house.get(name).state is State.ASKING
    resolve(house.db, house.clock, actor("bob"), house.get(name), second.url, "I looked")
    assert house.get(name).remote_id == second.remote_id
    assert removed(house, name) == ["removed"]
    assert house.world.posts == []
