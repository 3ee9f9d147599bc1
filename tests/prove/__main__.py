"""`python -m tests.prove`: every proof of the promise, counted, with its seed; ends in one JSON line.

Progress goes to stderr, a short table too; the last line on stdout is one JSON object. Exit code 1 where any
bar is broken, or a section broke.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import inspect
import json
import os
import platform
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

SECTIONS = ("days", "mutants", "cuts", "kills", "stops", "daemons", "canaries")

Bar = tuple[str, Callable[[Any], bool], str]
# What must be true of the figures: key, test, how people say it. `full`: only of the long version.
BARS: Mapping[str, tuple[Bar, ...]] = {
    "days": (
        ("violations", lambda n: n == 0, "0"),
        ("ask_share", lambda share: share < 0.07, "below 7 %"),
    ),
    "mutants": (("mutants_survived", lambda n: n == 0, "0"),),
    "cuts": (("lost_intents", lambda n: n == 0, "0"),),
    "kills": (
        ("duplicates", lambda n: n == 0, "0"),
        ("lost", lambda n: n == 0, "0"),
        ("kills_ok", bool, "nothing else wrong, every step hit, naive senders found out"),
    ),
    "stops": (("late_sends", lambda n: n == 0, "0"), ("stops_ok", bool, "without the fence: late")),
    "daemons": (("daemons_ok", bool, "refused, and at most one post even unrefused"),),
    "canaries": (("canary_hits", lambda n: n == 0, "0"), ("canaries_ok", bool, "a leak is found")),
}
FULL: Mapping[str, tuple[Bar, ...]] = {
    "days": (("days", lambda n: n >= 100_000, "at least 100,000"),),
    "mutants": (("mutants", lambda n: n >= 30, "at least 30"),),
    "cuts": (("power_cuts", lambda n: n >= 1_000, "at least 1,000"),),
    "kills": (
        ("kill9_cycles_sqlite", lambda n: n >= 1_000, "at least 1,000"),
        ("kill9_cycles_postgresql", lambda n: n >= 500, "at least 500"),
    ),
    "stops": (("stops", lambda n: n >= 200, "at least 200"),),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sections; returns 1 where a bar is broken."""
    asked = _asked(argv)
    seed = asked.seed if asked.seed is not None else time.time_ns() % 1_000_000
    quick = asked.quick
    say(f"prove: {'the small version' if quick else 'the whole of it'}, --seed {seed}")
    figures: dict[str, Any] = {"quick": quick, "seed": seed, **machine()}
    broken: list[str] = []
    for name in asked.only:
        if importlib.util.find_spec(f"tests.prove.{name}") is None:
            broken.append(f"{name}: there is no such section")
            continue
        begun = time.monotonic()
        try:
            figures |= _section(name, asked, quick, seed)
        except Exception:
            traceback.print_exc()
            broken.append(f"{name}: the section broke")
        figures[f"{name}_seconds"] = round(time.monotonic() - begun)
        broken += judged(name, figures, full=not quick and not asked.cycles)
    table(asked.only, figures)
    for line in broken:
        say(f"BROKEN  {line}")
    figures["broken"] = broken
    print(json.dumps(figures), flush=True)  # noqa: T201 - because this is its data
    return 1 if broken else 0


def _asked(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    parser.add_argument("--only", default="", help=f"sections, with commas between: {', '.join(SECTIONS)}")
    parser.add_argument("--seed", type=int, help="repeats a run; printed where it is not given")
    parser.add_argument("--cycles", type=int, default=0, help="launches, stops … instead of the usual number")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="", help="only this one")
    parser.add_argument("--quick", action="store_true", default=bool(os.environ.get("QUICK")))
    asked = parser.parse_args(argv)
    asked.only = [s for s in asked.only.split(",") if s] or list(SECTIONS)
    if unknown := set(asked.only) - set(SECTIONS):
        parser.error(f"no section is called {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    return asked


def _section(name: str, asked: argparse.Namespace, quick: bool, seed: int) -> dict[str, Any]:
    """Run one section, with those of the options that it takes."""
    run = importlib.import_module(f"tests.prove.{name}").run
    takes = inspect.signature(run).parameters
    given = {"cycles": asked.cycles, "database": asked.database}
    more = {n: v for n, v in given.items() if v and n in takes}
    found: dict[str, Any] = run(quick=quick, seed=seed, say=say, **more)
    return found


def judged(name: str, figures: Mapping[str, Any], *, full: bool) -> list[str]:
    """What is broken of the section's bars."""
    bars = (*BARS.get(name, ()), *(FULL.get(name, ()) if full else ()))
    return [
        f"{key} is {figures.get(key, 'missing')}, and should be {words}"
        for key, test, words in bars
        if key not in figures or not test(figures[key])
    ]


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "kernel": platform.release(),
    }


def table(names: Sequence[str], figures: Mapping[str, Any]) -> None:
    """The figures that have a bar, for people."""
    say("")
    for name in names:
        for key, test, words in (*BARS.get(name, ()), *FULL.get(name, ())):
            if key in figures:
                mark = "✓" if test(figures[key]) else "✗"
                say(f"{mark} {name:10} {key:26} {figures[key]!s:>10}   should be {words}")
        if on := figures.get(f"{name}_on"):
            say(f"  {'':10} measured on {on}, {figures.get(f'{name}_seconds', 0)} s")


def say(line: str) -> None:
    """Talk goes to stderr."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - because this is its talk


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.exit(main())
