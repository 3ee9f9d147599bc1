"""A sender that is stopped between its gate and its last byte dies; it never sends late."""

from __future__ import annotations

import os
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from launch.desk import LAUNCH, ORGANISATIONS, first_arrival, posts, until
from launch.stage import Stage, stage
from scheduler.services import reconcile
from scheduler.services.mishap import POINTS
from scheduler.services.timing import SIMULATION
from scheduler.transport.fence import BUDGET

ALL = [f"{o}/{p}" for o in ORGANISATIONS for p in ("x", "mastodon")]
TOO_LATE = LAUNCH + timedelta(seconds=BUDGET)


def is_stopped(sender: subprocess.Popen[str]) -> bool:
    return sender.poll() is not None or "\nState:\tT" in Path(f"/proc/{sender.pid}/status").read_text()


def stopped_over_t0(here: Stage, *more: str) -> int:
    """A sender that is stopped at a point, and let go on when its time is over. Returns how it ended."""
    with here.sender(*more) as sender:
        until(lambda: is_stopped(sender))
        # The fence does not wait for SIGCONT; without one the sender stands there until it comes.
        until(
            lambda: sender.poll() is not None if "--unfenced" not in more else here.app.clock.now() > TOO_LATE
        )
        if sender.poll() is None:
            os.kill(sender.pid, signal.SIGCONT)
        sender.communicate(timeout=100)
    return sender.returncode


@pytest.mark.parametrize("point", POINTS)
def test_a_sender_that_was_stopped_is_dead_before_it_could_send_late(tmp_path: Path, point: str) -> None:
    with stage(tmp_path, 6) as here:
        assert stopped_over_t0(here, "--stop-at", point) == -signal.SIGKILL
        begun = ["one"] if point == "burst" else []  # those bytes left in time
        assert len(posts(tmp_path)) == len(begun)
        intents = sorted(state for name in ALL for state in here.attempts(name))
        assert intents == ([] if point == "gating" else ["intent"] * len(ALL))
        # What it left is looked for, not sent again: its lock proves that it is dead.
        app = here.app
        adopted = reconcile.adopt(app.db, app.clock, SIMULATION, app.is_dead)
        assert len(adopted) == len(intents)


def test_without_the_fence_the_same_stop_sends_late(tmp_path: Path) -> None:
    """The control: it shows that the test above can fail."""
    with stage(tmp_path, 6) as here:
        assert stopped_over_t0(here, "--stop-at", "looked", "--unfenced") == 0
        assert len(posts(tmp_path)) == len(ALL)
        assert first_arrival(tmp_path) > TOO_LATE


def test_a_short_stop_costs_nothing(tmp_path: Path) -> None:
    with stage(tmp_path, 6) as here, here.sender("--stop-at", "gate") as sender:
        until(lambda: is_stopped(sender))
        os.kill(sender.pid, signal.SIGCONT)
        _, said = sender.communicate(timeout=100)
        assert (sender.returncode, len(posts(tmp_path))) == (0, len(ALL)), said
        assert first_arrival(tmp_path) >= LAUNCH
