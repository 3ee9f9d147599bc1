"""One campaign of three organisations, its people and their verbs: what tests of services share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scheduler.domain.account import Account, Directory, Organisation, Person
from scheduler.domain.campaign import Rendered
from scheduler.domain.content import Blackout, Content, Media, Plan, Policy
from scheduler.domain.delivery import Delivery, State
from scheduler.domain.publisher import Capability
from scheduler.errors import NotSent, Source
from scheduler.evidence.entry import Actor
from scheduler.services import gate as gates
from scheduler.services import queue as queues
from scheduler.services import readback, remove
from scheduler.services import reconcile as looks
from scheduler.services.arm import arm, stored, unstored
from scheduler.services.clock import Clock
from scheduler.services.ground import Ground
from scheduler.services.plan import Difference, plan
from scheduler.services.reach import Reach
from scheduler.services.review import Approved, approve
from scheduler.services.settle import Outcome, settle
from scheduler.services.timing import LIVE
from scheduler.store import desk, lock, log, outbox
from scheduler.store.database import Database
from scheduler.transport.http import Transport
from tests.conftest import NOON, Hands

from .platform import PLATFORMS, Fake, Platform, Showing

LAUNCH = datetime(2027, 3, 9, 7, 0, tzinfo=UTC)
POLICY = Policy(partner_org="charity", partner_when=("helpline",))
LEAD = timedelta(milliseconds=300)
ORGANISATIONS = ("dorset", "wiltshire", "charity")


def _person(slug: str, organisation: str, *roles: Any) -> Person:
    return Person(slug, slug.title(), organisation, frozenset(roles))


PEOPLE = [
    _person("ann", "dorset", "author"),
    _person("bob", "dorset", "approver"),
    _person("bea", "dorset", "approver"),
    _person("dan", "dorset", "author", "approver"),
    _person("wil", "wiltshire", "approver"),
    _person("cat", "charity", "approver"),
]
ACCOUNTS = tuple(
    Account(o, p, p, f"@{o}.example", "https://fake.example", secret=f"env:{o}")
    for o in ORGANISATIONS
    for p in PLATFORMS
)
DIRECTORY = Directory(
    "Europe/London",
    "simulation",
    {o: Organisation(o, o.title()) for o in ORGANISATIONS},
    {},
    {p.slug: p for p in PEOPLE},
    ACCOUNTS,
)


def rendered(
    account: str = "dorset/record",
    text: str = "words",
    *,
    post: str = "launch",
    due: datetime = LAUNCH,
    part: int = 1,
    parts: int = 1,
    policy: Policy = POLICY,
    embargo: datetime | None = None,
    blackouts: Sequence[Blackout] = (),
    media: Sequence[Media] = (),
    link: str = "",
    close: timedelta = timedelta(minutes=30),
) -> Rendered:
    """One delivery as files would render it."""
    known = DIRECTORY.account(account)
    assert known
    content = Content(
        known.organisation, known.id, known.platform, known.address, text, link, tuple(media), part=part
    )
    when = Plan(
        due,
        due + timedelta(minutes=10),
        embargo or due,
        due - close,
        due.strftime("%Y-%m-%dT%H:%M:%S"),
        "Europe/London",
    )
    return Rendered(
        "spring",
        post,
        "help",
        known,
        replace(content, parts=parts),
        when,
        policy,
        Source("posts/spring/01.md"),
        tuple(blackouts),
    )


def actor(slug: str) -> Actor:
    known = DIRECTORY.people.get(slug)
    return Actor(slug, known.organisation if known else "", "approver", "person", "as")


@dataclass
class House:
    """A store, a clock, people and a platform. Verbs go through the real services."""

    db: Database
    clock: Clock
    hands: Hands
    folder: Path
    world: Platform = field(default_factory=Platform)
    approvers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    transport: Transport = field(default_factory=Transport)

    def __post_init__(self) -> None:
        self.publishers: dict[str, Fake] = {
            name: (Fake if c is Capability.WRITE_ONLY else Showing)(name, c, self.world)
            for name, c in PLATFORMS.items()
        }
        for organisation in ORGANISATIONS:
            people = DIRECTORY.people_of(organisation, "approver")
            self.approvers[organisation] = tuple(p.slug for p in people)
        # The lock of the sender `gone`, which nobody holds: that sender is proven dead.
        self.folder.mkdir(exist_ok=True)
        (self.folder / "gone.lock").touch()
        self.reach = Reach(dict(self.publishers), self.transport, lambda a: a, lambda a: "secret")

    # the files

    def plan(self, *wanted: Rendered) -> dict[str, Difference]:
        return {d.name: d for d in plan(self.db, "spring", wanted, self.clock.now())}

    def queue(self, *wanted: Rendered, by: str = "ann", pictures: Mapping[str, bytes] | None = None) -> Any:
        return queues.queue(
            self.db, self.clock, actor(by), tuple(self.plan(*wanted).values()), pictures or {}
        )

    # what is stored

    def all(self) -> list[Delivery]:
        with self.db.read() as conn:
            return outbox.find(conn)

    def get(self, name: str = "dorset/record/launch") -> Delivery:
        (one,) = [d for d in self.all() if d.name == name and d.state is not State.CANCELLED]
        return one

    def attempts(self, name: str = "dorset/record/launch") -> list[str]:
        one = self.get(name)
        with self.db.read() as conn:
            return [a.state for a in outbox.attempts_of(conn, [one.id]).get(one.id, [])]

    def column(self, name: str, delivery: str = "dorset/record/launch") -> Any:
        one = self.get(delivery)
        with self.db.read() as conn:
            return outbox.column(conn, [one.id], name)[one.id]

    def entries(self, type: str = "") -> list[log.Entry]:
        with self.db.read() as conn:
            return list(log.read(conn, type=type))

    def types(self) -> list[str]:
        return [e.body["type"] for e in self.entries()]

    def verify(self) -> int:
        with self.db.read() as conn:
            return log.verify(conn)

    def decisions(self, name: str = "dorset/record/launch") -> list[tuple[str, str, str]]:
        one = self.get(name)
        with self.db.read() as conn:
            return [(d.person, d.verdict, d.why) for d in desk.decisions(conn, [one.id]).get(one.id, [])]

    # people

    def approve(self, person: str, *names: str, note: str = "") -> Approved:
        wanted = [d for d in self.all() if not names or d.name in names]
        return approve(self.db, self.clock, DIRECTORY, actor(person), wanted, note)

    def approve_all(self) -> None:
        waiting = [d for d in self.all() if d.state is State.SCHEDULED]
        for person in ("bob", "wil", "cat"):
            mine = [d for d in waiting if any(n.endswith(actor(person).organisation) for n in d.needs)]
            if mine:
                approve(self.db, self.clock, DIRECTORY, actor(person), mine)

    # the launch

    def arm(self, at: datetime = LAUNCH) -> dict[str, gates.Ready]:
        """Arm what is due until `at`."""
        with self.db.read() as conn:
            wave = outbox.find(conn, states=[State.SCHEDULED], until=at)
        ready, _ = arm(self.db, self.reach, wave, at.timestamp())
        return {a.delivery.id: gates.Ready(a.delivery.content_sha256, stored(a.prepared)) for a in ready}

    def gate(
        self,
        armed: Mapping[str, gates.Ready],
        at: datetime = LAUNCH,
        sender: str = "gone",
        ground: Ground | None = None,
    ) -> gates.Passed:
        """Ask the gate the lead before `at`."""
        self.hands.at = max(self.hands.at, at - LEAD)
        return gates.gate(
            self.db,
            self.clock,
            armed,
            self.approvers,
            sender=lock.sender_name(sender),
            at=at,
            reply_within=LIVE.reply_within,
            ground=ground or Ground(),
        )

    def ready(self, name: str = "dorset/record/launch") -> dict[str, gates.Ready]:
        """As armed, whether arming would let it or not."""
        one = self.get(name)
        return {one.id: gates.Ready(one.content_sha256)}

    def fire(
        self, passed: gates.Passed, at: datetime = LAUNCH, how: Callable[[Delivery], str] = lambda d: "ok"
    ) -> bool:
        """The last look, the requests, and what became of them; False where the last look said stop."""
        with self.db.read() as conn:
            stopped = desk.stop_epoch(conn) != passed.epoch
        if stopped:
            gates.stand_down(self.db, self.clock, passed.attempts, NotSent("stopped", "somebody said stop"))
            return False
        self.hands.at = max(self.hands.at, at)
        by_id = {d.id: d for d in self.all()}
        settle(self.db, self.clock, [self._send(by_id[i], a, how) for i, a in passed.attempts.items()])
        return True

    def _send(self, one: Delivery, attempt: str, how: Callable[[Delivery], str]) -> Outcome:
        with self.db.read() as conn:
            prepared = unstored(outbox.column(conn, [one.id], "prepared")[one.id])
        fault = how(one)
        result = self.world.send(self.publishers[one.platform], prepared, one.key, fault)
        return Outcome(one.id, attempt, result, 0 if fault == "not_sent" else 900)

    def launch(self, fault: str = "ok", at: datetime = LAUNCH, sender: str = "gone") -> gates.Passed:
        """Arm, gate, fire and settle everything that is due at `at`."""
        passed = self.gate(self.arm(at), at, sender)
        self.fire(passed, at, lambda d: fault)
        return passed

    def look(self, after: timedelta = timedelta(0)) -> list[str]:
        """One round of reconciling, `after` a while."""
        self.hands.at += after
        said = looks.reconcile(self.db, self.clock, self.reach, LIVE, self.is_dead)
        return [s.said for s in said]

    def read_back(self, after: timedelta = timedelta(0)) -> list[str]:
        """One round of reading back, `after` a while."""
        self.hands.at += after
        return [s.said for s in readback.read_back(self.db, self.clock, self.reach, LIVE)]

    def remove(self, after: timedelta = timedelta(0)) -> list[str]:
        """One round of removing, `after` a while."""
        self.hands.at += after
        return [s.said for s in remove.remove(self.db, self.clock, self.reach, LIVE)]

    def adopt(self) -> tuple[Delivery, ...]:
        """What dead senders left behind."""
        return looks.adopt(self.db, self.clock, LIVE, self.is_dead)

    def is_dead(self, sender: str) -> bool:
        return lock.proven_dead(self.folder, sender)


__all__ = ["ACCOUNTS", "DIRECTORY", "LAUNCH", "LEAD", "NOON", "POLICY", "House", "actor", "rendered"]
