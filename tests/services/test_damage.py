"""A damaged database: a daemon does not start on it, and one that runs stops sending and stays to tell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from scheduler.errors import StoreError
from scheduler.services.standing import Standing
from scheduler.services.timing import LIVE
from scheduler.store.database import check_whole, is_damaged

from .house import House, rendered


def damaged(house: House) -> None:
    """One page in the middle of the file is not what was written."""
    house.queue(*(rendered("dorset/key", f"words {n}", post=f"p{n}") for n in range(60)))
    house.db.close()
    place = Path(str(house.db.engine.url.database))
    size = place.stat().st_size
    with place.open("r+b") as file:
        for page in range(8, size // 4096):
            file.seek(page * 4096)
            file.write(os.urandom(4096))


def test_a_daemon_does_not_start_on_a_damaged_database_and_says_what_to_do(house: House) -> None:
    check_whole(house.db)
    if not house.db.is_sqlite:
        return  # PostgreSQL guards its own files
    damaged(house)
    with pytest.raises(StoreError, match=r"the database is damaged.*nothing is sent") as refused:
        Standing(house.db, house.clock, house.folder.parent, LIVE.reply_within, "")
    assert "launchday restore" in refused.value.help


def test_damage_that_is_met_later_stops_all_sending_and_is_said(house: House) -> None:
    if not house.db.is_sqlite:
        return
    with Standing(house.db, house.clock, house.folder.parent, LIVE.reply_within, "") as standing:
        assert "trouble" in standing.met(ValueError("something else"))
        assert not standing.damaged
        damaged(house)

        def read_all() -> None:
            with house.db.read() as conn:
                for table in ("deliveries", "entries", "decisions", "notices"):
                    conn.execute(text(f"select * from {table}")).all()

        with pytest.raises(DatabaseError, match=r"malformed|not a database") as met:
            read_all()
        assert is_damaged(met.value)
        assert "DAMAGED" in standing.met(met.value)
        assert standing.damaged
