"""SIGSTOP in the middle of a launch, SIGCONT when its time is over: not one byte may leave then.

A sender is stopped at a step between its gate and its last byte, or at a random moment, with nobody beside
it. Whatever arrives later than the fence allows is a late send. Then a daemon takes over, and the ledger is
compared as after a kill.
"""

from __future__ import annotations

import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from scheduler.domain.content import instant
from scheduler.publishers.simulated import ledger
from scheduler.transport.fence import BUDGET
from tests.prove.kills import server
from tests.prove.life import LAUNCH, TIMING, Life, Stage
from tests.prove.zygote import zygote

SIDE_BY_SIDE = 10
STEPS = ("intents written, not committed", "gate passed", "last look", "burst", "burst")
BEFORE = ("", "start", "arming", "armed", "connecting", "connected", "gate")
GRACE = 0.25  # seconds that a byte may be on its way on a busy machine
Say = Callable[[str], None]


@dataclass
class Total:
    """What all the stops came to. `late` counts posts that arrived when their time was over."""

    stops: int = 0
    late: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)


def stopped(life: Life, chance: random.Random, *, fence: bool = True) -> tuple[int, str]:
    """Stop one sender and let it go on; returns how many posts came late, and the step in which it stood.

    One that stood before its gate asks the gate when it goes on: what that lets through is not late.
    """
    life.platforms(())
    over = life.t0 + BUDGET + chance.uniform(0.5, 1.5)  # when it goes on
    if chance.random() < 0.1:
        over = life.t0 + chance.uniform(0.5, BUDGET - 1)  # in time: then it may send
    aimed = chance.random() < 0.75
    if aimed:
        where = chance.choice(STEPS)
        nth = chance.randint(1, 8) if where == "burst" else 1
        life.zygote.aim(life.name, where, nth, who="self", pause=True, number=signal.SIGSTOP)
    argv = ["wave", "--root", str(life.root), "--mode", "simulation", "--at", instant(LAUNCH)]
    argv += [] if fence else ["--unfenced"]
    talk = life.root / "daemon.txt"
    line = life.zygote.start(life.name, "scheduler.sender", argv, talk=talk, env=life.environ, cwd=life.root)
    with line:
        if not aimed:
            _sleep_until(life.t0 + chance.uniform(-0.4, 0.03))
            life.zygote.kill(life.name, "sender", signal.SIGSTOP)
        _sleep_until(over)
        hits = life.zygote.hits(life.name)
        life.zygote.kill(life.name, "sender", signal.SIGCONT, note=False)
        line.settimeout(20)
        line.recv(1024)  # it has ended, one way or the other
    time.sleep(GRACE)
    came = ledger.arrivals(life.app.folder / "platforms")
    step = hits[0]["step"] if hits else ""
    if step in BEFORE:
        return 0, step
    late = [a for a in came if a.arrived_ns / 1e9 > life.t0 + BUDGET + GRACE]
    return len(late), step


def _sleep_until(at: float) -> None:
    time.sleep(max(0.0, at - time.time()))


def many(stage: Stage, stops: int, seed: int, say: Say, *, fence: bool = True) -> Total:
    """So many stops, some side by side; launch n is made from `seed` and n alone."""
    total, lock, numbers = Total(), threading.Lock(), iter(range(3 * stops))

    def work() -> None:
        for n in numbers:
            if total.stops >= stops:
                return
            with stage.life() as life:
                late, step = stopped(life, random.Random(f"{seed}/{n}"), fence=fence)
                wrong = life.settle().wrong if fence else {}
                with lock:
                    total.stops += step not in BEFORE
                    total.late += late
                    total.steps[step or "not stopped"] += 1
                    total.wrong.update({name: len(found) for name, found in wrong.items()})
                if fence and (late or wrong):
                    say(f"        stop {n} of seed {seed}: {late} late, {wrong}")

    with ThreadPoolExecutor(min(SIDE_BY_SIDE, stops)) as pool:
        for done in [pool.submit(work) for _ in range(min(SIDE_BY_SIDE, stops))]:
            done.result()
    return total


def run(*, quick: bool, seed: int, say: Say, cycles: int = 0, database: str = "") -> dict[str, object]:
    """Stop senders with their fence on; then some without it, which must send late."""
    wanted = cycles or (10 if quick else 200)
    with tempfile.TemporaryDirectory(prefix="launchday-stops-", ignore_cleanup_errors=True) as folder:
        found = on(Path(folder) / "fenced", database or "sqlite", wanted, seed, say)
        bare = on(Path(folder) / "bare", "sqlite", 5 if quick else 20, seed, say, fence=False)
    for step, n in found.steps.most_common():
        say(f"stops   {n:6} senders stopped in: {step}")
    return {
        "stops": found.stops,
        "late_sends": found.late,
        "late_sends_without_fence": bare.late,
        "stops_steps": dict(found.steps),
        "stops_wrong": dict(found.wrong),
        "stops_ok": not any(found.wrong.values()) and bare.late > 0,
        "stops_on": f"{found.stops} senders on {database or 'sqlite'}, {bare.stops} without their fence",
    }


def on(folder: Path, database: str, stops: int, seed: int, say: Say, *, fence: bool = True) -> Total:
    """So many stops in a folder of their own."""
    folder.mkdir()
    with server(database) as postgres, zygote(timing=TIMING) as forks:
        return many(Stage(folder, forks, postgres), stops, seed, say, fence=fence)
