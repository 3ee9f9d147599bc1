"""Two daemons on one database: overlapping scopes are refused, and who lost a lease sends nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from scheduler.domain.delivery import State
from scheduler.errors import TryLater
from scheduler.services.ground import Ground
from scheduler.services.lease import take
from scheduler.services.standing import Standing
from scheduler.services.timing import LIVE
from scheduler.store import claim, lease
from scheduler.store.database import Database
from scheduler.store.lease import Lease

from .house import House, rendered

HOLD = """
import sys
from datetime import datetime, UTC
from scheduler.services.clock import Clock
from scheduler.services.lease import take
from scheduler.store.database import open_database
db = open_database(sys.argv[1], "simulation", datetime(2027, 3, 1, tzinfo=UTC))
print(take(db, Clock(), sys.argv[2]).lease, flush=True)
sys.stdin.readline()
"""


@contextmanager
def another_process(url: str, scope: str = "") -> Iterator[tuple[subprocess.Popen[str], Lease]]:
    """A process that holds the lease until it dies."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, url, scope], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    try:
        yield child, Lease.parse(child.stdout.readline().strip())
    finally:
        child.kill()
        child.communicate()


def gated(house: House, held: Lease | None) -> State:
    """The state of the one delivery after a gate under the lease."""
    house.queue(rendered())
    house.approve_all()
    house.gate(house.arm(), ground=Ground(held))
    return house.get().state


@pytest.mark.parametrize(("mine", "other"), [("", ""), ("", "dorset"), ("dorset", ""), ("dorset", "dorset")])
def test_what_overlaps_a_living_daemons_scope_is_refused_naming_host_and_process(
    house: House, url: str, mine: str, other: str
) -> None:
    with (
        another_process(url, other) as (child, _),
        pytest.raises(TryLater, match=rf"already \(\S+ process {child.pid}\)") as refused,
    ):
        take(house.db, house.clock, mine)
    assert refused.value.exit_code == 75


def test_two_organisations_may_each_run_their_own(house: House, url: str) -> None:
    with another_process(url, "dorset"):
        mine = take(house.db, house.clock, "wiltshire")
        with house.db.read() as conn:
            assert lease.stands(conn, mine.lease)
        mine.give_back()


def test_a_killed_daemons_lease_is_taken_over_at_once_and_its_epoch_has_moved_on(
    house: House, url: str
) -> None:
    with another_process(url) as (child, before):
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        mine = take(house.db, house.clock, "")
    assert mine.lease == Lease("", before.epoch + 1)
    mine.give_back()


@pytest.mark.parametrize("other", ["", "dorset"])
def test_a_sender_whose_daemon_lost_the_lease_sends_nothing(house: House, other: str) -> None:
    mine = take(house.db, house.clock, "dorset")
    with house.db.write() as conn:  # as another machine would, after ours was taken for dead
        lease.take(conn, house.clock.wall(), other)
    assert gated(house, mine.lease) is State.SCHEDULED
    assert house.attempts() == []
    mine.give_back()


def test_a_daemon_that_ended_leaves_no_lease_to_send_under(house: House) -> None:
    mine = take(house.db, house.clock, "")
    mine.give_back()
    assert gated(house, mine.lease) is State.SCHEDULED


def test_an_attempt_stores_the_epoch_of_its_lease(house: House) -> None:
    take(house.db, house.clock, "").give_back()
    mine = take(house.db, house.clock, "")
    assert gated(house, mine.lease) is State.PUBLISHING
    with house.db.read() as conn:
        assert conn.execute(text("select lease from attempts")).scalars().all() == [mine.lease.epoch] == [2]
    mine.give_back()


def test_a_daemon_notices_that_it_was_taken_over_and_does_not_take_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.services.standing.KEEP", 0)
    with Standing(house.db, house.clock, house.folder, LIVE.reply_within, "") as mine:
        assert (mine.look(), mine.lost) == ((), False)
        with house.db.write() as conn:
            theirs = lease.take(conn, house.clock.wall(), "")
        assert "another daemon has taken over" in mine.look()[0]
        assert mine.lost
    with house.db.read() as conn:
        assert lease.stands(conn, theirs)  # the goodbye of the one that lost it ends nothing


def test_a_claim_that_broke_with_its_connection_is_taken_again(house: House) -> None:
    mine = take(house.db, house.clock, "")
    if not house.db.is_sqlite:
        with house.db.engine.connect() as conn:
            others = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
            conn.execute(text(f"{others} and datname = current_database()"))
    assert mine.kept()
    assert mine.claim.holds()
    mine.give_back()


def test_on_postgresql_a_daemon_that_was_stopped_for_long_is_replaced(
    house: House, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if house.db.is_sqlite:
        return  # a stopped process keeps its flock: a person is told which process to end
    with another_process(url) as (child, before):
        os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(TryLater):
            take(house.db, house.clock, "")
        monkeypatch.setattr(claim, "SILENT", 0)
        mine = take(house.db, house.clock, "")
        assert mine.lease.epoch == before.epoch + 1
        mine.give_back()


def test_modes_claim_apart(database: str, empty_url: str, house: House) -> None:
    from scheduler.store.database import open_database
    from tests.conftest import NOON

    if database == "sqlite":
        return  # each mode has a file of its own
    both: list[Database] = [open_database(empty_url, mode, NOON) for mode in ("live", "simulation")]
    held = [take(db, house.clock, "") for db in both]
    for one, db in zip(held, both, strict=True):
        one.give_back()
        db.close()


def test_two_workspaces_that_name_one_sqlite_file_differently_meet(house: House, tmp_path: object) -> None:
    from pathlib import Path

    from scheduler.store.database import open_database
    from tests.conftest import NOON

    if not house.db.is_sqlite:
        return
    real = Path(str(house.db.engine.url.database))
    link = Path(str(tmp_path)) / "elsewhere.db"
    link.symlink_to(real)
    other = open_database(f"sqlite:///{link}", "simulation", NOON)
    mine = take(house.db, house.clock, "")
    with pytest.raises(TryLater, match="already"):
        take(other, house.clock, "dorset")
    mine.give_back()
    other.close()
