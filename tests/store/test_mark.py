"""The high-water mark's file: durable, never backwards by itself, and damage is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.errors import StoreError
from scheduler.evidence.entry import Event
from scheduler.services.events import DAEMON
from scheduler.store import log, mark
from scheduler.store.database import Database
from tests.conftest import NOON


def grown(db: Database, path: Path, entries: int = 1) -> mark.Mark:
    """So many entries later."""
    with db.write() as conn:
        log.append(conn, NOON, [Event("hold.started", DAEMON)] * entries)
    with db.read() as conn:
        assert mark.advance(conn, path)
        return mark.of(conn)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return mark.path_in(tmp_path)


def test_it_follows_the_log_and_is_for_its_owner_only(db: Database, path: Path) -> None:
    assert mark.read(path) is None
    for _ in range(3):
        assert mark.read(path) != (now := grown(db, path))
        assert mark.read(path) == now
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_write_that_was_cut_short_leaves_the_mark_before_it(db: Database, path: Path) -> None:
    before = grown(db, path)
    whole = path.read_bytes()
    grown(db, path)
    after = path.read_bytes()
    assert len(whole) == len(after)
    torn = bytes(a if n % 7 else b for n, (a, b) in enumerate(zip(after, whole, strict=True)))
    path.write_bytes(torn)
    assert mark.read(path) == before


@pytest.mark.parametrize("damage", [b"", b"\0" * 200, b"nonsense\n" * 20, b"\xff" * 300])
def test_a_damaged_file_is_refused_in_words_until_it_is_set_back(
    db: Database, path: Path, damage: bytes
) -> None:
    grown(db, path)
    path.write_bytes(damage)
    with pytest.raises(StoreError, match="mark is damaged"):
        mark.read(path)
    with db.read() as conn:
        mark.set_back(conn, path)
        assert mark.read(path) == mark.of(conn)


def test_it_never_goes_back_by_itself(db: Database, path: Path) -> None:
    high = grown(db, path, 5)
    with db.write() as conn:
        conn.exec_driver_sql("delete from entries where seq > 2")
        conn.exec_driver_sql("update control set next_seq = 3")
    with db.read() as conn:
        assert mark.advance(conn, path) is False
        assert mark.read(path) == high
        assert "ends at entry 2, but 5 were written" in mark.behind(conn, high)
        mark.set_back(conn, path)
        assert mark.read(path) == mark.of(conn)
        assert mark.advance(conn, path) is True
