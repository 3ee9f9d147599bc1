"""What an idle daemon costs: its memory and processor time while deliveries wait for a later day."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from scheduler.app import open_app
from scheduler.domain.content import Plan
from scheduler.evidence.entry import Actor
from scheduler.files.render import read_media, render
from scheduler.files.workspace import load
from scheduler.publishers import registry
from scheduler.services.plan import plan
from scheduler.services.queue import queue
from scheduler.store import outbox

REPOSITORY = Path(__file__).parents[2]
SETTLE = 5.0  # seconds from its first sign of life until it is idle


def measure(seconds: int) -> dict[str, float | int | str]:
    """Start the daemon, live, on the campaign of this repository; on SQLite, or LAUNCHDAY_DATABASE_URL."""
    with tempfile.TemporaryDirectory(prefix="launchday-idle-", dir=os.environ.get("BENCH_DIR")) as folder:
        root = Path(folder)
        deliveries, kind = _queue(root)
        command = [sys.executable, "-m", "scheduler", "-C", str(root), "run", "--live", "--quiet"]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            while not (root / ".launchday/daemon.pid").exists():
                assert child.poll() is None, "the daemon did not stay"
                time.sleep(0.1)
            time.sleep(SETTLE)
            before, begun = _used(child.pid), time.monotonic()
            time.sleep(seconds)
            used, took = _used(child.pid) - before, time.monotonic() - begun
            return {
                "idle_rss_mb": round(_rss(child.pid), 1),
                "idle_cpu_share": round(100 * used / took, 3),
                "idle_cpu_s": round(used, 3),
                "idle_seconds": round(took),
                "idle_deliveries": deliveries,
                "idle_database": kind,
            }
        finally:
            child.terminate()
            child.wait()


def _queue(root: Path) -> tuple[int, str]:
    """The campaign of this repository, queued for real; returns how many deliveries, and where."""
    text = (REPOSITORY / "accounts.yaml").read_text("utf-8")
    assert "mode: simulation" in text
    (root / "accounts.yaml").write_text(text.replace("mode: simulation", "mode: live"), "utf-8")
    shutil.copytree(REPOSITORY / "posts", root / "posts")
    app = open_app(root, "live")
    try:
        workspace, _ = load(root, platforms=registry.load({a.platform for a in app.directory.accounts}))
        (campaign,) = workspace.campaigns
        rendered = render(workspace, campaign)
        pictures = {m.sha256: read_media(workspace, campaign, m) for r in rendered for m in r.content.media}
        # Its days are always ahead: the first post goes in a month.
        ahead = app.clock.now() + timedelta(days=30) - min(r.plan.due for r in rendered)
        later = [replace(r, plan=_moved(r.plan, ahead)) for r in rendered]
        actor = Actor("bench", "", "author", "service", "service")
        queue(app.db, app.clock, actor, plan(app.db, campaign.slug, later, app.clock.now()), pictures)
        with app.db.read() as conn:
            return len(outbox.find(conn)), "SQLite" if app.db.is_sqlite else "PostgreSQL"
    finally:
        app.close()


def _moved(when: Plan, by: timedelta) -> Plan:
    instants = {name: getattr(when, name) + by for name in ("due", "not_after", "embargo", "close")}
    return replace(when, **instants)


def _used(pid: int) -> float:
    """Seconds of processor time, its threads' included."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss(pid: int) -> float:
    """Resident memory in MB."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    line = next(one for one in status.splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) / 1024
