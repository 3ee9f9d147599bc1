"""`python -m tests.simulator`: simulated days from seeds; the same seed is the same day.

python -m tests.simulator --days 1000 --seed 1            how many violations, how many questions
python -m tests.simulator --seed 17 --trace               the whole day 17, line by line
python -m tests.simulator --mix hostile --rate dropped=0.2
python -m tests.simulator --mix-table                     every rate, as the README has it
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Play days; returns 1 where one had a violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator")
    parser.add_argument("--days", type=int, default=1, help="how many days")
    parser.add_argument(
        "--seed", type=int, default=1, help="the first day's seed; each further day has the next"
    )
    parser.add_argument("--mix", default="", help="standard (if none is given), hostile or quiet")
    parser.add_argument("--rate", action="append", default=[], metavar="NAME=VALUE", help="another rate")
    parser.add_argument("--trace", action="store_true", help="print the day")
    parser.add_argument("--mix-table", action="store_true", help="print every rate and leave")
    parser.add_argument("--mutant", default="", help="play the days with this bug planted")
    parser.add_argument("--naive", default="", help="play the days of this naive design")
    asked = parser.parse_args(argv)
    if asked.mutant:
        from . import planted

        planted.plant(asked.mutant)
        known = planted.BY_NAME[asked.mutant]
        asked.mix, asked.rate = asked.mix or known.mix, [*known.rates, *asked.rate]
    from .days import Tally, chosen, play
    from .mix import markdown

    if asked.mix_table:
        print(markdown())  # noqa: T201 - because this is its data
        return 0
    mix = chosen(asked.mix or "standard", asked.rate)
    tally = Tally()
    say = (lambda line: sys.stdout.write(f"{line}\n")) if asked.trace else None
    for seed, day in play(range(asked.seed, asked.seed + asked.days), mix, say, asked.naive):
        tally.count(seed, day)
        for sentence in (*day.violations, *(f"beyond the assumptions: {s}" for s in day.residual)):
            sys.stderr.write(f"seed {seed}: {sentence}\n")
        if tally.violations and (asked.mutant or asked.naive):
            break
    print(json.dumps({"mix": mix.name, **tally.figures()}))  # noqa: T201 - because this is its data
    return 1 if tally.violations else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets of words is part of a day: with another one the same seed is another day.
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulator", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
