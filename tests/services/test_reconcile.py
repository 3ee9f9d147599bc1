"""Reconciling by capability class, each failure in both forms: failed, and failed but done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest

from scheduler.domain.delivery import State
from scheduler.services.arm import unstored
from scheduler.services.windows import close_windows
from scheduler.store import outbox
from scheduler.store.lock import sender_name

from .house import House, rendered

LOOKABLE = ("record", "container", "key", "listing")
HOLD_LOCK = """
import sys
from pathlib import Path
from scheduler.store.lock import Lock
with Lock(Path(sys.argv[1]), "this sender runs"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def in_doubt(house: House, platform: str, fault: str, sender: str = "gone") -> str:
    house.queue(rendered(f"dorset/{platform}"))
    house.approve_all()
    house.launch(fault, sender=sender)
    name = f"dorset/{platform}/launch"
    assert house.get(name).state is State.UNCONFIRMED
    return name


@pytest.fixture
def alive(house: House) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the lock of the sender `alive`, as real senders do."""
    command = [sys.executable, "-c", HOLD_LOCK, str(house.folder / "alive.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as sender:
        assert sender.stdout
        assert sender.stdout.readline() == b"held\n"
        yield sender
        sender.kill()


@pytest.mark.parametrize("platform", LOOKABLE)
def test_what_failed_but_was_done_is_found_and_not_sent_again(house: House, platform: str) -> None:
    name = in_doubt(house, platform, "lost_but_done")
    assert house.look() == ["asked the platform: there; recorded, not sent again"]
    assert (house.get(name).state, house.attempts(name)) == (State.PUBLISHED, ["accepted"])
    assert house.get(name).remote_id == "1"
    assert house.entries("publish.reconciled")[0].body["verdict"] == "there"
    assert len(house.world.posts) == 1


@pytest.mark.parametrize("platform", ["record"])
def test_what_failed_goes_again_with_the_same_key_once_its_deadline_passed(
    house: House, platform: str
) -> None:
    name = in_doubt(house, platform, "lost")
    key = house.get(name).key
    assert house.look(timedelta(seconds=29)) == []
    assert house.look(timedelta(seconds=2)) == ["asked the platform: not there; through the gate again"]
    assert (house.get(name).state, house.attempts(name)) == (State.SCHEDULED, ["resend_safe"])
    house.launch(at=house.get(name).fire_at)
    assert (house.get(name).state, [p.key for p in house.world.posts]) == (State.PUBLISHED, [key])


@pytest.mark.parametrize("platform", ["record"])
def test_a_late_first_request_makes_no_second_post(house: House, platform: str) -> None:
    name = in_doubt(house, platform, "late")
    house.look(timedelta(seconds=40))
    house.launch(at=house.get(name).fire_at)
    house.world.land()
    assert (house.get(name).state, len(house.world.posts)) == (State.PUBLISHED, 1)


@pytest.mark.parametrize("platform", ["container", "key", "listing"])
def test_a_listing_is_believed_after_two_settled_looks_apart(house: House, platform: str) -> None:
    name = in_doubt(house, platform, "lost")
    assert house.look(timedelta(seconds=149)) == []  # not settled: 30 s deadline and 120 s
    assert house.look(timedelta(seconds=2)) == []  # the first look that counts
    assert house.look(timedelta(seconds=10)) == []  # too soon after it
    assert house.look(timedelta(seconds=31)) == ["asked the platform: not there; through the gate again"]
    assert house.attempts(name) == ["proven_absent"]
    house.launch(at=house.get(name).fire_at)
    assert len(house.world.posts) == 1


def test_a_write_only_platform_is_never_sent_to_again_a_person_is_asked(house: House) -> None:
    name = in_doubt(house, "write-only", "lost")
    assert house.look(timedelta(seconds=31)) == ["the platform cannot say: a person is asked"]
    assert (house.get(name).state, house.attempts(name)) == (State.ASKING, ["unknown"])
    assert "launchday resolve" in house.get(name).reason


@pytest.mark.parametrize("platform", ["key", "listing", "container"])
def test_a_platform_that_cannot_tell_is_asked_until_the_window_closed_then_a_person(
    house: House, platform: str
) -> None:
    name = in_doubt(house, platform, "lost_but_done")
    house.world.blind = True
    assert house.look(timedelta(minutes=9)) == []
    assert house.look(timedelta(minutes=2)) == ["the platform cannot say: a person is asked"]
    assert house.get(name).state is State.ASKING
    assert len(house.world.posts) == 1


@pytest.mark.parametrize("platform", ["record", "key", "listing", "write-only"])
def test_while_its_sender_lives_nothing_is_concluded_from_not_finding(
    house: House, platform: str, alive: subprocess.Popen[bytes]
) -> None:
    name = in_doubt(house, platform, "late", sender="alive")
    for _ in range(4):
        assert house.look(timedelta(seconds=60)) == []
    assert (house.get(name).state, house.attempts(name)) == (State.UNCONFIRMED, ["unknown"])
    alive.kill()
    alive.wait()
    assert len(house.look(timedelta(seconds=60))) == 1
    assert house.get(name).state is (State.ASKING if platform == "write-only" else State.SCHEDULED)


def test_a_living_sender_is_not_robbed_of_its_deliveries_and_a_dead_one_is(
    house: House, alive: subprocess.Popen[bytes]
) -> None:
    house.queue(rendered())
    house.approve_all()
    house.gate(house.arm(), sender="alive")
    assert house.adopt() == ()
    assert house.get().state is State.PUBLISHING
    alive.kill()
    alive.wait()
    (adopted,) = house.adopt()
    assert adopted.name == "dorset/record/launch"
    assert (house.get().state, house.attempts()) == (State.UNCONFIRMED, ["unknown"])
    assert house.entries("publish.unknown")[0].body["reason"]["code"] == "sender_died"
    assert house.adopt() == ()


def test_a_sender_on_another_machine_is_never_taken_for_dead(house: House) -> None:
    assert not house.is_dead("elsewhere.example:01")


@pytest.mark.parametrize("posted", [True, False])
def test_after_a_crash_between_gate_and_outcome_the_post_is_out_once(house: House, posted: bool) -> None:
    house.queue(rendered())
    house.approve_all()
    passed = house.gate(house.arm())
    if posted:
        one = house.get()
        prepared = unstored(house.column("prepared", one.name))
        house.world.send(house.publishers["record"], prepared, one.key, "ok")
    assert len(passed.attempts) == 1  # and here the sender dies
    house.adopt()
    house.look(timedelta(seconds=60))
    house.launch(at=house.get().fire_at)
    assert house.get().state is State.PUBLISHED
    assert len(house.world.posts) == 1


def test_looks_survive_a_restart_because_they_are_stored(house: House) -> None:
    name = in_doubt(house, "listing", "lost")
    house.look(timedelta(seconds=151))
    with house.db.read() as conn:
        (attempt,) = outbox.attempts_of(conn, [house.get(name).id])[house.get(name).id]
    assert attempt.looks == 1


def test_a_publisher_that_breaks_while_looking_is_a_look_that_cannot_tell(house: House) -> None:
    name = in_doubt(house, "listing", "lost_but_done")
    house.publishers["listing"].broken = True
    assert house.look(timedelta(minutes=5)) == []
    house.publishers["listing"].broken = False
    house.look()
    assert house.get(name).state is State.PUBLISHED


def test_what_is_proven_absent_is_so_for_every_earlier_attempt(house: House) -> None:
    name = in_doubt(house, "record", "lost")
    house.look(timedelta(seconds=40))
    house.launch("lost", at=house.get(name).fire_at)
    assert house.attempts(name) == ["resend_safe", "unknown"]
    house.look(timedelta(minutes=11))
    house.look(timedelta(minutes=1))
    assert house.attempts(name) == ["proven_absent", "proven_absent"]
    close_windows(house.db, house.clock)
    assert house.get(name).state is State.MISSED


def test_a_sender_whose_lock_is_not_here_is_not_taken_for_dead(house: House) -> None:
    assert house.is_dead(sender_name("gone"))
    assert not house.is_dead(sender_name("never-seen"))
