"""Planted bugs against simulated days: each must be found. `python -m tests.prove.mutants [NAME …]`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.simulator.planted import BY_NAME, MUTANTS, UNAIMED, Mutant

ROOT = Path(__file__).parents[2]
DAYS = 30  # within which a mutant has to be found
QUICK = (
    "no hold check",
    "looks do not settle",
    "timeout is not sent",
    "notice not written",
    "log not written",
)


def found(mutant: Mutant, seed: int, days: int = DAYS) -> str:
    """What was found first, "" where nothing was. What has no rates of its own is played in both mixes."""
    mixes = (mutant.mix,) if mutant.rates else ("standard", "hostile")
    return next((how for mix in mixes if (how := _found(mutant, seed, days, mix))), "")


def _found(mutant: Mutant, seed: int, days: int, mix: str) -> str:
    command = [sys.executable, "-m", "tests.simulator", "--mutant", mutant.name, "--mix", mix]
    command += ["--days", str(days), "--seed", str(seed)]
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ, check=False)
    lines = done.stderr.strip().splitlines()
    if done.returncode == 1 and lines and lines[0].startswith("seed "):
        return lines[0]
    if done.returncode != 0:
        raise RuntimeError(f"'{mutant.name}' could not be played: {lines[-1:]}")
    return ""


def run(*, quick: bool, seed: int, say: Callable[[str], None]) -> dict[str, object]:
    """Plant every bug (a few where `quick`), two at a time; those that nothing was aimed at apart."""
    if quick:
        return play([BY_NAME[n] for n in QUICK], seed, say)
    others = play(UNAIMED, seed, say)
    figures = play(MUTANTS, seed, say)
    return figures | {
        "mutants_unaimed": others["mutants"],
        "mutants_unaimed_survived": others["mutants_survived"],
        "mutants_unaimed_names": others["mutants_names"],
    }


def play(mutants: Iterable[Mutant], seed: int, say: Callable[[str], None]) -> dict[str, object]:
    """The figures; each mutant's first violation goes to `say`."""
    chosen = list(mutants)
    survived = []
    with ThreadPoolExecutor(2) as pool:
        for mutant, how in zip(chosen, pool.map(lambda m: found(m, seed), chosen), strict=True):
            say(f"{'killed' if how else 'SURVIVED':8} {mutant.name}: {how or mutant.what}")
            survived += [] if how else [mutant.name]
    return {
        "mutants": len(chosen),
        "mutants_survived": len(survived),
        "mutants_names": survived,
        "mutants_on": f"up to {DAYS} simulated days each, from seed {seed}",
    }


if __name__ == "__main__":
    names = sys.argv[1:]
    figures = play(
        [BY_NAME[n] for n in names] if names else MUTANTS, 1, lambda line: sys.stderr.write(f"{line}\n")
    )
    sys.stdout.write(f"{figures}\n")
