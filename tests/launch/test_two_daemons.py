"""Two daemons as processes: one database has one, wherever the second one is started."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from launch.desk import (
    OUT,
    approve,
    daemon,
    launchday,
    posts,
    queued,
    small,
    states,
    stop_platforms,
    until,
)
from launch.stage import stage
from scheduler.app import open_app
from scheduler.services.clock import Reading
from tests.postgres import Postgres


def test_a_second_workspace_on_one_sqlite_file_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    one, two = (small(tmp_path / name) for name in ("one", "two"))
    shared = f"sqlite:///{tmp_path / 'shared.db'}"
    with daemon(one, LAUNCHDAY_DATABASE_URL=shared) as first:
        until((one / ".launchday/simulation/daemon.json").exists)
        for more in ((), ("--once",), ("--org", "dorset")):
            said = launchday(two, "run", *more, LAUNCHDAY_DATABASE_URL=shared)
            assert said.code == 75
            assert f"process {first.pid}" in said.err
    stop_platforms(one)


def test_a_second_workspace_on_one_postgresql_is_refused(tmp_path: Path, postgres: Postgres) -> None:
    one, two = (small(tmp_path / name) for name in ("one", "two"))
    postgres.run("create database shared")
    shared = postgres.url("shared")
    with daemon(one, LAUNCHDAY_DATABASE_URL=shared) as first:
        until((one / ".launchday/simulation/daemon.json").exists)
        said = launchday(two, "run", "--once", LAUNCHDAY_DATABASE_URL=shared)
        assert said.code == 75
        assert f"process {first.pid}" in said.err
        first.kill()
        first.wait()
        # A crash keeps nobody out.
        assert launchday(two, "run", "--once", LAUNCHDAY_DATABASE_URL=shared).code == 0
    for root in (one, two):
        stop_platforms(root)
    postgres.run("drop database shared with (force)")


def test_a_daemon_passes_its_lease_to_its_senders_and_the_wave_stores_it(tmp_path: Path) -> None:
    queued(tmp_path)
    approve(tmp_path, "dorset", "charity", "wiltshire")
    assert launchday(tmp_path, "run", "--once").code == 0
    with daemon(tmp_path, "--launch-in", "4s"):
        until(lambda: all(s in OUT for n, s in states(tmp_path).items() if n.endswith("/launch")))
    app = open_app(tmp_path, "simulation", environ={})
    with app.db.read() as conn:
        assert set(conn.execute(text("select lease from attempts")).scalars()) == {2}
    app.close()
    stop_platforms(tmp_path)


def test_a_sender_whose_clock_was_set_back_over_the_launch_sends_nothing_and_holds_the_post(
    tmp_path: Path,
) -> None:
    with stage(tmp_path, 20) as here:
        now = here.app.clock.reading()
        before = Reading(now.wall + 60, now.monotonic, now.boottime)  # as its daemon saw it a moment ago
        with here.sender("--clocks", str(before)) as child:
            _, said = child.communicate(timeout=100)
        assert child.returncode == 75, said
        assert "the clock was set back by 60 s" in said
        assert here.held() == ["post:spring/launch"]
        assert posts(tmp_path) == []
