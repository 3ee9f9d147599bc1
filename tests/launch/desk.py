"""A small workspace, the commands as processes, and looks at what they left."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scheduler.app import open_app
from scheduler.cli.main import main
from scheduler.publishers.simulated import ledger, process
from scheduler.store import lock, outbox

REPOSITORY = Path(__file__).parents[2]
LAUNCH = datetime(2027, 3, 9, 7, 0, tzinfo=UTC)
ORGANISATIONS = {"dorset": "j.doyle", "charity": "p.shah", "wiltshire": "w.reed"}

ACCOUNTS = """\
mode: simulation
zone: Europe/London
organisations:
{organisations}
groups:
  held: [dorset, charity]
people:
  a.hart: {{name: Alex Hart, org: dorset, roles: [author], os_user: ahart}}
  j.doyle: {{name: Jo Doyle, org: dorset, roles: [author, approver], os_user: jdoyle}}
  p.shah: {{name: Pat Shah, org: charity, roles: [approver], os_user: pshah}}
  w.reed: {{name: Wyn Reed, org: wiltshire, roles: [approver], os_user: wreed}}
"""
ORGANISATION = """\
  {slug}:
    name: The {slug} organisation
    area: The area of {slug}
    accounts:
      x: {{handle: "@{slug}.example", token: "env:{NAME}_X"}}
      mastodon: {{handle: "@{slug}@social.example", server: "https://social.example", token: "env:{NAME}_M"}}
"""
CAMPAIGN = """\
name: Spring
launch: Tue 9 March 2027 07:00
window: 10m
to: everyone
platforms: [x, mastodon]
link: "https://www.example.org/"
hashtags: ["#Spring"]
aims:
  help: People know where help is.
approval: {each_org: 1, not_author: true, close: 1m before launch}
"""
POST = """\
---
id: {id}
at: {at}
aim: help
---
{words} {{{{ org.area }}}} {{{{ link }}}} {{{{ hashtags }}}}
"""
# It is out; a read-back that has come already does not change that.
OUT = ("published", "verified")


def small(root: Path) -> Path:
    """Three organisations on two platforms; one post at the launch, one five hours later."""
    (root / "posts/spring").mkdir(parents=True)
    organisations = "".join(ORGANISATION.format(slug=o, NAME=o.upper()) for o in ORGANISATIONS)
    (root / "accounts.yaml").write_text(ACCOUNTS.format(organisations=organisations.rstrip()), "utf-8")
    (root / "posts/spring/campaign.yaml").write_text(CAMPAIGN, "utf-8")
    (root / "posts/spring/01-launch.md").write_text(
        POST.format(id="launch", at="launch", words="Come and see us in"), "utf-8"
    )
    (root / "posts/spring/02-later.md").write_text(
        POST.format(id="later", at="launch + 5h", words="We are still open in"), "utf-8"
    )
    return root


def real(root: Path) -> Path:
    """The campaign of this repository."""
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPOSITORY / "accounts.yaml", root)
    shutil.copytree(REPOSITORY / "posts", root / "posts")
    return root


def environment(**more: str) -> dict[str, str]:
    """Ours, without what would lead a command elsewhere."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LAUNCHDAY_", "COLUMNS"))}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **more}


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def launchday(root: Path, *arguments: str, **environ: str) -> Said:
    """Give a command in the workspace, in a process of its own, without a terminal."""
    command = [sys.executable, "-m", "scheduler", "-C", str(root), *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment(**environ),
        timeout=200,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def inside(root: Path, *arguments: str) -> Said:
    """The same in this process, which is quicker: for commands that only ask or decide."""
    before, sys.argv = sys.argv, ["launchday", "-C", str(root), *arguments]
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as left:
        code = left.code
    finally:
        sys.argv = before
    assert isinstance(code, int)
    return Said(code, out.getvalue(), err.getvalue())


def must(root: Path, *arguments: str) -> Said:
    """A command that has to succeed, in this process."""
    said = inside(root, *arguments)
    assert said.code == 0, f"{arguments}: {said.code}\n{said.out}\n{said.err}"
    return said


def queued(root: Path) -> Path:
    """The small workspace with everything queued by its author."""
    must(small(root), "queue", "--yes", "--as", "a.hart")
    return root


def approve(root: Path, *organisations: str, post: str = "launch") -> None:
    """The approver of each organisation says yes to a post."""
    for one in organisations:
        must(root, "approve", "--as", ORGANISATIONS[one], "--post", post, "-q")


@contextmanager
def daemon(root: Path, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """`launchday run …` in the background; whatever is left of it at the end is killed."""
    command = [sys.executable, "-m", "scheduler", "-C", str(root), "run", *arguments]
    with (root / "daemon.txt").open("ab") as talk:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=talk, stderr=talk, env=environment(**environ)
        )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.wait()


READY = (
    "import sys, scheduler.app, scheduler.cli.{module}; from scheduler.cli.main import main; input(); main()"
)


@contextmanager
def poised(root: Path, module: str, *arguments: str) -> Iterator[Callable[[], Said]]:
    """A command in a process that is up already: it acts the moment it is told to, on a busy machine too."""
    command = [sys.executable, "-c", READY.format(module=module), "-C", str(root), *arguments]
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )

    def go() -> Said:
        out, err = child.communicate("go\n", timeout=60)
        return Said(child.returncode, out, err)

    try:
        yield go
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()


def until(true: Callable[[], Any], *, seconds: float = 60.0) -> Any:
    """Poll until it is true; fails at the deadline."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError(f"after {seconds} s it still is not so")


def runs(root: Path) -> bool:
    """Whether a simulation's daemon has this workspace."""
    return lock.holder(root / ".launchday/simulation/daemon.lock") is not None


def states(root: Path, post: str = "") -> dict[str, str]:
    """Delivery → state, from the simulation's database; what was read back counts as published."""
    app = open_app(root, "simulation", environ={})
    try:
        with app.db.read() as conn:
            found = outbox.find(conn, post=post)
        return {d.name: str(d.state).replace("verified", "published") for d in found}
    finally:
        app.close()


def offset(root: Path) -> float:
    """How many seconds the simulation's clock is ahead of ours."""
    app = open_app(root, "simulation", environ={})
    app.close()
    return app.clock.offset.total_seconds()


def now(root: Path) -> datetime:
    """The launch's clock."""
    app = open_app(root, "simulation", environ={})
    app.close()
    return app.clock.now()


def posts(root: Path) -> list[ledger.Entry]:
    """What the simulated platforms accepted."""
    return ledger.read(root / ".launchday/simulation/platforms")


def first_arrival(root: Path) -> datetime:
    """When the first publishing request arrived, by the launch's clock."""
    every = ledger.arrivals(root / ".launchday/simulation/platforms")
    return datetime.fromtimestamp(min(a.arrived_ns for a in every) / 1e9 + offset(root), UTC)


def stop_platforms(root: Path) -> None:
    """The simulated platforms outlive their daemon on purpose; not the tests."""
    for mode in ("simulation", "rehearsal"):
        process.stop(root / ".launchday" / mode / "platforms")


def kill(pid: int) -> None:
    """SIGKILL; nothing if it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
