"""A clock that was set or a machine that slept over T0 is a hold and a question, never a launch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import text

from scheduler.domain.delivery import State
from scheduler.services.clock import Clock, Reading
from scheduler.services.ground import Ground
from scheduler.services.hold import release
from scheduler.services.lived import Lived, hold_waves
from scheduler.services.standing import Standing
from scheduler.services.timing import LIVE
from scheduler.store import desk
from tests.conftest import Hands

from .house import LAUNCH, House, actor, rendered


@dataclass
class Machine:
    """Three clocks that move as a test says."""

    hands: Hands
    awake: float = 1000.0
    passed: float = 5000.0

    def live(self, seconds: float) -> None:
        self.hands.at += timedelta(seconds=seconds)
        self.awake += seconds
        self.passed += seconds

    def sleep(self, seconds: float) -> None:
        self.hands.at += timedelta(seconds=seconds)
        self.passed += seconds

    def step(self, seconds: float) -> None:
        self.hands.at += timedelta(seconds=seconds)


@pytest.fixture
def machine(hands: Hands, clock: Clock) -> Machine:
    made = Machine(hands)
    clock.monotonic, clock.boottime = lambda: made.awake, lambda: made.passed
    return made


@pytest.fixture
def daemon(house: House, machine: Machine) -> Iterator[Standing]:
    """A daemon five seconds before the launch, all approved."""
    house.queue(rendered(), rendered("dorset/listing", post="later", due=LAUNCH + timedelta(hours=2)))
    house.approve_all()
    house.hands.at = LAUNCH - timedelta(seconds=5)
    with Standing(house.db, house.clock, house.folder.parent, LIVE.reply_within, "") as standing:
        yield standing


def held(house: House) -> list[str]:
    with house.db.read() as conn:
        return [h.scope for h in desk.holds(conn)]


@pytest.mark.parametrize("how", ["sleep", "step"])
def test_a_wave_whose_time_passed_without_being_lived_is_held_and_a_person_is_told(
    house: House, machine: Machine, daemon: Standing, how: str
) -> None:
    getattr(machine, how)(60)
    machine.live(1)
    said = daemon.look()
    assert "HELD" in said[1]
    assert held(house) == ["post:spring/launch"]
    assert house.launch(at=house.clock.now()).attempts == {}
    with house.db.read() as conn:
        told = conn.execute(text("select said from notices where topic = 'held'")).scalar()
    assert "launchday release --post spring/launch" in str(told)
    assert ("slept for 60 s" if how == "sleep" else "set forward by 60 s") in str(told)


def test_a_clock_set_back_over_a_time_that_was_reached_holds_what_still_waits(
    house: House, machine: Machine, daemon: Standing
) -> None:
    machine.live(10)
    assert daemon.look() == ()
    machine.step(-60)
    machine.live(1)
    assert "set back by 60 s" in daemon.look()[0]
    assert held(house) == ["post:spring/launch"]


@pytest.mark.parametrize("seconds", [0.0, 1.9, -1.9])
def test_lived_time_and_a_small_slew_hold_nothing(
    house: House, machine: Machine, daemon: Standing, seconds: float
) -> None:
    machine.live(4)
    machine.step(seconds)
    machine.live(10)
    assert daemon.look() == ()
    assert held(house) == []


def test_a_jump_that_carries_nothing_over_its_time_holds_nothing(
    house: House, machine: Machine, daemon: Standing
) -> None:
    machine.step(-300)
    assert len(daemon.look()) == 1
    machine.sleep(300)
    assert len(daemon.look()) == 1
    assert held(house) == []


def test_what_was_carried_over_goes_when_a_person_says_so_in_its_window(
    house: House, machine: Machine, daemon: Standing
) -> None:
    machine.sleep(60)
    daemon.look()
    release(
        house.db,
        house.clock,
        actor("bob"),
        "post:spring/launch",
        "let it go",
        resume=True,
        soon=timedelta(seconds=80),
    )
    house.launch(at=house.get().fire_at)
    assert house.get().state is State.PUBLISHED


def test_while_the_database_is_busy_the_jump_is_not_forgotten(
    house: House, machine: Machine, daemon: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.sleep(60)
    with monkeypatch.context() as broken:
        broken.setattr("scheduler.services.standing.hold_crossed", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            daemon.look()
        assert daemon.unsettled
    machine.live(1)
    assert len(daemon.look()) == 2
    assert not daemon.unsettled
    assert held(house) == ["post:spring/launch"]


@pytest.mark.parametrize(("how", "seconds"), [("sleep", 60), ("step", 60), ("step", -60)])
def test_a_sender_under_way_is_stopped_by_its_own_gate(
    house: House, machine: Machine, how: str, seconds: float
) -> None:
    house.queue(rendered())
    house.approve_all()
    house.hands.at = LAUNCH - timedelta(seconds=30)
    ground = Ground(lived=Lived(house.clock, house.clock.reading(), (LAUNCH,)))
    armed = house.arm()
    if seconds > 0:
        getattr(machine, how)(seconds)
    else:
        machine.live(25)
        machine.step(seconds)
        machine.live(64)
    passed = house.gate(armed, ground=ground)
    assert (passed.attempts, [g.code for g in passed.stops]) == ({}, ["clock"])
    assert hold_waves(house.db, house.clock, [LAUNCH], "it slept") == ("post:spring/launch",)
    assert hold_waves(house.db, house.clock, [LAUNCH], "it slept") == ()


def test_a_sender_that_lives_up_to_its_time_is_not_stopped(house: House, machine: Machine) -> None:
    house.queue(rendered())
    house.approve_all()
    house.hands.at = LAUNCH - timedelta(seconds=60)
    ground = Ground(lived=Lived(house.clock, house.clock.reading(), (LAUNCH,)))
    machine.step(-1.5)
    machine.live(61)
    assert house.gate(house.arm(), ground=ground).attempts
    assert ground.lived
    machine.live(3)
    assert ground.lived.crossed() == ""


def test_a_reading_survives_the_way_to_another_process() -> None:
    now = Clock().reading()
    assert Reading.parse(str(now)) == now
