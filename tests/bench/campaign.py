"""A campaign of any size, queued and approved through the real services, for measuring the whole protocol."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from scheduler.app import App
from scheduler.domain.account import Account, Directory, Organisation, Person
from scheduler.domain.campaign import Rendered
from scheduler.domain.content import Content, Plan, Policy
from scheduler.domain.delivery import Delivery, State
from scheduler.domain.publisher import Prepared
from scheduler.errors import Source
from scheduler.evidence.entry import Actor
from scheduler.publishers.mastodon import Mastodon
from scheduler.services.arm import Armed
from scheduler.services.clock import Clock
from scheduler.services.plan import plan
from scheduler.services.queue import queue
from scheduler.services.review import approve
from scheduler.services.timing import SIMULATION
from scheduler.store import outbox
from scheduler.store.database import open_database
from scheduler.transport.volley import Shot

LAUNCH = datetime(2027, 3, 9, 7, 0, tzinfo=UTC)
WORDS = ("Worried about your own thoughts or behaviour, or someone else's? Stop It Now is there. " * 4)[:330]
TOKEN = "bench-token-0123456789abcdef0123456789abcdef"
EACH = 20  # accounts of one organisation
_NOON = LAUNCH - timedelta(days=1)
_POLICY = Policy(partner_org="charity", partner_when=("stop it now",))


def directory(accounts: int, server: str = "") -> Directory:
    """So many accounts of one server, twenty to an organisation; each organisation has an approver."""
    slugs = [f"org{n:03}" for n in range(-(-accounts // EACH))]
    people = [Person("ann", "Ann", "charity", frozenset({"author"}))]
    people += [Person(f"p-{s}", s, s, frozenset({"approver"})) for s in [*slugs, "charity"]]
    return Directory(
        "Europe/London",
        "live",
        {s: Organisation(s, s) for s in [*slugs, "charity"]},
        {},
        {p.slug: p for p in people},
        tuple(
            Account(slugs[n // EACH], f"m{n % EACH}", "mastodon", f"@m{n}@bench.example", server, "", "env:T")
            for n in range(accounts)
        ),
    )


def content(account: Account) -> Content:
    """The words of every delivery."""
    return Content(account.organisation, account.id, account.platform, account.address, WORDS)


def _rendered(account: Account) -> Rendered:
    when = Plan(
        LAUNCH,
        LAUNCH + timedelta(minutes=10),
        LAUNCH,
        LAUNCH - timedelta(minutes=30),
        LAUNCH.strftime("%Y-%m-%dT%H:%M:%S"),
        "Europe/London",
    )
    where = Source("posts/bench/01.md")
    return Rendered("bench", "launch", "help", account, content(account), when, _POLICY, where)


@cache
def queued(folder: Path, accounts: int) -> Path:
    """A SQLite database with so many deliveries, approved by their owners and the partner; made once."""
    path = folder / f"queued-{accounts}.db"
    clock = Clock(source=_NOON.timestamp)
    known = directory(accounts)
    db = open_database(f"sqlite:///{path}", "live", clock.now())
    try:
        wanted = plan(db, "bench", [_rendered(a) for a in known.accounts], clock.now())
        queue(db, clock, Actor("ann", "charity", "author", "person", "os:bench"), wanted, {})
        with db.read() as conn:
            waiting = outbox.find(conn)
        mine: dict[str, list[Delivery]] = {}
        for one in waiting:
            mine.setdefault(one.organisation, []).append(one)
        for slug, theirs in {**mine, "charity": waiting}.items():
            approve(db, clock, known, Actor(f"p-{slug}", slug, "approver", "person", "os:bench"), theirs)
    finally:
        db.close()
    return path


@contextmanager
def opened(folder: Path, accounts: int, server: str) -> Iterator[App]:
    """The campaign as a sender finds it shortly before the launch, in a database of its own on the disk."""
    state = folder / "run"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    path = shutil.copy(queued(folder, accounts), state / "launchday.db")
    db = open_database(f"sqlite:///{path}", "live", datetime.now(UTC))
    known = directory(accounts, server)
    try:
        # Live, with the spans of a simulation: nobody needs to wait half a minute for each round.
        yield App(folder, "live", state, known, db, Clock(), SIMULATION, {"T": TOKEN})
    finally:
        db.close()


def armed(app: App) -> list[Armed]:
    """What arming would give: this publisher uploads nothing for a post without pictures."""
    publisher, accounts = Mastodon(), {a.id: a for a in app.directory.accounts}
    with app.db.read() as conn:
        waiting = outbox.find(conn, states=[State.SCHEDULED])
    ready = []
    for one in waiting:
        account = accounts[one.account]
        prepared = Prepared(one.content, account, {"user": "1", "media": []})
        shot = Shot(one.id, publisher.request(prepared, one.key), account.server, TOKEN)
        ready.append(Armed(one, prepared, shot))
    return ready
