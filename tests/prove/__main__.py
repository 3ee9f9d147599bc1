"""`python -m tests.prove`: crash and fault rehearsals again and again, counted from the platforms' ledger.

Progress goes to stderr; the last line on stdout is one JSON object. Exit code 1 after a duplicate or a loss.
QUICK=1 runs 3 of each, PROVE_CYCLES=N runs N of each, otherwise 20. PROVE_SEED repeats the crash points.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scheduler.app import read_directory
from scheduler.files.render import read_media, render
from scheduler.files.workspace import load
from scheduler.publishers import registry
from scheduler.publishers.simulated import process
from scheduler.rehearsal import Rehearsal

REPOSITORY = Path(__file__).parents[2]
SUMMED = ("duplicates", "lost", "unconfirmed", "failed", "asking")


def main() -> int:
    """Rehearse; returns 1 where anything was sent twice or lost."""
    cycles = 3 if os.environ.get("QUICK") else int(os.environ.get("PROVE_CYCLES", "20"))
    seed = int(os.environ.get("PROVE_SEED", time.time_ns() % 1_000_000))
    chance = random.Random(seed)
    total: dict[str, Any] = {"cycles": 0, **dict.fromkeys(SUMMED, 0), "in_doubt": 0}
    say(f"{cycles} crashes and {cycles} launches with faults; PROVE_SEED={seed}")
    with workspace() as root:
        wave = launch_wave(root)
        kinds = [(kind, n) for n in range(1, cycles + 1) for kind in ("crash", "faults")]
        for kind, n in kinds:
            after = chance.randint(1, wave - 1)
            figures = rehearse(root, kind, after)
            total["cycles"] += 1
            total["in_doubt"] += figures["in_doubt_after_crash"]
            for name in SUMMED:
                total[name] += figures[name]
            point = f"killed after {after:2} of {wave}, {figures['in_doubt_after_crash']:2} in doubt; "
            say(
                f"{kind:6} {n:3}/{cycles}  {point if kind == 'crash' else ''}"
                f"{figures['published']} published, {figures['duplicates']} twice, {figures['lost']} lost"
            )
            if figures["duplicates"] or figures["lost"]:
                keep(root, f"{kind}-{n}")
    total["seed"] = seed
    print(json.dumps(total), flush=True)  # noqa: T201 - because this is its data
    return 1 if total["duplicates"] or total["lost"] else 0


def say(line: str) -> None:
    """Talk goes to stderr."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - because this is its talk


@contextmanager
def workspace() -> Iterator[Path]:
    """A copy of the campaign of this repository, away from the checkout."""
    with tempfile.TemporaryDirectory(prefix="launchday-prove-") as folder:
        root = Path(folder)
        shutil.copy(REPOSITORY / "accounts.yaml", root)
        shutil.copytree(REPOSITORY / "posts", root / "posts")
        try:
            yield root
        finally:
            process.stop(root / ".launchday/rehearsal/platforms")


def launch_wave(root: Path) -> int:
    """How many deliveries the launch wave has."""
    made = prepared(root, crash_after=0)
    return sum(r.plan.due == made.t0 for r in made.rendered)


class Varied(Rehearsal):
    """A rehearsal that is killed at a point of our choosing."""

    crash_after: int = 0

    def _crash(self, app: Any, after: int) -> int:
        return super()._crash(app, self.crash_after or after)


def prepared(root: Path, crash_after: int, **how: Any) -> Varied:
    """The rehearsal of the one campaign, its files read anew."""
    platforms = registry.load({a.platform for a in read_directory(root).accounts})
    files, _ = load(root, platforms=platforms)
    (one,) = files.campaigns
    rendered = render(files, one)
    pictures = {m.sha256: read_media(files, one, m) for r in rendered for m in r.content.media}
    made = Varied(root, one, rendered, pictures, dict(os.environ), **how)
    made.crash_after = crash_after
    return made


def rehearse(root: Path, kind: str, crash_after: int) -> dict[str, Any]:
    """One rehearsal. A crash that left nothing in doubt proves nothing: made again, five times at most."""
    for _ in range(5):
        figures = prepared(root, crash_after, crash=kind == "crash", faults=kind == "faults").run()
        if kind != "crash" or figures["in_doubt_after_crash"]:
            return figures
    return figures


def keep(root: Path, name: str) -> None:
    """What went wrong is kept to be looked at."""
    kept = Path(tempfile.gettempdir()) / f"launchday-prove-{name}-{os.getpid()}"
    shutil.copytree(root / ".launchday/rehearsal", kept, ignore_dangling_symlinks=True)
    say(f"        kept in {kept}")


if __name__ == "__main__":
    sys.exit(main())
