"""Opening a database: migrations make the tables; what is not ours, too new or damaged is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, text
from sqlmodel import SQLModel

from scheduler.errors import StoreError, TryLater
from scheduler.store import database as store
from scheduler.store.database import Database, open_database
from tests.conftest import NOON

OPEN = """
import sys
from datetime import datetime, UTC
from scheduler.store.database import open_database
print("ready", flush=True)
sys.stdin.readline()
db = open_database(sys.argv[1], "simulation", datetime(2027, 3, 1, tzinfo=UTC))
with db.read() as conn:
    print(conn.exec_driver_sql("select count(*) from control").scalar())
db.close()
"""


def test_migrations_make_exactly_what_the_tables_say(db: Database) -> None:
    with db.engine.connect() as conn:
        found = compare_metadata(
            MigrationContext.configure(conn, opts={"compare_type": True}), SQLModel.metadata
        )
    assert found == []


def test_the_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(store.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [store.HEAD]


def test_opening_twice_changes_nothing(url: str) -> None:
    for _ in range(2):
        db = open_database(url, "simulation", NOON)
        with db.read() as conn:
            assert conn.execute(text("select mode, next_seq from control")).all() == [("simulation", 1)]
        db.close()


def test_a_sqlite_database_of_another_mode_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    open_database(url, "live", NOON).close()
    with pytest.raises(StoreError, match="belongs to the mode 'live', not 'simulation'"):
        open_database(url, "simulation", NOON)


def test_a_stamp_of_another_mode_is_refused(db: Database, url: str) -> None:
    with db.write() as conn:
        conn.execute(text("update control set mode = 'live'"))
    with pytest.raises(StoreError, match="belongs to the mode 'live'"):
        open_database(url, "simulation", NOON)


def test_on_postgresql_each_mode_has_tables_of_its_own(database: str, empty_url: str) -> None:
    if database == "sqlite":
        return  # the two tests above
    live, simulation = (open_database(empty_url, mode, NOON) for mode in ("live", "simulation"))
    with live.write() as conn:
        conn.execute(text("update control set stop_epoch = 7"))
    with simulation.read() as conn:
        assert conn.execute(text("select stop_epoch from control")).scalar() == 0
    live.close()
    simulation.close()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(empty_url: str) -> None:
    db = open_database(empty_url, "simulation", NOON)
    with db.write() as conn:
        conn.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(StoreError, match="made by a newer Launchday"):
        open_database(empty_url, "simulation", NOON)
    with db.read() as conn:
        assert conn.execute(text("select version_num from alembic_version")).scalar() == "9999"
    db.close()


@pytest.mark.parametrize("damage", [b"this is not a database " * 400, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_damaged_file_is_refused_in_words(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(damage)
    with pytest.raises(StoreError, match="damaged") as refused:
        open_database(f"sqlite:///{path}", "simulation", NOON)
    assert "backup" in refused.value.help
    assert path.read_bytes() == damage


def test_a_database_whose_tables_are_torn_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    open_database(f"sqlite:///{path}", "simulation", NOON).close()
    raw = bytearray(path.read_bytes())
    raw[4096:] = b"\xa5" * (len(raw) - 4096)
    path.write_bytes(raw)
    with pytest.raises(StoreError, match="damaged"):
        open_database(f"sqlite:///{path}", "simulation", NOON)


def test_a_postgresql_that_does_not_answer_is_refused_in_words() -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        open_database("postgresql://nobody@127.0.0.1:1/nothing", "simulation", NOON)


def test_an_address_of_another_kind_of_database_is_refused() -> None:
    with pytest.raises(StoreError, match="mysql"):
        open_database("mysql://root@127.0.0.1/x", "simulation", NOON)


def test_four_processes_open_a_new_database_at_once(empty_url: str) -> None:
    command = [sys.executable, "-c", OPEN, empty_url]
    opening = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for one in opening:
        assert one.stdout
        assert one.stdout.readline() == b"ready\n"
    for one in opening:
        assert one.stdin
        one.stdin.write(b"go\n")
        one.stdin.flush()
    for one in opening:
        out, err = one.communicate(timeout=60)
        assert (out, err) == (b"1\n", b"")


def test_a_sqlite_file_is_for_its_owner_only_and_survives_a_power_cut(tmp_path: Path) -> None:
    path = tmp_path / "state" / "x.db"
    db = open_database(f"sqlite:///{path}", "simulation", NOON)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with db.read() as conn:
        assert conn.exec_driver_sql("pragma synchronous").scalar() == 3  # EXTRA
        assert conn.exec_driver_sql("pragma foreign_keys").scalar() == 1
        wanted = "wal" if store.wal_is_safe() else "delete"
        assert conn.exec_driver_sql("pragma journal_mode").scalar() == wanted
    db.close()


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        *[((3, 40, 1), False), ((3, 44, 5), False), ((3, 44, 6), True), ((3, 45, 0), False)],
        *[((3, 50, 6), False), ((3, 50, 7), True), ((3, 51, 2), False), ((3, 51, 3), True)],
        ((3, 52, 0), True),
    ],
)
def test_wal_is_used_only_where_the_library_has_the_fix(version: tuple[int, ...], safe: bool) -> None:
    assert store.wal_is_safe(version) is safe


def test_a_busy_database_asks_to_try_later(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    first, second = (open_database(url, "simulation", NOON) for _ in range(2))
    second.close()
    event.listen(second.engine, "connect", lambda dbapi, _: dbapi.execute("pragma busy_timeout = 0"))
    with first.write(), pytest.raises(TryLater, match="busy with another writer"), second.write():
        pass
    with second.write() as conn:
        conn.execute(text("update control set stop_epoch = 1"))
    first.close()
    second.close()


def test_only_a_rehearsal_is_ever_wiped(empty_url: str) -> None:
    open_database(empty_url, "rehearsal", NOON).close()
    store.wipe(empty_url, "rehearsal")
    fresh = open_database(empty_url, "rehearsal", NOON)
    with fresh.read() as conn:
        assert conn.execute(text("select count(*) from entries")).scalar() == 0
    fresh.close()
    for mode in ("live", "simulation"):
        with pytest.raises(StoreError, match="never wiped"):
            store.wipe(empty_url, mode)


def test_a_transaction_that_fails_leaves_nothing(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), db.write() as conn:
        conn.execute(text("update control set stop_epoch = 99")).rowcount / 0
    with db.read() as conn:
        assert conn.execute(text("select stop_epoch from control")).scalar() == 0


def test_everything_read_in_one_transaction_belongs_to_one_instant(db: Database) -> None:
    with db.read() as conn:
        before = conn.execute(text("select stop_epoch from control")).scalar()
        if not db.is_sqlite:  # a rollback journal keeps writers out meanwhile
            with db.write() as other:
                other.execute(text("update control set stop_epoch = 5"))
        assert conn.execute(text("select stop_epoch from control")).scalar() == before
