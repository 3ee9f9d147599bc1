"""Simulated launch days, as many as wanted, in two processes; a long run can be resumed.

`python -m tests.prove.days --days 100000 --seed 1 --resume FILE`; `--mix hostile`, `--rate NAME=VALUE`
as for `python -m tests.simulator`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.simulator.days import GUARDED, Tally, chosen, play

ROOT = Path(__file__).parents[2]
DAYS, QUICK_DAYS = 100_000, 300
SLICE = 100  # days of one child process


def run(*, quick: bool, seed: int, say: Callable[[str], None]) -> dict[str, object]:
    """All days of the standard mix, and as many hostile ones as a tenth."""
    days = int(os.environ.get("PROVE_DAYS", QUICK_DAYS if quick else DAYS))
    kept = os.environ.get("PROVE_DAYS_FILE", "")
    standard = many(days, seed, "standard", [], Path(kept) if kept else None, say)
    hostile = many(max(1, days // 10), seed + 10_000_000, "hostile", [], None, say)
    return {
        "days": standard.days + hostile.days,
        "violations": standard.violations + hostile.violations,
        "bad_days": [*standard.bad[:20], *hostile.bad[:20]],
        "ask_share": round(standard.share(), 4),
        "ask_share_guarded": round(standard.share(GUARDED), 4),
        "ask_share_hostile": round(hostile.share(), 4),
        "requests": standard.sent + hostile.sent,
        "processes_killed": standard.deaths + hostile.deaths,
        "days_on": f"the production services under a simulated clock, from seed {seed};"
        f" {standard.days} days of the standard mix, {hostile.days} of the hostile one",
    }


def many(
    days: int, seed: int, mix: str, rates: list[str], resume: Path | None, say: Callable[[str], None]
) -> Tally:
    """Play days `seed` to `seed + days - 1`; the count is kept in the file `resume` after each slice."""
    asked = {"mix": mix, "rates": rates, "seed": seed}
    tally, next_seed = Tally(), seed
    if resume and resume.exists():
        kept = json.loads(resume.read_text("utf-8"))
        if kept["asked"] != asked:
            raise SystemExit(f"{resume} is of another run: {kept['asked']}")
        tally.add(kept["raw"])
        next_seed = kept["next"]
    end, begun, running = seed + days, time.monotonic(), dict[int, subprocess.Popen[str]]()
    waiting = iter(range(next_seed, end, SLICE))
    while True:
        while len(running) < 2 and (first := next(waiting, None)) is not None:
            running[first] = _child(first, min(SLICE, end - first), mix, rates)
        if not running:
            return tally
        first = min(running)  # in order, so that a file of an interrupted run has no gaps
        out, trouble = running.pop(first).communicate()
        if not out:
            raise RuntimeError(f"days from seed {first} could not be played: {trouble[-500:]}")
        tally.add(json.loads(out))
        if resume:
            state = {"asked": asked, "next": min(first + SLICE, end), "raw": tally.raw()}
            new = resume.with_suffix(".new")
            new.write_text(json.dumps(state), "utf-8")
            new.replace(resume)
        spent = time.monotonic() - begun
        say(
            f"days {mix:9} {tally.days:6}/{days}  {tally.violations} violations, "
            f"{100 * tally.share():.1f} % asked, {spent:.0f} s"
        )
        for line in trouble.splitlines():
            say(line)


def _child(first: int, count: int, mix: str, rates: list[str]) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "tests.prove.days",
        "--slice",
        "--seed",
        str(first),
        "--days",
        str(count),
    ]
    command += ["--mix", mix, *(word for rate in rates for word in ("--rate", rate))]
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environ
    )


def _slice(first: int, count: int, mix: str, rates: list[str]) -> dict[str, Any]:
    tally = Tally()
    for seed, day in play(range(first, first + count), chosen(mix, rates)):
        tally.count(seed, day)
        for sentence in day.violations:
            sys.stderr.write(f"seed {seed} ({mix}): {sentence}\n")
    return tally.raw()


def main() -> int:
    """Play and print the figures; returns 1 where a day had a violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.prove.days")
    parser.add_argument("--days", type=int, default=QUICK_DAYS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mix", default="standard")
    parser.add_argument("--rate", action="append", default=[])
    parser.add_argument("--resume", type=Path, help="a file that keeps what was counted, and is gone on from")
    parser.add_argument("--slice", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.slice:
        sys.stdout.write(json.dumps(_slice(asked.seed, asked.days, asked.mix, asked.rate)))
        return 0
    tally = many(
        asked.days,
        asked.seed,
        asked.mix,
        asked.rate,
        asked.resume,
        lambda line: sys.stderr.write(f"{line}\n"),
    )
    sys.stdout.write(f"{json.dumps(tally.figures())}\n")
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
