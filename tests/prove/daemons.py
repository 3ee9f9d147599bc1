"""Two daemons on one workspace: the second is refused; and two senders of one wave send each post once.

The first is for people, the second is what counts where the refusal fails: nothing goes but through the gate.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from scheduler.domain.content import instant
from tests.prove.kills import server
from tests.prove.life import LAUNCH, TIMING, Life, Stage
from tests.prove.zygote import zygote

Say = Callable[[str], None]
Kind = Callable[[Life], bool]


def refused(life: Life) -> bool:
    """Whether a second daemon leaves, saying that one runs, while the first carries on."""
    life.platforms(())
    life.start()
    second = life.root / "second.txt"
    _until(lambda: any(one["step"] not in ("", "start") for one in life.zygote.alive(life.name)))
    argv = ["-C", str(life.root), "run"]
    with life.zygote.start(
        life.name, "scheduler", argv, talk=second, env=life.environ, cwd=life.root
    ) as line:
        line.settimeout(30)
        line.recv(1024)
    said = second.read_text("utf-8", "replace")
    return "already" in said and life.running() and not life.settle().wrong


def raced(life: Life, senders: int = 3) -> bool:
    """Whether several senders of the same wave, all at once, make one post for each account."""
    life.platforms(())
    argv = ["wave", "--root", str(life.root), "--mode", "simulation", "--at", instant(LAUNCH)]
    talk = life.root / "daemon.txt"
    lines = [
        life.zygote.start(life.name, "scheduler.sender", argv, talk=talk, env=life.environ, cwd=life.root)
        for _ in range(senders)
    ]
    for line in lines:
        with line:
            line.settimeout(30)
            line.recv(1024)
    return not life.settle().wrong


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "the first daemon did not come up"
        time.sleep(0.02)


def run(*, quick: bool, seed: int, say: Say) -> dict[str, object]:
    """Both, on both databases."""
    done: dict[str, bool] = {}
    rounds = 1 if quick else 10
    with tempfile.TemporaryDirectory(prefix="launchday-daemons-", ignore_cleanup_errors=True) as folder:
        for database in ("sqlite", "postgresql"):
            for what in (refused, raced):
                done[f"{what.__name__} on {database}"] = on(Path(folder), database, what, rounds)
    for name, well in done.items():
        say(f"daemons {name}: {'well' if well else 'BROKEN'}")
    return {
        "daemons_ok": all(done.values()),
        "daemons": done,
        "daemons_on": f"{rounds} launches each, on SQLite and PostgreSQL",
    }


def on(folder: Path, database: str, what: Callable[[Life], bool], rounds: int) -> bool:
    """Whether it holds in so many launches."""
    place = folder / f"{what.__name__}-{database}"
    place.mkdir()
    with server(database) as postgres, zygote(timing=TIMING) as forks:
        stage = Stage(place, forks, postgres)
        for _ in range(rounds):
            with stage.life() as life:
                if not what(life):
                    return False
    return True
