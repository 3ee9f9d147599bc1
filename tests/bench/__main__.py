"""`python -m tests.bench`: arrival after T0, our volley beside the raw-socket limit and a thread pool.

    --accounts 43,300,1000   sizes of the wave (5000 too where the system allows so many open files;
                             BENCH_5000=0 leaves it out, BENCH_5000=1 insists)
    --rounds 9               interleaved rounds per size, at least 5 (5 for 5000); figures are medians
    --with NAME=module:function   another way to send a wave (tests.bench.methods.Method), for
                             example the whole protocol with gate and log; may be repeated

Progress goes to stderr. The last line on stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import platform
import resource
import statistics
import sys
import time

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench.methods import METHODS, Method, wave
from tests.bench.stamping import StampingServer

Offsets = dict[tuple[str, int], list[list[float]]]
"""(method, accounts) → for each round the arrivals after T0, sorted, in milliseconds."""


def turns(size: int, rounds: int) -> int:
    """Rounds for a size: a round of 5,000 takes five seconds, most of them the pool's."""
    return min(rounds, 5) if size > 1000 else rounds


def usual_sizes() -> str:
    """43 accounts are one campaign of ours, 5,000 the most we promise."""
    wish = os.environ.get("BENCH_5000", "")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    large = wish != "0" and (hard == resource.RLIM_INFINITY or hard >= 6000)
    return "43,300,1000" + (",5000" if large or wish == "1" else "")


def measure(server: StampingServer, methods: dict[str, Method], sizes: list[int], rounds: int) -> Offsets:
    """All rounds. Methods take turns within a round, and who begins changes from round to round."""
    offsets: Offsets = {(name, size): [] for name in methods for size in sizes}
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("volleys", total=sum(turns(size, rounds) for _, size in offsets))
        for size in sizes:
            for turn in range(turns(size, rounds)):
                names = list(methods)
                for name in names[turn % len(names) :] + names[: turn % len(names)]:
                    progress.update(task, description=f"{size} accounts, {name}")
                    at = methods[name](wave(server.url, size, server.clear))
                    arrived = sorted((stamp - at * 1e9) / 1e6 for stamp in server.stamps())
                    assert len(arrived) == size, f"{name}: {len(arrived)} of {size} arrived"
                    offsets[name, size].append(arrived)
                    progress.advance(task)
    return offsets


def p99(arrived: list[float]) -> float:
    """The 99th percentile (nearest rank) of sorted values."""
    return arrived[math.ceil(0.99 * len(arrived)) - 1]


def figures(offsets: Offsets, asked: int) -> dict[str, float | int | str]:
    """Medians over the rounds, and the ratios that are promised."""
    middle = {key: statistics.median(map(p99, arrivals)) for key, arrivals in offsets.items()}
    found: dict[str, float | int | str] = {"rounds": asked, "cores": os.cpu_count() or 0}
    found["machine"] = f"{platform.machine()} Python {platform.python_version()}"
    for (name, size), value in middle.items():
        found[f"{name}_p99_ms_{size}"] = round(value, 3)
        if name == "pool":
            found[f"pool_ratio_{size}"] = round(value / middle["volley", size], 2)
        elif name != "raw":
            kind = "raw" if name == "volley" else name
            found[f"{kind}_ratio_{size}"] = round(value / middle["raw", size], 3)
    ours = [arrivals for (name, _), arrivals in offsets.items() if name not in ("raw", "pool")]
    found["earliest_ms"] = round(min(arrived[0] for rounds in ours for arrived in rounds), 4)
    return found


def show(offsets: Offsets, found: dict[str, float | int | str], sizes: list[int]) -> None:
    """The table for people."""
    table = Table(title=f"First byte at the server after T0, p99, median of {found['rounds']} rounds")
    for heading in ("accounts", "method", "p99 ms", "worst round ms", "earliest ms", "p99 ÷ raw"):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for size in sizes:
        for name in [name for name, other in offsets if other == size]:
            value, limit = (float(found[f"{which}_p99_ms_{size}"]) for which in (name, "raw"))
            rounds = offsets[name, size]
            worst, first = max(map(p99, rounds)), min(arrived[0] for arrived in rounds)
            cells = (f"{value:.2f}", f"{worst:.2f}", f"{first:.3f}", f"{value / limit:.2f}")
            table.add_row(str(size), name, *cells, end_section=name == list(offsets)[-1][0])
    Console().print(table)


def main() -> None:
    """Measure, print the table, print the JSON line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="arrival after T0")
    parser.add_argument("--accounts", default=usual_sizes())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--with", dest="others", action="append", default=[], metavar="NAME=module:function")
    chosen = parser.parse_args()
    sizes, methods = [int(size) for size in chosen.accounts.split(",")], dict(METHODS)
    for other in chosen.others:
        name, _, place = other.partition("=")
        module, _, function = place.partition(":")
        methods[name] = getattr(importlib.import_module(module), function)
    begun = time.monotonic()
    with StampingServer(max(sizes)) as server:
        offsets = measure(server, methods, sizes, max(5, chosen.rounds))
    found = figures(offsets, max(5, chosen.rounds))
    show(offsets, found, sizes)
    print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr)  # noqa: T201
    print(json.dumps(found))  # noqa: T201 - the JSON line is the benchmark's result


if __name__ == "__main__":
    main()
