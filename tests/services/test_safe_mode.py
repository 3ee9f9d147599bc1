"""A database older than what was sent: nothing goes until all that was due has been looked for."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from scheduler.domain.delivery import State
from scheduler.errors import StoreError, TryLater, UsageError
from scheduler.services import safe
from scheduler.services.ground import Ground
from scheduler.services.timing import LIVE
from scheduler.services.verify import verify
from scheduler.services.windows import close_windows
from scheduler.store import desk, mark

from .house import LAUNCH, House, actor, rendered
from .rollback import put_back, snapshot

CLASSES = ("record", "container", "key", "listing", "write-only")
WITHIN = LIVE.reply_within


def covered(house: House, folder: Path) -> None:
    """What a sender does between its gate and its first byte, and a command at its end."""
    Ground(folder=folder).secure(house.db)


def look_until_known(house: House) -> None:
    """The daemon's reconciling, over the settle times."""
    for _ in range(8):
        house.look(timedelta(seconds=40))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def queued(house: House, *platforms: str) -> None:
    house.queue(*(rendered(f"dorset/{p}") for p in platforms))
    house.approve_all()


def rolled_back(house: House, folder: Path, *platforms: str, fault: str = "ok") -> None:
    """Queued, approved, launched; then the database of before the launch is put back and opened."""
    queued(house, *platforms)
    covered(house, folder)
    yesterday = snapshot(house.db)
    house.launch(fault)
    covered(house, folder)
    put_back(house.db, yesterday)
    assert safe.check(house.db, house.clock, folder, WITHIN)


def end(house: House, *, resume: bool = False) -> safe.Ended:
    return safe.end(
        house.db,
        house.clock,
        actor("bob"),
        "the holds were given again",
        resume=resume,
        soon=timedelta(seconds=80),
        reply_within=WITHIN,
    )


def in_safe_mode(house: House) -> bool:
    with house.db.read() as conn:
        return desk.safe_mode(conn) is not None


@pytest.mark.parametrize("platform", CLASSES[:4])
def test_what_was_sent_in_the_lost_span_is_found_and_never_sent_again(
    house: House, folder: Path, platform: str
) -> None:
    rolled_back(house, folder, platform)
    name = f"dorset/{platform}/launch"
    assert house.get(name).state is State.UNCONFIRMED
    look_until_known(house)
    assert house.get(name).state is State.PUBLISHED
    assert len(house.world.posts) == 1
    end(house)
    assert not in_safe_mode(house)
    assert verify(house.db).published == 1


def test_what_cannot_be_looked_for_becomes_a_persons_question(house: House, folder: Path) -> None:
    rolled_back(house, folder, "write-only")
    look_until_known(house)
    assert house.get("dorset/write-only/launch").state is State.ASKING
    assert len(house.world.posts) == 1


@pytest.mark.parametrize("platform", CLASSES[:4])
def test_what_was_not_sent_waits_again_and_goes_only_after_a_person_ended_safe_mode(
    house: House, folder: Path, platform: str
) -> None:
    rolled_back(house, folder, platform, fault="lost")
    look_until_known(house)
    name = f"dorset/{platform}/launch"
    assert house.get(name).state is State.SCHEDULED
    armed = house.arm(house.clock.now())
    assert house.gate(armed, house.clock.now()).attempts == {}
    assert {g.code for _, why in house.gate(armed, house.clock.now()).shut for g in why} == {"safe_mode"}
    (resumed,) = end(house, resume=True).resumed
    again = house.get(name).fire_at
    house.launch("ok", at=again)
    assert (house.get(name).state, resumed.name, len(house.world.posts)) == (State.PUBLISHED, name, 1)


def test_what_was_due_meanwhile_is_missed_where_nobody_says_resume(house: House, folder: Path) -> None:
    rolled_back(house, folder, "listing", fault="lost")
    look_until_known(house)
    (missed,) = end(house).missed
    assert missed.name == "dorset/listing/launch"
    assert house.get("dorset/listing/launch").state is State.MISSED
    assert "safe mode" in house.get("dorset/listing/launch").reason


def test_safe_mode_does_not_end_while_something_is_being_looked_for(house: House, folder: Path) -> None:
    rolled_back(house, folder, "listing")
    with pytest.raises(TryLater, match="1 delivery may be out and is still being looked for"):
        end(house)
    assert in_safe_mode(house)


def test_nothing_new_goes_in_safe_mode_either(house: House, folder: Path) -> None:
    rolled_back(house, folder, "record")
    later = LAUNCH + timedelta(hours=2)
    house.queue(rendered(), rendered("dorset/listing", post="later", due=later))
    house.approve_all()
    passed = house.launch(at=later)
    assert (passed.attempts, len(house.world.posts)) == ({}, 1)
    house.hands.at = later + timedelta(hours=1)
    assert [d.name for d in close_windows(house.db, house.clock)] == ["dorset/listing/later"]
    assert "safe mode" in house.get("dorset/listing/later").reason


def test_what_is_due_is_not_called_missed_before_it_was_looked_for(house: House, folder: Path) -> None:
    queued(house, "listing")
    covered(house, folder)
    yesterday = snapshot(house.db)
    house.launch()
    covered(house, folder)
    put_back(house.db, yesterday)
    house.hands.at = LAUNCH + timedelta(days=1)
    safe.check(house.db, house.clock, folder, WITHIN)
    assert close_windows(house.db, house.clock) == ()
    look_until_known(house)
    assert house.get("dorset/listing/launch").state is State.PUBLISHED


def test_what_is_queued_again_into_an_empty_database_is_asked_about(house: House, folder: Path) -> None:
    empty = snapshot(house.db)
    queued(house, "record")
    house.launch()
    covered(house, folder)
    put_back(house.db, empty)  # as when the file was deleted and made anew
    assert safe.check(house.db, house.clock, folder, WITHIN)
    house.queue(rendered())
    house.hands.at = LAUNCH + timedelta(minutes=11)
    close_windows(house.db, house.clock)
    assert house.get().state is State.ASKING
    assert len(house.world.posts) == 1


def test_an_attempt_in_doubt_gets_a_new_deadline_as_a_later_one_may_have_been_lost(
    house: House, folder: Path
) -> None:
    queued(house, "listing")
    house.launch("lost")
    covered(house, folder)
    yesterday = snapshot(house.db)
    look_until_known(house)
    house.launch("lost_but_done", at=house.get("dorset/listing/launch").fire_at)
    covered(house, folder)
    put_back(house.db, yesterday)
    assert safe.check(house.db, house.clock, folder, WITHIN)
    house.world.lagging = True
    house.look()
    house.look(timedelta(seconds=31))
    assert house.get("dorset/listing/launch").state is State.UNCONFIRMED
    house.world.lagging = False
    look_until_known(house)
    assert house.get("dorset/listing/launch").state is State.PUBLISHED


def test_a_database_with_another_history_is_an_alarm_too(house: House, folder: Path) -> None:
    queued(house, "record")
    covered(house, folder)
    yesterday = snapshot(house.db)
    house.launch()
    covered(house, folder)
    put_back(house.db, yesterday)
    for n in range(6):
        house.queue(rendered("dorset/key", f"other words {n}", post="other"))
    assert "is not the one that was written" in safe.check(house.db, house.clock, folder, WITHIN)


def test_a_database_that_is_ahead_of_its_mark_is_no_alarm(house: House, folder: Path) -> None:
    queued(house, "record")
    covered(house, folder)
    house.launch()  # a crash before the mark followed
    assert safe.check(house.db, house.clock, folder, WITHIN) == ""
    covered(house, folder)
    with house.db.read() as conn:
        assert mark.read(mark.path_in(folder)) == mark.of(conn)


def test_entering_again_changes_nothing_and_the_mark_follows_the_older_database(
    house: House, folder: Path
) -> None:
    rolled_back(house, folder, "listing")
    entries = house.types()
    assert safe.check(house.db, house.clock, folder, WITHIN) == ""
    safe.enter(house.db, house.clock, folder, "again", WITHIN)
    assert house.types() == entries
    assert entries.count("safe_mode.started") == 1
    with house.db.read() as conn:
        told = conn.execute(text("select said from notices where topic = 'safe_mode'")).scalars().all()
    assert len(told) == 1
    assert "launchday release --safe-mode" in told[0]


def test_the_gate_itself_refuses_a_database_behind_its_mark(house: House, folder: Path) -> None:
    queued(house, "record")
    covered(house, folder)
    armed = house.arm()
    yesterday = snapshot(house.db)
    house.queue(rendered(), rendered("dorset/key", post="other"))
    covered(house, folder)
    put_back(house.db, yesterday)
    passed = house.gate(armed, ground=Ground(folder=folder))
    assert (passed.attempts, [g.code for g in passed.stops]) == ({}, ["older"])


def test_a_mark_that_cannot_be_written_means_that_nothing_is_sent(house: House, folder: Path) -> None:
    queued(house, "record")
    passed = house.gate(house.arm())
    with pytest.raises(StoreError, match="mark cannot be written"):
        Ground(folder=folder / "nowhere").secure(house.db)
    assert passed.attempts  # the sender then stands down


def test_there_is_no_safe_mode_to_end_where_all_is_well(house: House) -> None:
    with pytest.raises(UsageError, match="no safe mode"):
        end(house)
