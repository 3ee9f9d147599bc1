"""The daemon and `run --once`: what is early is not late, what is used up keeps nobody busy, one clock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from launch.desk import (
    LAUNCH,
    OUT,
    approve,
    daemon,
    first_arrival,
    launchday,
    offset,
    posts,
    queued,
    states,
    stop_platforms,
    until,
)
from launch.stage import stage
from scheduler.services import clock as clocks
from scheduler.store import lock

THREE = ("dorset", "charity", "wiltshire")


def senders_of(pid: int) -> list[list[str]]:
    """The arguments of the daemon's senders that live now."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
            if "scheduler.sender" in words and "wave" in words:
                found.append(words)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield queued(tmp_path)
    stop_platforms(tmp_path)


def test_a_wave_that_is_found_shortly_before_its_time_is_not_taken_for_late(root: Path) -> None:
    approve(root, *THREE)
    with daemon(root, "--launch-in", "6s") as child:
        seen = until(lambda: senders_of(child.pid))
        assert "--overdue" not in seen[0]
        until(lambda: all(s in OUT for n, s in states(root).items() if n.endswith("/launch")))
    assert first_arrival(root) >= LAUNCH
    assert len(posts(root)) == 6


def test_run_once_does_not_wait_for_what_has_used_up_its_attempts(tmp_path: Path) -> None:
    with stage(tmp_path, -5) as here:
        with here.app.db.write() as conn:
            used_up = "update deliveries set attempts = 5 where name = 'dorset/x/launch'"
            conn.execute(text(used_up))
        said = launchday(tmp_path, "run", "--once")
        assert said.code == 6
        assert "5 published, 1 not out, of 6 due by now." in said.out
        assert here.app.clock.now() < here.get("dorset/x").not_after
        assert (here.get("dorset/x").state, here.attempts("dorset/x")) == ("scheduled", [])


def test_a_daemon_starts_no_sender_for_what_has_used_up_its_attempts_and_says_so_when_it_is_missed(
    tmp_path: Path,
) -> None:
    with stage(tmp_path, -5) as here:
        with here.app.db.write() as conn:
            conn.execute(text("update deliveries set attempts = 5 where post = 'launch'"))
        with daemon(tmp_path) as child:
            beats = here.app.folder / "daemon.json"
            first = until(lambda: beats.exists() and json.loads(beats.read_text())["at"])
            for _ in range(4):  # so many times it has looked what is due
                before = first
                first = until(lambda: (at := json.loads(beats.read_text())["at"]) != before and at)  # noqa: B023
                assert senders_of(child.pid) == []
            window_is_over = LAUNCH + timedelta(minutes=10, seconds=1)
            clocks.move_to(here.app.db, here.app.clock, window_is_over)
            until(lambda: here.get("dorset/x").state == "missed")
        assert here.get("dorset/x").reason == "5 attempts were made"
        assert posts(tmp_path) == []


@pytest.mark.parametrize("more", [(), ("--once",)])
def test_a_run_that_is_refused_beside_a_running_daemon_does_not_move_the_clock(
    root: Path, more: tuple[str, ...]
) -> None:
    before = offset(root)
    with lock.Lock(root / ".launchday/simulation/daemon.lock", "a daemon runs"):
        said = launchday(root, "run", "--launch-in", "30s", *more)
    assert said.code == 75
    assert "a daemon runs on this database already" in said.err
    assert offset(root) == before
