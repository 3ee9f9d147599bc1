"""Random operators and random outcomes against the ledger: once, only what was approved, never when held."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from scheduler.domain.delivery import MAY_STILL_LAND, AttemptState, Delivery, State
from scheduler.errors import ApprovalError, RefusedTransition, UsageError
from scheduler.services import hold as holds
from scheduler.services.arm import unstored
from scheduler.services.move import move
from scheduler.services.resolve import resolve
from scheduler.services.review import reject
from scheduler.services.verify import verify
from scheduler.services.windows import close_windows
from scheduler.store import desk, outbox

from .house import DIRECTORY, LAUNCH, House, actor, rendered
from .platform import FAULTS

ACCOUNTS = ("dorset/record", "dorset/key", "wiltshire/listing", "wiltshire/write-only", "charity/key")
PERSONS = ("bob", "bea", "wil", "cat", "dan", "ann")
SCOPES = ("all", "org:dorset", "platform:key", "account:wiltshire/listing", "post:spring/launch")
STEPS = 45


@dataclass
class Operators:
    """People and a daemon who do one random thing at a time, and a witness who writes down what was true."""

    house: House
    dice: random.Random
    texts: dict[str, str] = field(default_factory=lambda: dict.fromkeys(ACCOUNTS, "words 0"))
    dues: dict[str, datetime] = field(default_factory=lambda: dict.fromkeys(ACCOUNTS, LAUNCH))
    sent: list[tuple[str, str]] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def step(self) -> None:
        verbs = (self.queue, self.everyone, self.approve, self.hold, self.release, self.cancel, self.move)
        daemon = (self.launch, self.launch, self.launch, self.look, self.close, self.land)
        verb = self.dice.choice((*verbs, self.reject, self.resolve, *daemon, *daemon))
        self.house.hands.at += timedelta(seconds=self.dice.choice((0, 1, 7, 31, 60, 130)))
        try:
            verb()
        except (UsageError, ApprovalError, RefusedTransition):
            self.done["refused"] += 1
        self.done[verb.__name__] += 1

    # people

    def queue(self) -> None:
        account = self.dice.choice(ACCOUNTS)
        self.texts[account] = f"words {self.dice.randrange(100)}" + self.dice.choice(("", " helpline"))
        if self.dice.random() < 0.7:
            self.dues[account] = max(
                LAUNCH, self.house.clock.now() + timedelta(seconds=self.dice.choice((60, 400)))
            )
        wanted = [rendered(a, t, due=self.dues[a], close=timedelta(0)) for a, t in self.texts.items()]
        self.house.queue(*self.dice.sample(wanted, len(wanted) - (self.dice.random() < 0.1)))

    def approve(self) -> None:
        self.house.approve(self.dice.choice(PERSONS))

    def everyone(self) -> None:
        self.house.approve_all()

    def reject(self) -> None:
        one = self._any()
        reject(self.house.db, self.house.clock, DIRECTORY, actor(self.dice.choice(PERSONS)), [one], "no")

    def hold(self) -> None:
        scope = self.dice.choice(SCOPES)
        holds.hold(self.house.db, self.house.clock, actor("cat"), scope, "stop", patience=0)

    def release(self) -> None:
        resume, soon = self.dice.random() < 0.5, timedelta(seconds=20)
        house, scope = self.house, self.dice.choice(SCOPES)
        holds.release(house.db, house.clock, actor("cat"), scope, "go", resume=resume, soon=soon)

    def cancel(self) -> None:
        if self.dice.random() < 0.3:
            holds.cancel(self.house.db, self.house.clock, actor("bob"), [self._any()], "no")

    def move(self) -> None:
        to = self.house.clock.now() + timedelta(seconds=self.dice.choice((60, 300, 1800)))
        move(
            self.house.db, self.house.clock, actor(self.dice.choice(PERSONS)), [self._any()], max(to, LAUNCH)
        )

    def resolve(self) -> None:
        """A person who looks, and says what is true; nothing more is on its way by then."""
        one = self.dice.choice([d for d in self.house.all() if d.state is State.ASKING] or [self._any()])
        self.land()
        out = [p for p in self.house.world.posts if p.account == one.account and p.key == one.key]
        url = f"https://fake.example/{out[0].number}" if out else ""
        resolve(self.house.db, self.house.clock, actor("bob"), one, url, "I looked")

    def _any(self) -> Delivery:
        every = self.house.all()
        if not every:
            raise UsageError("nothing is queued")
        return self.dice.choice(every)

    # the daemon

    def launch(self) -> None:
        house, at = self.house, max(self.house.clock.now(), LAUNCH)
        passed = house.gate(house.arm(at), at)
        if self.dice.random() < 0.2:
            self.dice.choice((self.hold, self.queue, self.cancel))()
        if self.dice.random() < 0.15:
            self.crash(at)
            return
        house.fire(passed, at, self.answer)

    def crash(self, at: datetime) -> None:
        """The sender dies before the first byte or after it; nobody records anything."""
        self.house.hands.at = max(self.house.hands.at, at)
        with self.house.db.read() as conn:
            flying = outbox.find(conn, states=[State.PUBLISHING])
            stopped = bool(desk.holds(conn))
        for one in flying:
            if not stopped and self.dice.random() < 0.5:
                fault = self.answer(one)
                prepared = unstored(self.house.column("prepared", one.name))
                self.house.world.send(self.house.publishers[one.platform], prepared, one.key, fault)
        self.house.adopt()

    def answer(self, one: Delivery) -> str:
        """What is sent now must be approved and free: said by a witness who reads the rows by hand."""
        with self.house.db.read() as conn:
            said = desk.decisions(conn, [one.id]).get(one.id, [])
            standing = desk.holds(conn)
        good = {
            d.role
            for d in said
            if (d.verdict, d.content_sha256, d.plan_sha256)
            == ("granted", one.content_sha256, one.plan_sha256)
            and d.person not in (one.author, one.planner)
            and d.at < one.due
        }
        assert set(one.needs) <= good, f"{one.name} was sent without the word of {set(one.needs) - good}"
        assert not [h for h in standing if h.covers(one)], f"{one.name} was sent though it was held"
        assert LAUNCH <= one.due <= self.house.clock.now() <= one.not_after + timedelta(seconds=1)
        self.sent.append((one.id, one.content.text))
        # A listing is only as good as its settle time: what comes later than that is for a person.
        late_allowed = one.platform == "record"
        return self.dice.choice([f for f in FAULTS if f != "unauthorised" and (f != "late" or late_allowed)])

    def look(self) -> None:
        self.house.world.blind = self.dice.random() < 0.2
        self.house.look()

    def close(self) -> None:
        close_windows(self.house.db, self.house.clock)

    def land(self) -> None:
        self.house.world.land()


def check(house: House) -> None:
    """What must hold at every instant."""
    posts = Counter((p.account, p.key) for p in house.world.posts)
    assert not [key for key, n in posts.items() if n > 1], "two posts for one delivery"
    with house.db.read() as conn:
        every = outbox.find(conn)
        attempts = outbox.attempts_of(conn, [d.id for d in every])
    out = {(p.account, p.key) for p in house.world.posts}
    for one in every:
        tries = {AttemptState(a.state) for a in attempts.get(one.id, [])}
        if one.state in (State.MISSED, State.FAILED, State.CANCELLED):
            assert not tries & MAY_STILL_LAND, f"{one.name} is {one.state}, and an attempt may still land"
            assert (one.account, one.key) not in out, f"{one.name} is {one.state}, and it is out"
        if one.state is State.PUBLISHED:
            assert (one.account, one.key) in out, f"{one.name} is called published, and it is not there"


@pytest.mark.parametrize("seed", range(8))
def test_whatever_people_and_platforms_do_nothing_is_posted_twice_unapproved_or_held(
    house: House, seed: int
) -> None:
    operators = Operators(house, random.Random(seed))
    operators.queue()
    house.approve_all()
    house.hands.at = LAUNCH - timedelta(minutes=3)
    for _ in range(STEPS):
        operators.step()
        check(house)
    house.world.blind = False
    house.world.land()
    for _ in range(6):
        house.look(timedelta(minutes=4))
        close_windows(house.db, house.clock)
        check(house)
    assert not [d for d in house.all() if d.state in (State.PUBLISHING, State.UNCONFIRMED)]
    assert verify(house.db).entries == len(house.entries())


def test_the_random_days_do_send_deny_and_doubt(house: House) -> None:
    """The test above would also pass where nothing ever happens: it does happen."""
    operators = Operators(house, random.Random(2))
    operators.queue()
    house.approve_all()
    house.hands.at = LAUNCH - timedelta(minutes=3)
    for _ in range(60):
        operators.step()
    assert len(operators.sent) > 3
    assert {"publish.accepted", "publish.unknown", "publish.deferred"} <= set(house.types())
