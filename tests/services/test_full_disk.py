"""A full disk: nothing is sent below the reserve, and a receipt in hand is never lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, text

from scheduler.domain.delivery import State
from scheduler.domain.publisher import Receipt
from scheduler.errors import OutcomeUnknown, Rejected, RetryLater
from scheduler.services.collect import _record
from scheduler.services.ground import Ground
from scheduler.services.settle import Outcome
from scheduler.services.spill import SMALLEST, Spill, replay
from scheduler.services.standing import Standing
from scheduler.services.timing import LIVE
from scheduler.store import disk, notices
from tests.conftest import NOON

from .house import LAUNCH, House, rendered
from .rollback import put_back, snapshot

PROOF = Receipt("77", "https://fake.example/77", {"cid": "x"})


@contextmanager
def full(house: House) -> Iterator[None]:
    """The database really has no room: SQLite may have no more pages, PostgreSQL says 53100."""
    if house.db.is_sqlite:

        def at_its_limit(dbapi: object, *_: object) -> None:
            dbapi.execute("pragma max_page_count = 1")  # type: ignore[attr-defined]

        house.db.engine.dispose()
        event.listen(house.db.engine, "checkout", at_its_limit)
        try:
            with house.db.engine.connect() as conn:
                # What is free within the file would still be used.
                conn.exec_driver_sql("pragma freelist_count")
            yield
        finally:
            event.remove(house.db.engine, "checkout", at_its_limit)
            house.db.engine.dispose()
        return
    body = "begin raise exception 'no space left on device' using errcode = '53100'; end"
    with house.db.write() as conn:
        conn.execute(text(f"create function full_disk() returns trigger language plpgsql as $$ {body} $$"))
        conn.execute(text("create trigger full_disk before insert on entries execute function full_disk()"))
    try:
        yield
    finally:
        with house.db.write() as conn:
            conn.execute(text("drop function full_disk cascade"))


@pytest.fixture
def in_flight(house: House) -> str:
    """One delivery past its gate, by a sender that is dead by the time of the next start; its attempt."""
    house.queue(rendered("dorset/write-only"))
    house.approve_all()
    passed = house.gate(house.arm())
    house.hands.at = LAUNCH
    return next(iter(passed.attempts.values()))


def outcome(house: House, attempt: str, result: object = PROOF) -> Outcome:
    return Outcome(house.get("dorset/write-only/launch").id, attempt, result, 1500)  # type: ignore[arg-type]


def test_a_receipt_that_the_database_cannot_take_is_kept_and_recorded_by_the_next_start(
    house: House, in_flight: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = outcome(house, in_flight, Receipt("77", "https://fake.example/77", {"note": "x" * 9000}))
    spill = Spill(house.folder / "gone.spill", 1)
    with full(house):
        _record(house.db, house.clock, [one], {}, spill)
        spill.close()
        assert "the disk is full: 1 outcomes are kept" in capsys.readouterr().err
        assert house.get("dorset/write-only/launch").state is State.PUBLISHING
    assert replay(house.db, house.clock, house.folder) == 1
    found = house.get("dorset/write-only/launch")
    assert (found.state, found.remote_id, found.url) == (State.PUBLISHED, "77", "https://fake.example/77")
    assert not list(house.folder.glob("*.spill"))
    assert replay(house.db, house.clock, house.folder) == 0


def test_while_the_disk_is_still_full_the_file_stays(house: House, in_flight: str) -> None:
    from sqlalchemy.exc import DBAPIError

    spill = Spill(house.folder / "gone.spill", 1)
    spill.keep([outcome(house, in_flight, Receipt("77", "u", {"note": "x" * 9000}))])
    spill.close()
    with full(house), pytest.raises(DBAPIError):
        replay(house.db, house.clock, house.folder)
    assert list(house.folder.glob("*.spill"))
    assert replay(house.db, house.clock, house.folder) == 1


@pytest.mark.parametrize(
    ("result", "state"),
    [
        (Rejected("too_long", "said no"), State.FAILED),
        (RetryLater("http_429", "slow", at=NOON), State.SCHEDULED),
        (OutcomeUnknown("timeout"), State.UNCONFIRMED),
    ],
)
def test_every_kind_of_outcome_survives_the_file(
    house: House, in_flight: str, result: object, state: State
) -> None:
    spill = Spill(house.folder / "gone.spill", 1)
    spill.keep([outcome(house, in_flight, result)])
    spill.close()
    replay(house.db, house.clock, house.folder)
    assert house.get("dorset/write-only/launch").state is state


def test_a_record_that_was_cut_short_is_left_to_be_looked_for(house: House, in_flight: str) -> None:
    path = house.folder / "gone.spill"
    spill = Spill(path, 1)
    spill.keep([outcome(house, in_flight)])
    spill.close()
    raw = bytearray(path.read_bytes())
    raw[20] ^= 1
    path.write_bytes(raw)
    assert replay(house.db, house.clock, house.folder) == 0
    assert house.get("dorset/write-only/launch").state is State.PUBLISHING


def test_the_room_is_taken_beforehand_and_given_back_when_it_was_not_needed(house: House) -> None:
    small, large = Spill(house.folder / "a.spill", 1), Spill(house.folder / "b.spill", 5000)
    blocks = (house.folder / "a.spill").stat().st_blocks * 512
    assert (house.folder / "a.spill").stat().st_size == SMALLEST <= blocks
    assert (house.folder / "b.spill").stat().st_size >= 5000 * 1000
    for one in (small, large):
        one.close()
    assert not list(house.folder.glob("*.spill"))


def test_a_spill_of_a_living_sender_is_left_alone(house: House, in_flight: str) -> None:
    from scheduler.store.lock import Lock

    spill = Spill(house.folder / "alive.spill", 1)
    spill.keep([outcome(house, in_flight)])
    with Lock(house.folder / "alive.lock", "this sender runs"):
        assert replay(house.db, house.clock, house.folder) == 0
    spill.close()
    assert replay(house.db, house.clock, house.folder) == 1


def test_a_receipt_that_comes_after_adoption_is_evidence_and_is_not_lost(
    house: House, in_flight: str
) -> None:
    spill = Spill(house.folder / "gone.spill", 1)
    spill.keep([outcome(house, in_flight)])
    spill.close()
    house.hands.at += timedelta(minutes=5)
    house.adopt()
    replay(house.db, house.clock, house.folder)
    assert house.get("dorset/write-only/launch").state is State.PUBLISHED


def test_what_an_older_database_does_not_know_is_kept_for_a_person_and_stops_no_looking(
    house: House,
) -> None:
    house.queue(rendered("dorset/write-only"))
    house.approve_all()
    before = snapshot(house.db)
    passed = house.gate(house.arm())
    spill = Spill(house.folder / "gone.spill", 1)
    spill.keep([outcome(house, next(iter(passed.attempts.values())))])
    spill.close()
    put_back(house.db, before)
    assert replay(house.db, house.clock, house.folder) == 0
    assert not list(house.folder.glob("*.spill"))
    assert (house.folder / "gone.unmatched").stat().st_size >= SMALLEST
    with house.db.read() as conn:
        assert [n.about for n in notices.find(conn)] == ["gone.spill"]


def test_below_the_reserve_the_gate_sends_nothing(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.queue(rendered())
    house.approve_all()
    armed = house.arm()
    monkeypatch.setattr(disk, "RESERVE", disk.free(tmp_path) * 1000)
    passed = house.gate(armed, ground=Ground(folder=tmp_path))
    assert (passed.attempts, [g.code for g in passed.stops]) == ({}, ["disk"])
    assert house.get().state is State.SCHEDULED
    monkeypatch.setattr(disk, "RESERVE", 1)
    assert house.gate(armed, ground=Ground(folder=tmp_path)).attempts


def test_a_nearly_full_disk_is_told_once_and_its_end_too(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Standing(house.db, house.clock, tmp_path, LIVE.reply_within, "") as standing:
        monkeypatch.setattr(disk, "RESERVE", disk.free(tmp_path) * 1000)
        assert "nothing is sent" in standing.look()[0]
        assert (standing.look(), standing.low) == ((), True)
        monkeypatch.setattr(disk, "RESERVE", 1)
        assert "room again" in standing.look()[0]
    with house.db.read() as conn:
        assert conn.execute(text("select state from notices where topic = 'disk'")).scalars().all() == [
            "closed"
        ]
