"""backup, restore, upgrade on both databases: nothing lost, nothing overwritten, nothing sent afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from scheduler.domain.delivery import State
from scheduler.errors import LaunchdayError, StoreError, TryLater
from scheduler.services import backup as verbs
from scheduler.services.timing import LIVE
from scheduler.services.verify import verify
from scheduler.store import backup as files
from scheduler.store import desk
from scheduler.store.database import HEAD, Database, connect, migrate, open_database, version
from tests.conftest import NOON

from .house import House, rendered
from .rollback import snapshot
from .test_leases import another_process
from .test_safe_mode import look_until_known

WITHIN = LIVE.reply_within


@pytest.fixture
def own(database: str, empty_url: str, clock: object, hands: object, tmp_path: Path) -> Iterator[House]:
    """A house on a database of its own, as restoring replaces the whole of it."""
    db = open_database(empty_url, "simulation", NOON)
    made = House(db, clock, hands, tmp_path / "senders")  # type: ignore[arg-type]
    made.queue(rendered("dorset/listing"), rendered("dorset/record", post="other"), pictures={})
    made.approve_all()
    yield made
    made.transport.close()
    made.db.close()


def restore(own: House, url: str, file: Path) -> verbs.Restored:
    own.db.close()
    done = verbs.restore(url, "simulation", own.folder.parent, file, own.clock, WITHIN)
    own.db = open_database(url, "simulation", NOON)
    return done


def test_a_backup_holds_every_row_for_its_owner_only_and_is_one_whole_file(
    own: House, tmp_path: Path
) -> None:
    file = tmp_path / "copy.db"
    made = verbs.backup(own.db, own.clock, file)
    assert (made.mode, made.version, made.entries) == ("simulation", HEAD, len(own.entries()))
    assert file.stat().st_mode & 0o777 == 0o600
    copy = Database(connect(f"sqlite:///{file}", "simulation"), "simulation")
    assert snapshot(copy) == snapshot(own.db)
    copy.close()
    assert [p.name for p in tmp_path.iterdir() if "copy" in p.name] == ["copy.db"]


def test_a_backup_is_never_overwritten(own: House, tmp_path: Path) -> None:
    file = tmp_path / "copy.db"
    file.write_text("mine")
    with pytest.raises(StoreError, match="never overwritten"):
        verbs.backup(own.db, own.clock, file)
    assert file.read_text() == "mine"


def test_a_backup_into_a_folder_that_is_not_there_is_refused_in_words(own: House, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="could not be written"):
        verbs.backup(own.db, own.clock, tmp_path / "nowhere" / "copy.db")


def test_a_backup_waits_while_a_wave_is_going_out(own: House, tmp_path: Path) -> None:
    own.gate(own.arm())
    if own.db.is_sqlite:
        with pytest.raises(TryLater, match="a wave is going out"):
            verbs.backup(own.db, own.clock, tmp_path / "copy.db")
    else:
        verbs.backup(own.db, own.clock, tmp_path / "copy.db")


def test_what_is_restored_sends_nothing_twice(own: House, empty_url: str, tmp_path: Path) -> None:
    file = tmp_path / "copy.db"
    verbs.backup(own.db, own.clock, file)
    own.launch()
    assert len(own.world.posts) == 2
    done = restore(own, empty_url, file)
    with own.db.read() as conn:
        stop = desk.safe_mode(conn)
    assert stop
    assert stop.reason == "a backup was restored"
    look_until_known(own)
    assert {d.state for d in own.all()} == {State.PUBLISHED}
    assert len(own.world.posts) == 2
    assert verify(own.db).published == 2
    assert done.aside


def test_the_replaced_database_is_kept_aside_whole(own: House, empty_url: str, tmp_path: Path) -> None:
    file = tmp_path / "copy.db"
    verbs.backup(own.db, own.clock, file)
    own.launch()
    before = snapshot(own.db)
    done = restore(own, empty_url, file)
    if own.db.is_sqlite:
        kept = Database(connect(f"sqlite:///{done.aside}", "simulation"), "simulation")
        assert snapshot(kept) == before
        kept.close()
        return
    schema = done.aside.removeprefix("schema ")
    with own.db.read() as conn:
        rows = conn.execute(text(f"select count(*) from {schema}.attempts")).scalar()
    assert rows == len(before["attempts"]) == 2


def test_after_a_restore_new_log_entries_with_reasons_can_be_written(
    own: House, empty_url: str, tmp_path: Path
) -> None:
    own.approve("bea", note="yes from me too")
    file = tmp_path / "copy.db"
    verbs.backup(own.db, own.clock, file)
    restore(own, empty_url, file)
    own.queue(rendered("dorset/key", post="third"))
    own.approve("bea", note="and this one")
    assert own.verify() == len(own.entries())


def test_a_backup_of_one_kind_goes_back_into_the_other(
    own: House, empty_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "copy.db"
    verbs.backup(own.db, own.clock, file)
    if own.db.is_sqlite:
        return  # the other way is what matters: a file of PostgreSQL's rows becomes a SQLite database
    url = f"sqlite:///{tmp_path / 'other.db'}"
    verbs.restore(url, "simulation", tmp_path, file, own.clock, WITHIN)
    db = open_database(url, "simulation", NOON)
    rows = snapshot(db)
    assert rows["deliveries"] == snapshot(own.db)["deliveries"]
    db.close()


def test_a_restore_beside_a_running_daemon_is_refused_and_changes_nothing(
    own: House, empty_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "copy.db"
    verbs.backup(own.db, own.clock, file)
    own.launch()
    with another_process(empty_url), pytest.raises(TryLater, match="daemon"):
        verbs.restore(empty_url, "simulation", tmp_path, file, own.clock, WITHIN)
    assert {d.state for d in own.all()} == {State.PUBLISHED}
    assert not [p for p in tmp_path.iterdir() if "restoring" in p.name]


@pytest.mark.parametrize("damage", ["cut", "garbage", "text", "log", "missing", "mode"])
def test_a_damaged_or_foreign_backup_is_refused_before_anything_is_changed(
    own: House, empty_url: str, tmp_path: Path, damage: str
) -> None:
    file = tmp_path / "copy.db"
    verbs.backup(own.db, own.clock, file)
    raw = file.read_bytes()
    if damage == "cut":
        file.write_bytes(raw[: len(raw) // 2])
    elif damage == "garbage":
        file.write_bytes(raw[:4096] + b"\xa5" * (len(raw) - 4096))
    elif damage == "text":
        file.write_text("no database")
    elif damage == "missing":
        file.unlink()
    else:
        with sqlite3.connect(file) as conn:
            conn.execute(
                "delete from entries where seq = 2" if damage == "log" else "update control set mode = 'live'"
            )
        conn.close()
    before = snapshot(own.db)
    with pytest.raises(LaunchdayError) as refused:
        verbs.restore(empty_url, "simulation", tmp_path, file, own.clock, WITHIN)
    assert refused.value.help
    assert snapshot(own.db) == before


def test_a_damaged_sqlite_database_can_be_replaced(own: House, empty_url: str, tmp_path: Path) -> None:
    if not own.db.is_sqlite:
        return
    file = tmp_path / "copy.db"
    verbs.backup(own.db, own.clock, file)
    own.db.close()
    place = Path(str(own.db.engine.url.database))
    place.write_bytes(b"not a database any more " * 400)
    Path(f"{place}-journal").write_bytes(b"left behind")
    done = restore(own, empty_url, file)
    assert len(own.all()) == 2
    assert Path(done.aside).read_bytes().startswith(b"not a database")
    assert not Path(f"{place}-journal").exists()


def older(url: str) -> None:
    """A real database of version 0001, with rows."""
    engine = connect(url, "simulation")
    migrate(engine, "0001")
    with engine.connect().execution_options(launchday_write=True) as conn, conn.begin():
        conn.execute(
            text(
                "insert into control (id, mode, stop_epoch, next_seq, offset_ms, opened_at)"
                " values (1, 'simulation', 3, 1, 5, '2027-03-01T00:00:00.000Z')"
            )
        )
        conn.execute(
            text(
                "insert into holds (id, scope, person, organisation, reason, started_at, released_by,"
                " released_at) values ('h', 'all', 'bob', 'dorset', 'a reason', :at, '', '')"
            ),
            {"at": "2027-03-01T00:00:00.000Z"},
        )
    engine.dispose()


def test_an_older_database_is_never_migrated_silently(empty_url: str) -> None:
    older(empty_url)
    with pytest.raises(StoreError, match="older Launchday") as refused:
        open_database(empty_url, "simulation", NOON)
    assert "launchday upgrade" in refused.value.help
    engine = connect(empty_url, "simulation")
    assert version(engine) == "0001"
    engine.dispose()


def test_upgrade_makes_a_backup_and_then_migrates_with_every_row(empty_url: str, tmp_path: Path) -> None:
    older(empty_url)
    was, kept = verbs.upgrade(empty_url, "simulation", tmp_path, NOON)
    assert was == "0001"
    assert kept
    assert files.examine(kept, "simulation").version == "0001"
    db = open_database(empty_url, "simulation", NOON)
    with db.read() as conn:
        assert [h.reason for h in desk.holds(conn)] == ["a reason"]
        assert desk.stop_epoch(conn) == 3
        assert desk.safe_mode(conn) is None
    db.close()
    assert verbs.upgrade(empty_url, "simulation", tmp_path, NOON) == (HEAD, None)


def test_a_backup_of_an_older_version_is_brought_up_to_date_when_it_is_restored(
    empty_url: str, tmp_path: Path, own: House
) -> None:
    before = f"sqlite:///{tmp_path / 'older.db'}"
    older(before)
    restore(own, empty_url, tmp_path / "older.db")
    with own.db.read() as conn:
        assert [h.reason for h in desk.holds(conn)] == ["a reason"]
    engine = connect(before, "simulation")
    assert version(engine) == "0001"  # the file itself stays as it was
    engine.dispose()


def test_there_is_nothing_to_upgrade_where_there_is_no_database(empty_url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no database here yet"):
        verbs.upgrade(empty_url, "simulation", tmp_path, NOON)
