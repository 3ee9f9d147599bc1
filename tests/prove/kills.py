"""kill -9 at every step of a launch, again and again, on both databases; the ledger says what came of it.

A cycle is one launch of eight approved accounts (and eight that must not go) in which at least one process
was killed. Half of the kills are aimed at a step, half come at a random moment.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import postgres as pg
from tests.prove.life import AHEAD, PATIENCE, TIMING, Life, Stage, Verdict
from tests.prove.zygote import zygote

SIDE_BY_SIDE = 10
FIRST = (
    *("start", "arming", "armed", "connecting", "connected", "gate", "intents written, not committed"),
    *("gate passed", "last look", "burst", "burst", "replies", "settle"),
    *("outcomes written, not committed", "settled", "windows"),
)
AFTER = ("adopt", "look", "conclude", "outcomes written, not committed", "looked", "start", "gate", "burst")
STEPS = frozenset((*FIRST, *AFTER))  # each of them is to be hit
Say = Callable[[str], None]


@dataclass
class Total:
    """What all the launches came to."""

    cycles: int = 0
    kills: int = 0
    restarts: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)  # step → processes killed in it
    states: Counter[str] = field(default_factory=Counter)

    def add(self, one: Verdict) -> None:
        """One launch more."""
        if not one.hits:
            return
        self.cycles += 1
        self.kills += len({h["pid"] for h in one.hits})
        self.restarts += one.restarts - 1
        self.wrong.update({name: len(found) for name, found in one.wrong.items()})
        self.hit.update(h["step"] for h in one.hits)
        self.states += one.states


def plan(chance: random.Random) -> list[dict[str, Any]]:
    """One to three kills: at a step, or at a time after T0 (seconds)."""
    kills: list[dict[str, Any]] = []
    for n in range(chance.choice((1, 1, 2, 2, 3))):
        who = chance.choice(("all", "all", "all", "self", "self", "daemon"))
        if chance.random() < 0.5:
            step = chance.choice(AFTER if n else FIRST)
            nth = chance.randint(1, 8) if step == "burst" else chance.choice((1, 1, 2))
            pause = who != "daemon" and chance.random() < 0.7
            kills.append({"step": step, "nth": nth, "who": who, "pause": pause})
        else:
            near = chance.random() < 0.5
            at = chance.uniform(-0.4, 0.15) if near else chance.uniform(-AHEAD, 3.5)
            kills.append({"at": at, "who": "sender" if who == "self" else who})
    # In order of time, so that one that is aimed does not hold up one that comes before it.
    return sorted(kills, key=lambda k: k.get("at", 0.0))


def live(life: Life, kills: Sequence[Mapping[str, Any]], rules: Sequence[Mapping[str, Any]]) -> Verdict:
    """Run one launch with these kills; what was killed is started again until everything has ended."""
    life.platforms(rules)
    todo, before = list(kills), 0
    end = time.monotonic() + PATIENCE
    aimed = _next_aim(life, todo)
    while time.monotonic() < end and not (life.ended() and not any("at" in k for k in todo)):
        if not life.running():
            life.start()
        hits = len(life.zygote.hits(life.name))
        if aimed and hits > before:
            todo.pop(0)
            aimed = _next_aim(life, todo)
        before = hits
        if todo and "at" in todo[0] and time.time() >= life.t0 + todo[0]["at"]:
            life.zygote.kill(life.name, todo.pop(0)["who"])
            before = len(life.zygote.hits(life.name))
            aimed = _next_aim(life, todo)
        soon = bool(todo) and "at" in todo[0]
        left = life.t0 + todo[0]["at"] - time.time() if soon else 0.1
        time.sleep(min(0.1, max(0.002, left)))
    return life.settle(max(1.0, end - time.monotonic()))


def _next_aim(life: Life, todo: Sequence[Mapping[str, Any]]) -> bool:
    if not todo or "at" in todo[0]:
        return False
    life.zygote.aim(life.name, **todo[0])
    return True


def many(
    stage: Stage, cycles: int, seed: int, say: Say, one: Callable[[Life, random.Random], Verdict]
) -> Total:
    """So many launches with a kill in each, some side by side; launch n is made from `seed` and n alone."""
    side_by_side = min(SIDE_BY_SIDE, cycles)
    total, lock, numbers = Total(), threading.Lock(), iter(range(10**9))

    def work() -> None:
        while True:
            with lock:
                n = next(numbers)
                # Launches in which no kill fell are made again; where none ever falls, something is broken.
                if total.cycles >= cycles or n >= 3 * cycles + side_by_side:
                    return
            with stage.life() as life:
                found = one(life, random.Random(f"{seed}/{n}"))
                with lock:
                    total.add(found)
                    if found.wrong:
                        kept = Path(tempfile.mkdtemp(prefix="launchday-kept-")) / life.root.name
                        shutil.copytree(life.root, kept)
                        say(f"        launch {n} of seed {seed}: {found.wrong}   kept in {kept}")
                    if found.hits and total.cycles % 100 == 0:
                        say(f"kills   {total.cycles}/{cycles} launches, {total.kills} processes killed")

    with ThreadPoolExecutor(side_by_side) as pool:
        for done in [pool.submit(work) for _ in range(side_by_side)]:
            done.result()
    return total


def killed(life: Life, chance: random.Random) -> Verdict:
    """One launch with faults and kills of its own."""
    from tests.prove.life import faults

    return live(life, plan(chance), faults(chance))


def naively(life: Life, chance: random.Random) -> Verdict:
    """One launch by a sender that does not think of crashes, killed in its burst."""
    # Three of the platforms refuse the same post a second time; Mastodon without a key does not.
    step, which = {"retry": ("replies", (3, 7)), "mark": ("settled", range(1, 9))}[life.more[-1]]
    return live(life, [{"step": step, "nth": chance.choice(which), "who": "all", "pause": True}], [])


# The command itself, started as people start it, at the spans of a simulation


def commanded(life: Life, chance: random.Random) -> Verdict:
    """One launch by `python -m scheduler run` with nothing patched, killed once at a random moment."""
    life.platforms(())
    at = life.t0 + chance.choice((chance.uniform(-8, 4), chance.uniform(-0.4, 0.2)))
    end, hit = time.monotonic() + 2 * PATIENCE, []
    command = [sys.executable, "-m", "scheduler", "-C", str(life.root), "run"]
    child: subprocess.Popen[bytes] | None = None
    with (life.root / "daemon.txt").open("ab") as talk:
        try:
            while time.monotonic() < end and not (hit and life.ended()):
                if child is None or child.poll() is not None:
                    life.restarts += 1
                    child = subprocess.Popen(
                        command, stdin=subprocess.DEVNULL, stdout=talk, stderr=talk, env=dict(life.environ)
                    )
                if not hit and time.time() >= at:
                    hit = [{"pid": p, "step": "the true command"} for p in tree(child.pid)]
                    for one in hit:
                        os.kill(one["pid"], signal.SIGKILL)
                    child.wait()
                time.sleep(min(0.1, max(0.002, at - time.time())))
        finally:
            for pid in tree(child.pid) if child else ():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if child:
                child.wait()
    found = life.settle(0)
    found.hits = hit
    return found


def tree(pid: int) -> list[int]:
    """A process and all that descend from it, the youngest first."""
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += tree(int(child))
    return [*found, pid]


# The section


def run(*, quick: bool, seed: int, say: Say, cycles: int = 0, database: str = "") -> dict[str, object]:
    """Kill on both databases; then the naive senders, which must be found out.

    `cycles`: launches in all (0: 1,500, or 24 where it is to be quick). `database` leaves the other one out.
    """
    which = [database] if database else ["sqlite", "postgresql"]
    totals: dict[str, Total] = {}
    said: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="launchday-kills-", ignore_cleanup_errors=True) as folder:
        for name in which:
            share = cycles or (24 if quick else 1500)
            wanted = share if len(which) == 1 else share * (2 if name == "sqlite" else 1) // 3
            totals[name] = on(Path(folder) / name, name, wanted, seed, say, killed)
            said[name] = f"{totals[name].cycles} on {name}"
        hand = 1 if quick else 30
        totals["command"] = on(Path(folder) / "command", "sqlite", hand, seed, say, commanded, ahead=10.5)
        naive = {
            way: on(
                Path(folder) / way, "sqlite", 3 if quick else 20, seed, say, naively,
                module="tests.prove.naive", more=("--way", way), silent=True,
            )
            for way in ("retry", "mark")
        }  # fmt: skip
    every = Total()
    for one in totals.values():
        for name in ("wrong", "hit", "states"):
            getattr(every, name).update(getattr(one, name))
        every.cycles, every.kills = every.cycles + one.cycles, every.kills + one.kills
    every.hit.pop("the true command", None)
    for step in sorted(STEPS, key=lambda s: -every.hit[s]):
        say(f"kills   {every.hit[step]:6} processes killed in: {step}")
    missed = sorted(STEPS - set(every.hit))
    return {
        "kill9_cycles": every.cycles,
        "kill9_cycles_sqlite": sum(t.cycles for n, t in totals.items() if n != "postgresql"),
        "kill9_cycles_postgresql": totals["postgresql"].cycles if "postgresql" in totals else 0,
        "kill9_processes": every.kills,
        "duplicates": every.wrong["duplicates"],
        "lost": every.wrong["lost"] + every.wrong["stuck"],
        "kills_wrong": {n: c for n, c in every.wrong.items() if c},
        "kills_steps": dict(every.hit.most_common()),
        "kills_steps_missed": missed,
        "kills_states": dict(every.states),
        "naive_duplicates": naive["retry"].wrong["duplicates"],
        "naive_lost": naive["mark"].wrong["lost"],
        "kills_ok": not any(every.wrong.values())
        and (quick or bool(cycles) or not missed)
        and naive["retry"].wrong["duplicates"] > 0
        and naive["mark"].wrong["lost"] > 0,
        "kills_on": ", ".join([*said.values(), f"{totals['command'].cycles} of `launchday run` itself"]),
    }


def on(
    folder: Path,
    database: str,
    cycles: int,
    seed: int,
    say: Say,
    one: Callable[[Life, random.Random], Verdict],
    *,
    module: str = "scheduler",
    more: Sequence[str] = (),
    ahead: float = AHEAD,
    silent: bool = False,
) -> Total:
    """So many launches in a folder of their own, on one of the databases."""
    folder.mkdir()
    with server(database) as postgres, zygote(timing=TIMING) as forks:
        stage = Stage(folder, forks, postgres, module=module, more=more, ahead=ahead)
        return many(stage, cycles, seed, (lambda _: None) if silent else say, one)


@contextmanager
def server(database: str) -> Iterator[pg.Postgres | None]:
    """A PostgreSQL where that is the database."""
    if database != "postgresql":
        yield None
        return
    running = pg.start()
    try:
        yield running
    finally:
        running.stop()
