"""Somebody kills the daemon of a rehearsal by hand: it begins again, and nothing is sent twice or lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from launch.desk import environment, small, stop_platforms, until
from scheduler.publishers.simulated import process
from scheduler.store import lock


def test_a_daemon_that_is_killed_by_hand_in_a_rehearsal_begins_again(tmp_path: Path) -> None:
    root = small(tmp_path)
    command = [sys.executable, "-m", "scheduler", "-C", str(root), "rehearse", "--json"]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as child:
        held = root / ".launchday/rehearsal/daemon.lock"
        pid = until(lambda: held.exists() and lock.holder(held))
        os.kill(pid, signal.SIGKILL)
        out, err = child.communicate(timeout=200)
    stop_platforms(root)
    assert child.returncode == 0, err
    said = json.loads(out)
    assert said["deliveries"] == said["published"] > 0
    assert (said["duplicates"], said["lost"]) == (0, 0)


def test_nothing_of_a_rehearsal_outlives_it_when_it_is_killed_itself(tmp_path: Path) -> None:
    root = small(tmp_path)
    folder = root / ".launchday/rehearsal"
    with subprocess.Popen(
        [sys.executable, "-m", "scheduler", "-C", str(root), "rehearse"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    ) as child:
        # Its sign of life comes after it has tied itself to the rehearsal.
        until((folder / "daemon.json").exists)
        child.kill()
    until(lambda: lock.holder(folder / "daemon.lock") is None)
    until(lambda: process.running(folder / "platforms") is None)
