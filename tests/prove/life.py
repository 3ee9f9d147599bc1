"""One launch of twelve accounts, from its files to the last outcome, in which processes are killed.

The platforms' ledger is compared with what the database says: it alone knows what the public saw.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from scheduler.app import App, open_app
from scheduler.domain.campaign import Rendered
from scheduler.domain.delivery import Delivery, State
from scheduler.domain.publisher import Checks
from scheduler.evidence.entry import Actor
from scheduler.files.render import render
from scheduler.files.workspace import load
from scheduler.publishers import registry
from scheduler.publishers.simulated import ledger, words
from scheduler.services import clock as clocks
from scheduler.services.hold import hold
from scheduler.services.plan import plan
from scheduler.services.queue import queue
from scheduler.services.review import approve
from scheduler.store import log, outbox
from scheduler.transport.http import Transport
from tests import postgres as pg
from tests.prove.zygote import Zygote

LAUNCH = datetime(2027, 3, 9, 7, 0, tzinfo=UTC)
APPROVED = ("dorset", "wiltshire")
NO_WORD, HELD = "charity", "kent"  # nobody says yes for the first; the second is approved, and held
PLATFORMS = ("x", "facebook", "bluesky", "mastodon")
# Spans of a simulation, in seconds: a whole launch in a few of them.
TIMING = {
    "arm_lead": 1.9,
    "arm_each": 0.0,
    "connect_lead": 0.3,
    "reply_within": 1.2,
    "settle": 0.3,
    "look_every": 0.1,
    "soon": 0.5,
}
AHEAD = 2.6  # seconds before T0 at which the daemon starts
PATIENCE = 60.0  # seconds after which a delivery that has no end is one that is stuck
TOLD = frozenset({State.FAILED, State.MISSED, State.ASKING})
ENDED = TOLD | {State.PUBLISHED, State.VERIFIED, State.CANCELLED, State.RETRACTED}

ACCOUNTS = """\
mode: {mode}
zone: Europe/London
organisations:
{organisations}
people:
  a.hart: {{name: Alex Hart, org: {first}, roles: [author], os_user: ahart}}
{people}
"""
ORGANISATION = """\
  {o}:
    name: The {o} organisation
    accounts:
      x: {{handle: "@{o}.example", {x}}}
      facebook: {{handle: "{o}.example", page: "1{n:014}", {facebook}}}
      bluesky: {{handle: "{o}.example", {bluesky}}}
      mastodon: {{handle: "@{o}@social.example", {mastodon}}}
"""
PERSON = "  p.{o}: {{name: P {o}, org: {o}, roles: [approver], os_user: p{o}}}"
CAMPAIGN = """\
name: Spring
launch: Tue 9 March 2027 07:00
window: 10m
to: everyone
platforms: [x, facebook, bluesky, mastodon]
link: "https://www.example.org/"
aims:
  help: People know where help is.
approval: {each_org: 1, not_author: true, close: 1m before launch}
"""
POST = """\
---
id: launch
at: launch
aim: help
---
Come and see us: {{ org.name }} {{ link }}
"""
Address = Callable[[str, str], str]


def _simulated(organisation: str, platform: str) -> str:
    name = f"{organisation}_{platform}".upper().replace("-", "_")
    server = "" if platform in ("x", "facebook") else f'server: "https://{platform}.example", '
    return f'{server}token: "env:{name}"'


def workspace(
    root: Path,
    mode: str = "simulation",
    address: Address = _simulated,
    everyone: Sequence[str] = (*APPROVED, NO_WORD, HELD),
) -> Path:
    """Organisations on four platforms each, and one post for all of them."""
    (root / "posts/spring").mkdir(parents=True)
    organisations = [
        ORGANISATION.format(o=o, n=n, **{p: address(o, p) for p in PLATFORMS}) for n, o in enumerate(everyone)
    ]
    people = [PERSON.format(o=o) for o in everyone]
    text = ACCOUNTS.format(
        mode=mode, first=everyone[0], organisations="".join(organisations).rstrip(), people="\n".join(people)
    )
    (root / "accounts.yaml").write_text(text, "utf-8")
    (root / "posts/spring/campaign.yaml").write_text(CAMPAIGN, "utf-8")
    (root / "posts/spring/01-launch.md").write_text(POST, "utf-8")
    return root


def queued(
    app: App, approved: Sequence[str] = (*APPROVED, HELD), held: str = HELD, at: datetime | None = None
) -> None:
    """Queue the post; people say yes for all but one organisation; another one is held.

    `at`: when it is due instead of at the launch that stands in the file.
    """
    files, _ = load(app.root, platforms=registry.load(set(PLATFORMS)))
    (one,) = files.campaigns
    differences = plan(app.db, one.slug, [_due(r, at) for r in render(files, one)], app.clock.now())
    queue(app.db, app.clock, Actor("a.hart", approved[0], "author", "person", "as"), differences, {})
    with app.db.read() as conn:
        waiting = outbox.find(conn)
    for organisation in approved:
        who = Actor(f"p.{organisation}", organisation, "approver", "person", "as")
        mine = [d for d in waiting if d.organisation == organisation]
        approve(app.db, app.clock, app.directory, who, mine, "yes")
    if held:
        who = Actor(f"p.{held}", held, "approver", "person", "as")
        hold(app.db, app.clock, who, f"org:{held}", "not today")


def _due(one: Rendered, at: datetime | None) -> Rendered:
    if at is None:
        return one
    wall = at.astimezone(ZoneInfo("Europe/London")).strftime("%Y-%m-%dT%H:%M:%S")
    return replace(
        one,
        plan=replace(one.plan, due=at, not_after=at + timedelta(minutes=10), embargo=at, close=at, wall=wall),
    )


def warm() -> None:
    """Load what the first launch of a process loads: tables of publishers, entry points, certificates."""
    with tempfile.TemporaryDirectory() as folder:
        files, _ = load(workspace(Path(folder)), platforms=registry.load(set(PLATFORMS)))
        rendered = render(files, files.campaigns[0])
        for one in rendered:
            publisher = registry.load({one.content.platform})[one.content.platform]
            assert isinstance(publisher, Checks)
            publisher.faults(one.content)
        words.x_length("é")
        app = open_app(Path(folder), "simulation", environ={})
        app.close()
    Transport().close()


# What a launch meets on its way


def faults(chance: random.Random) -> list[dict[str, Any]]:
    """Up to four kinds of trouble, each in both forms: failed, and failed but done."""
    kinds: list[dict[str, Any]] = [
        {"fault": "drop_reply"},
        {"fault": "drop_reply", "done": False},
        {"fault": "reset_before"},
        {"fault": "reset_after"},
        {"fault": "cut_reply"},
        {"fault": "http_5xx_before", "status": 503},
        {"fault": "http_5xx_after", "status": 500},
        {"fault": "throttle"},
        {"fault": "stall", "seconds": 0.4},
        {"fault": "stall", "done": False},
        {"fault": "late_commit", "seconds": 0.2},
        {"fault": "invalid_json"},
        {"fault": "read_lag", "seconds": 0.2},
        {"fault": "trickle", "seconds": 0.001},
        {"fault": "redirect"},
        {"fault": "http_5xx_before", "step": "look", "status": 503},
        {"fault": "drop_reply", "step": "look"},
        {"fault": "reset_after", "step": "session"},
    ]
    chosen = chance.sample(kinds, chance.randint(0, 4))
    return [
        {**one, "times": chance.randint(1, 4), "platform": chance.choice(("*", "*", *PLATFORMS))}
        for one in chosen
    ]


@dataclass
class Verdict:
    """What the ledger says of one launch. Names of deliveries; all of the first seven ought to be empty."""

    duplicates: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # due, approved, never out, and nobody was told
    unapproved: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)  # "failed" or "missed", but it is out
    stuck: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # the log does not verify, a process broke
    states: Counter[str] = field(default_factory=Counter)
    hits: list[dict[str, Any]] = field(default_factory=list)
    restarts: int = 0
    seconds: float = 0.0

    @property
    def wrong(self) -> dict[str, list[str]]:
        """What must not be."""
        names = ("duplicates", "lost", "unapproved", "early", "untrue", "stuck", "broken")
        return {n: getattr(self, n) for n in names if getattr(self, n)}


def compare(app: App, posts: Sequence[ledger.Entry], came: Sequence[ledger.Arrival]) -> Verdict:
    """Ledger and database side by side. Each account has one post: what it has more is one too many."""
    found, live = Verdict(), Counter(p.account for p in posts if not p.deleted)
    with app.db.read() as conn:
        every = outbox.find(conn)
        try:
            log.verify(conn)
        except Exception as error:
            found.broken.append(f"log: {error}")
    offset = app.clock.offset.total_seconds()
    for one in every:
        n, approved = live[one.account], one.organisation in APPROVED
        found.states[str(one.state)] += approved
        if n > 1:
            found.duplicates.append(one.name)
        if n and not approved:
            found.unapproved.append(one.name)
        if approved and not n and one.state not in TOLD:
            found.lost.append(f"{one.name} is {one.state}")
        if n and one.state in (State.FAILED, State.MISSED):
            found.untrue.append(f"{one.name} is {one.state}: {one.reason}")
        if approved and one.state not in ENDED:
            found.stuck.append(f"{one.name} is {one.state}: {one.reason}")
    early = [a for a in came if a.arrived_ns / 1e9 + offset < LAUNCH.timestamp()]
    found.early += [a.account for a in early]
    return found


# Driving it


@dataclass
class Life:
    """A launch in a folder of its own: start it, hit it, let it come to its end."""

    name: str
    root: Path
    zygote: Zygote
    app: App
    environ: Mapping[str, str]
    module: str = "scheduler"
    more: Sequence[str] = ()
    restarts: int = 0
    line: socket.socket | None = None

    @property
    def t0(self) -> float:
        """The launch, in this machine's time."""
        return (LAUNCH - self.app.clock.offset).timestamp()

    def start(self) -> None:
        """Start the daemon, as `launchday run` does."""
        self.close()
        argv = ["-C", str(self.root), "run", *self.more]
        talk = self.root / "daemon.txt"
        self.line = self.zygote.start(
            self.name, self.module, argv, talk=talk, env=self.environ, cwd=self.root
        )
        self.restarts += 1

    def close(self) -> None:
        """Ask no more how the daemon is."""
        if self.line is not None:
            self.line.close()
            self.line = None

    def running(self) -> bool:
        """Whether the daemon that was started last has not ended."""
        if self.line is None:
            return False
        try:
            self.line.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
        except BlockingIOError:
            return True
        return False

    def ended(self) -> bool:
        """Whether everything that may go has its end."""
        return all(d.state in ENDED for d in self.mine())

    def mine(self) -> list[Delivery]:
        """The deliveries that people said yes to."""
        with self.app.db.read() as conn:
            return [d for d in outbox.find(conn) if d.organisation in APPROVED]

    def platforms(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Start the simulated platforms, with their trouble."""
        folder = self.app.folder / "platforms"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "faults.json").write_text(json.dumps(list(rules)), "utf-8")
        argv = [str(folder), "--faults", str(folder / "faults.json")]
        module = "scheduler.publishers.simulated"
        talk = self.root / "daemon.txt"
        self.zygote.start(self.name, module, argv, talk=talk, env=self.environ, cwd=self.root).close()
        _until((folder / "ready.json").exists)

    def settle(self, patience: float = PATIENCE) -> Verdict:
        """Restart what was killed until everything has ended; then end all of it and compare."""
        begun = time.monotonic()
        while not self.ended() and time.monotonic() < begun + patience:
            if not self.running():
                self.start()
            time.sleep(0.1)
        found_at = time.monotonic() - begun
        # Nobody sends any more; what is on its way lands (0.2 s is the longest that it may take here).
        self.zygote.kill(self.name, "all", note=False)
        time.sleep(0.5)
        self.zygote.kill(self.name, "everything", note=False)
        folder = self.app.folder / "platforms"
        found = compare(self.app, ledger.read(folder), ledger.arrivals(folder))
        found.hits, found.restarts, found.seconds = self.zygote.hits(self.name), self.restarts, found_at
        said = (self.root / "daemon.txt").read_text("utf-8", "replace")
        found.broken += [line for line in said.splitlines() if "Traceback" in line or "broke:" in line]
        return found


@dataclass
class Stage:
    """Where launches happen: a folder, and one of the two databases. Copies of one that is ready to go."""

    folder: Path
    zygote: Zygote
    postgres: pg.Postgres | None = None
    module: str = "scheduler"
    more: Sequence[str] = ()
    ahead: float = AHEAD
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.template = workspace(self.folder / "template")
        if self.postgres:
            self.postgres.run("create database prove_template")
        app = open_app(self.template, "simulation", environ=self._environ("prove_template"))
        try:
            clocks.move_to(app.db, app.clock, LAUNCH - timedelta(hours=2))
            queued(app)
        finally:
            app.close()

    def _environ(self, database: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("LAUNCHDAY_")}
        url = {"LAUNCHDAY_DATABASE_URL": self.postgres.url(database)} if self.postgres else {}
        return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **url}

    @contextmanager
    def life(self) -> Iterator[Life]:
        """A launch that comes in `ahead` seconds; nothing runs yet."""
        name = f"life_{next(self._numbers)}_{os.getpid()}"
        root = self.folder / name
        shutil.copytree(self.template, root)
        if self.postgres:
            self.postgres.run(f"create database {name} template prove_template")
        environ = self._environ(name)
        app = open_app(root, "simulation", environ=environ)
        try:
            clocks.move_to(app.db, app.clock, LAUNCH - timedelta(seconds=self.ahead))
            with closing(Life(name, root, self.zygote, app, environ, self.module, self.more)) as life:
                yield life
        finally:
            self.zygote.kill(name, "everything", note=False)
            self.zygote.forget(name)
            app.close()
            if self.postgres:
                self.postgres.run(f"drop database {name} with (force)")
            with suppress(OSError):
                shutil.rmtree(root)


def _until(true: Callable[[], Any], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "a process did not come up"
        time.sleep(0.01)
