"""The campaign of a simulated day: three organisations, five classes of platform, two waves and threads."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from scheduler.domain.account import Account, Directory, Organisation, Person
from scheduler.domain.campaign import Rendered
from scheduler.domain.content import Blackout, Content, Plan, Policy
from scheduler.domain.publisher import Capability
from scheduler.errors import Source
from scheduler.evidence.entry import Actor

LAUNCH = datetime(2027, 3, 9, 7, 0, tzinfo=UTC)
WINDOW = timedelta(minutes=10)
PARTNER = "charity"
HELP = "helpline"  # words that need the partner's yes
POLICY = Policy(partner_org=PARTNER, partner_when=(HELP,))
ORGANISATIONS = ("dorset", "wiltshire", PARTNER)
CLASSES = tuple(c.value for c in Capability)


def _person(slug: str, organisation: str, *roles: Any) -> Person:
    return Person(slug, slug.title(), organisation, frozenset(roles))


PEOPLE = (
    _person("ann", "dorset", "author"),
    _person("bob", "dorset", "approver"),
    _person("bea", "dorset", "approver"),
    _person("wil", "wiltshire", "approver"),
    _person("win", "wiltshire", "approver"),
    _person("cat", PARTNER, "approver"),
    _person("cas", PARTNER, "approver"),
)
ACCOUNTS = tuple(
    Account(o, c, c, f"@{o}.example", f"https://{c}.example", secret=f"env:{o}_{c}".upper().replace("-", "_"))
    for o in ORGANISATIONS
    for c in CLASSES
)
DIRECTORY = Directory(
    "Europe/London",
    "live",
    {o: Organisation(o, o.title()) for o in ORGANISATIONS},
    {},
    {p.slug: p for p in PEOPLE},
    ACCOUNTS,
)


def actor(slug: str) -> Actor:
    """A person, as the log names them."""
    return Actor(slug, DIRECTORY.people[slug].organisation, "approver", "person", "as")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One delivery as the files want it."""

    account: str
    post: str
    due: datetime
    version: int = 0
    part: int = 1
    parts: int = 1
    helped: bool = False
    close: timedelta = timedelta(0)
    embargo: datetime | None = None
    blackout: tuple[datetime, datetime] | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.account}/{self.post}" + (f"/{self.part}" if self.part > 1 else "")

    @property
    def words(self) -> str:
        """The words: no two deliveries share them, nor two versions of one."""
        return f"{self.post} {self.part} for {self.account}, version {self.version}" + (
            f", {HELP}" * self.helped
        )

    @property
    def not_after(self) -> datetime:
        """When its window closes."""
        return self.due + WINDOW

    def rendered(self) -> Rendered:
        """As the files would render it."""
        account = DIRECTORY.account(self.account)
        assert account
        content = Content(account.organisation, account.id, account.platform, account.address, self.words)
        plan = Plan(
            self.due,
            self.not_after,
            self.embargo or self.due,
            self.due - self.close,
            self.due.strftime("%Y-%m-%dT%H:%M:%S"),
            "Europe/London",
        )
        bans = (Blackout(*self.blackout, (), "a day of mourning"),) if self.blackout else ()
        return Rendered(
            "spring",
            self.post,
            "help",
            account,
            replace(content, part=self.part, parts=self.parts),
            plan,
            POLICY,
            Source("posts/spring/01.md"),
            bans,
        )


def campaign(dice: random.Random, odd_plan: float = 0.1) -> dict[str, Wanted]:
    """Accounts of every class, a launch for all of them, a later post and threads for some."""
    chosen = [f"{dice.choice(ORGANISATIONS)}/{c}" for c in CLASSES]
    chosen += [f"{dice.choice(ORGANISATIONS)}/{c}" for c in CLASSES if dice.random() > 0.5]
    later = LAUNCH + timedelta(minutes=dice.choice((12, 5, 1, 30, 47)))
    close = timedelta(minutes=dice.choice((0, 0, 5)))
    made: list[Wanted] = []
    for account in dict.fromkeys(chosen):
        helped = dice.random() > 0.7
        first = Wanted(account, "launch", LAUNCH, helped=helped, close=close)
        if dice.random() > 0.85:
            first = replace(first, parts=2)
            made.append(replace(first, part=2))
        made.append(first)
        if dice.random() > 0.6:
            made.append(Wanted(account, "later", later, close=close))
    many = dice.randrange(1, 5) if dice.random() > 1 - odd_plan else 0
    for odd in dice.sample(range(len(made)), many):  # an embargo or a blackout right at a wave
        start = made[odd].due + timedelta(seconds=dice.choice((-60, 0, 60)))
        if dice.random() > 0.5:
            made[odd] = replace(made[odd], blackout=(start, start + timedelta(minutes=dice.choice((1, 20)))))
        else:
            made[odd] = replace(made[odd], embargo=start)
    return {one.name: one for one in sorted(made, key=lambda w: (w.post, w.account, w.part))}
