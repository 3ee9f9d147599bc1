"""Late word beside other events: a stop, a second try that is given up, a removal, a person's answer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.domain.delivery import State
from scheduler.domain.publisher import Receipt
from scheduler.store import desk

from .house import House
from .test_late_evidence import OTHER, POST, absent, hears, no_more_requests
from .test_never_twice import FOREIGN


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
