"""Which waves want a sender, and what people are told of them."""

from __future__ import annotations

from datetime import timedelta

from scheduler.services import waves
from scheduler.services.timing import LIVE

from .house import LAUNCH, House, rendered


def test_a_wave_is_wanted_once_it_is_time_to_arm_it(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    house.hands.at = LAUNCH - LIVE.arming(1) - timedelta(seconds=1)
    assert not waves.wanted(house.db, house.clock, LIVE, house.approvers).coming
    house.hands.at = LAUNCH - LIVE.arming(1)
    found = waves.wanted(house.db, house.clock, LIVE, house.approvers)
    assert found.coming == {LAUNCH: {LAUNCH}}
    assert not found.late


def test_what_was_put_off_is_told_of_by_the_time_it_was_due(house: House) -> None:
    house.queue(rendered(), rendered("wiltshire/record"))
    house.approve_all()
    house.launch("not_sent")
    again = house.get().fire_at
    assert again > LAUNCH
    house.hands.at = again
    assert waves.wanted(house.db, house.clock, LIVE, house.approvers).late == {again: {LAUNCH}}
    assert waves.became(house.db, [LAUNCH], "Europe/London") == (
        "0 of 2 published, 2 scheduled   Tue 9 Mar 2027 07:00 GMT",
    )
    house.launch(at=again)
    assert waves.became(house.db, [LAUNCH], "Europe/London") == (
        "2 of 2 published   Tue 9 Mar 2027 07:00 GMT",
    )


def test_nothing_is_told_of_a_wave_that_was_taken_out(house: House) -> None:
    assert waves.became(house.db, [LAUNCH], "Europe/London") == ()
