"""The daemon's ticks are nearly free while nothing happens, and it looks at once when something does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from scheduler.services.hold import hold
from scheduler.services.lookout import Lookout
from scheduler.services.timing import LIVE
from scheduler.store.database import Database, open_database
from tests.conftest import NOON, Hands

from .house import LAUNCH, House, actor, rendered


@pytest.fixture
def lookout(house: House) -> Iterator[Lookout]:
    house.queue(rendered())
    house.approve_all()
    looking = Lookout(house.db, house.clock, LIVE)
    yield looking
    looking.close()


def look(lookout: Lookout) -> bool:
    """One tick of the daemon; whether it looked."""
    wanted = lookout.wanted()
    if wanted:
        lookout.looked()
    return wanted


def test_it_looks_once_and_then_rests(lookout: Lookout) -> None:
    assert [look(lookout) for _ in range(4)] == [True, False, False, False]


def test_a_hold_by_another_process_is_seen_at_the_next_tick(lookout: Lookout, house: House, url: str) -> None:
    look(lookout)
    other: Database = open_database(url, "simulation", NOON)
    with other.engine.connect() as conn:
        conn.exec_driver_sql("select count(*) from deliveries")  # reading is no change
    assert not look(lookout)
    hold(other, house.clock, actor("bea"), "all", "a reason")
    other.close()
    assert look(lookout)
    assert not look(lookout)


def test_it_looks_at_every_tick_from_the_moment_a_wave_is_to_be_armed(lookout: Lookout, hands: Hands) -> None:
    hands.at = LAUNCH - LIVE.arming(1) - timedelta(seconds=1)
    assert [look(lookout) for _ in range(2)] == [True, False]
    hands.at += timedelta(seconds=1)
    assert [look(lookout) for _ in range(3)] == [True, True, True]


def test_it_looks_at_every_tick_while_anything_is_in_doubt(lookout: Lookout, house: House) -> None:
    house.gate(house.arm())
    assert [look(lookout) for _ in range(3)] == [True, True, True]


def test_a_look_that_failed_is_made_again(lookout: Lookout) -> None:
    assert lookout.wanted()  # and the look fails: nobody says that it was made
    assert [look(lookout) for _ in range(2)] == [True, False]
