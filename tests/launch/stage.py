"""One sender, as the daemon would start it, against simulated platforms that have their faults already."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from PIL import Image

from launch.desk import LAUNCH, ORGANISATIONS, approve, environment, must, small
from scheduler.app import App, open_app
from scheduler.domain.content import instant
from scheduler.domain.delivery import Delivery
from scheduler.publishers.simulated import process
from scheduler.publishers.simulated.process import Running
from scheduler.services import clock as clocks
from scheduler.store import desk, log, outbox

WITH_PICTURE = "media:\n  - file: media/p.png\n    alt: A poster\n---\n"


@dataclass
class Stage:
    """A workspace whose launch is near, with its platforms."""

    root: Path
    app: App
    platforms: Running

    def sender(self, *more: str, job: str = "wave") -> subprocess.Popen[str]:
        """Start the sender of the launch wave."""
        command = [sys.executable, "-m", "scheduler.sender", job, "--root", str(self.root)]
        return subprocess.Popen(
            [*command, "--mode", "simulation", "--at", instant(LAUNCH), *more],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def look(self) -> None:
        """Look for what is in doubt until nothing is."""
        self.send(job="reconcile")

    def send(self, *more: str, job: str = "wave") -> None:
        """The same, and wait for its end."""
        with self.sender(*more, job=job) as child:
            _, said = child.communicate(timeout=200)
        assert child.returncode == 0, said

    def get(self, name: str) -> Delivery:
        with self.app.db.read() as conn:
            (found,) = outbox.find(conn, name=f"{name}/launch")
        return found

    def attempts(self, name: str) -> list[str]:
        one = self.get(name)
        with self.app.db.read() as conn:
            return [a.state for a in outbox.attempts_of(conn, [one.id]).get(one.id, [])]

    def held(self) -> list[str]:
        with self.app.db.read() as conn:
            return [h.scope for h in desk.holds(conn)]

    def entries(self, type: str) -> list[dict[str, Any]]:
        with self.app.db.read() as conn:
            return [e.body for e in log.read(conn, type=type)]

    def deferred(self) -> dict[str, str]:
        """Delivery → reason code of each entry that says that it waits."""
        return {
            b["delivery"].removesuffix("/launch"): b["reason"]["code"]
            for b in self.entries("publish.deferred")
        }


@contextmanager
def stage(root: Path, ahead: float, rules: Sequence[Mapping[str, Any]] = ()) -> Iterator[Stage]:
    """Everything queued (with a picture) and approved, `ahead` seconds before the launch."""
    post = small(root) / "posts/spring/01-launch.md"
    (root / "posts/spring/media").mkdir()
    Image.new("RGB", (40, 30), "navy").save(root / "posts/spring/media/p.png")
    text = post.read_text("utf-8")
    post.write_text(text.replace("aim: help\n---\n", f"aim: help\n{WITH_PICTURE}"), "utf-8")
    must(root, "queue", "--yes", "--as", "a.hart")
    approve(root, *ORGANISATIONS)
    app = open_app(root, "simulation", environ={})
    running = process.start(app.folder / "platforms", json.loads(json.dumps(list(rules))))
    try:
        clocks.move_to(app.db, app.clock, LAUNCH - timedelta(seconds=ahead))
        yield Stage(root, app, running)
    finally:
        running.stop()
        app.close()
