"""`python -m tests.bench`: the whole protocol's arrival after T0 and its throughput, beside the limits.

    --accounts 300,1000      sizes of the wave (5000 too where the system allows so many open files;
                             BENCH_5000=0 leaves it out, BENCH_5000=1 insists)
    --rounds 9               interleaved rounds per size, at least 5 (5 for 5000); figures are medians
    --with NAME=module:function   another way to send a wave (tests.bench.methods.Method); may be repeated
    --idle 600               instead: memory and processor time of an idle daemon over so many seconds

`protocol` is the sender's own launch: gate, log, last look and settling, in a database on the disk
(BENCH_DIR, or where temporary files go). `volley` is the bare volley, `raw` the limit, `plain` 64 threads
with stock requests sessions, `pool` the same at its best. Throughput ratios are of the largest size:
`protocol_throughput_ratio` is against `plain`, `best_pool_throughput_ratio` against `pool`.
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
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.bench import campaign, idle
from tests.bench.methods import METHODS, Method, Protocol, wave
from tests.bench.stamping import StampingServer


class Round(NamedTuple):
    """The arrivals after T0 of one round, sorted, in milliseconds; and how many seconds all of it took."""

    arrived: list[float]
    took: float


Rounds = dict[tuple[str, int], list[Round]]
"""(method, accounts) → its rounds."""


def turns(size: int, rounds: int) -> int:
    """Rounds for a size: a round of 5,000 takes five seconds, most of them the pool's."""
    return min(rounds, 5) if size > 1000 else rounds


def usual_sizes() -> str:
    """The sizes of the promises; 5,000 is the most."""
    wish = os.environ.get("BENCH_5000", "")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    large = wish != "0" and (hard == resource.RLIM_INFINITY or hard >= 6000)
    return "300,1000" + (",5000" if large or wish == "1" else "")


def measure(server: StampingServer, methods: dict[str, Method], sizes: list[int], rounds: int) -> Rounds:
    """All rounds. Methods take turns within a round, and who begins changes from round to round."""
    found: Rounds = {(name, size): [] for name in methods for size in sizes}
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("volleys", total=sum(turns(size, rounds) for _, size in found))
        for size in sizes:
            for turn in range(turns(size, rounds)):
                names = list(methods)
                for name in names[turn % len(names) :] + names[: turn % len(names)]:
                    progress.update(task, description=f"{size} accounts, {name}")
                    sent = methods[name](wave(server.url, size, server.clear))
                    arrived = sorted((stamp - sent.at * 1e9) / 1e6 for stamp in server.stamps())
                    assert len(arrived) == size, f"{name}: {len(arrived)} of {size} arrived"
                    found[name, size].append(Round(arrived, sent.took))
                    progress.advance(task)
    return found


def p99(arrived: list[float]) -> float:
    """The 99th percentile (nearest rank) of sorted values."""
    return arrived[math.ceil(0.99 * len(arrived)) - 1]


def figures(rounds: Rounds, asked: int) -> dict[str, float | int | str]:
    """Medians over the rounds, and the ratios that are promised (of the whole protocol)."""
    middle = {key: statistics.median(p99(r.arrived) for r in of) for key, of in rounds.items()}
    took = {key: statistics.median(r.took for r in of) for key, of in rounds.items()}
    found: dict[str, float | int | str] = {"rounds": asked}
    for (name, size), value in middle.items():
        found[f"{name}_p99_ms_{size}"] = round(value, 3)
        found[f"{name}_took_s_{size}"] = round(took[name, size], 3)
        if name == "protocol":
            found[f"raw_ratio_{size}"] = round(value / middle["raw", size], 3)
            found[f"pool_ratio_{size}"] = round(middle["pool", size] / value, 2)
            # All sent as many: the shorter time is the greater throughput.
            found["protocol_throughput_ratio"] = round(took["plain", size] / took[name, size], 2)
            found["best_pool_throughput_ratio"] = round(took["pool", size] / took[name, size], 2)
        elif name not in ("raw", "pool", "plain"):
            found[f"{name}_ratio_{size}"] = round(value / middle["raw", size], 3)
    ours = [r for (name, _), of in rounds.items() if name not in ("raw", "pool", "plain") for r in of]
    found["earliest_ms"] = round(min(r.arrived[0] for r in ours), 4)
    return found


def measured_on(folder: Path) -> dict[str, float | int | str]:
    """What the figures were measured on."""
    with campaign.opened(folder, 1, "") as app, app.db.read() as conn:
        mode = conn.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        synchronous = conn.exec_driver_sql("PRAGMA synchronous").scalar_one()
    mounts = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    under = [m for m in mounts if folder.resolve().is_relative_to(m[1])]
    return {
        "cores": os.cpu_count() or 0,
        "machine": f"{platform.machine()} Python {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "journal_mode": str(mode),
        "synchronous": {2: "FULL", 3: "EXTRA"}.get(int(synchronous), str(synchronous)),
        "disk": max(under, key=lambda m: len(m[1]))[2] if under else "unknown",
    }


def show(rounds: Rounds, found: dict[str, float | int | str], sizes: list[int]) -> None:
    """The table for people."""
    table = Table(title=f"First byte at the server after T0, p99, median of {found['rounds']} rounds")
    for heading in ("accounts", "method", "p99 ms", "worst round ms", "earliest ms", "p99 ÷ raw", "took s"):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for size in sizes:
        for name in [name for name, other in rounds if other == size]:
            value, limit = (float(found[f"{which}_p99_ms_{size}"]) for which in (name, "raw"))
            arrived = [r.arrived for r in rounds[name, size]]
            worst, first = max(map(p99, arrived)), min(a[0] for a in arrived)
            cells = (f"{value:.2f}", f"{worst:.2f}", f"{first:.3f}", f"{value / limit:.2f}")
            took = f"{found[f'{name}_took_s_{size}']:.2f}"
            table.add_row(str(size), name, *cells, took, end_section=name == list(rounds)[-1][0])
    Console().print(table)


def main() -> None:
    """Measure, print the table, print the JSON line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="arrival after T0")
    parser.add_argument("--accounts", default=usual_sizes())
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--with", dest="others", action="append", default=[], metavar="NAME=module:function")
    parser.add_argument("--idle", type=int, default=0, metavar="SECONDS")
    chosen = parser.parse_args()
    if chosen.idle:
        print(json.dumps(idle.measure(chosen.idle)))  # noqa: T201 - the JSON line is the benchmark's result
        return
    sizes, methods = [int(size) for size in chosen.accounts.split(",")], dict(METHODS)
    for other in chosen.others:
        name, _, place = other.partition("=")
        module, _, function = place.partition(":")
        methods[name] = getattr(importlib.import_module(module), function)
    begun = time.monotonic()
    within = os.environ.get("BENCH_DIR")
    with tempfile.TemporaryDirectory(prefix="launchday-bench-", dir=within) as folder:
        methods["protocol"] = Protocol(Path(folder))
        with StampingServer(max(sizes)) as server:
            rounds = measure(server, methods, sizes, max(5, chosen.rounds))
        found = {**figures(rounds, max(5, chosen.rounds)), **measured_on(Path(folder))}
    show(rounds, found, sizes)
    print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr)  # noqa: T201
    print(json.dumps(found))  # noqa: T201 - the JSON line is the benchmark's result


if __name__ == "__main__":
    main()
