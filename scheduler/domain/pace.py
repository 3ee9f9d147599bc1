"""How much a platform takes in how much time, and which instants keep to that."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

# Preparing begins about a minute before its wave: what is sent a window later must not meet it.
PREPARING = timedelta(minutes=1)


class Per(StrEnum):
    """What is counted together."""

    ACCOUNT = "account"
    SERVER = "server"  # all accounts on one server, as they come from one address of ours
    APP = "app"  # all accounts on the platform


@dataclass(frozen=True, slots=True)
class Limit:
    """A platform takes `allowed` of something (`what`, for people) in any `window`.

    A delivery uses `each` of it, from preparing until it is looked at, and each of its pictures `picture`.
    """

    allowed: int
    what: str
    window: timedelta
    per: Per
    each: int = 1
    picture: int = 0

    def uses(self, pictures: int) -> int:
        """What a delivery with so many pictures uses of it."""
        return self.each + self.picture * pictures

    def __str__(self) -> str:
        minutes = int(self.window.total_seconds()) // 60
        span = f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"
        return f"{self.allowed} {self.what} in {span}"


@dataclass(frozen=True, slots=True)
class Stated:
    """A limit that accounts.yaml states: so many posts in a window.

    `kind` and `name`: the account, the server (all its accounts together) or the platform (all of them).
    """

    kind: str
    name: str
    posts: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Claim:
    """What one delivery uses of one limit. `whose` says for people what the limit counts together."""

    whose: str
    limit: Limit
    span: timedelta
    cost: int


@dataclass(frozen=True, slots=True)
class Load:
    """One delivery as pacing sees it. `thread` is what its parts share; `known`: it was queued before.

    `closed` are spans in which nothing may go.
    """

    name: str
    thread: str
    organisation: str
    due: datetime
    not_after: datetime
    claims: tuple[Claim, ...]
    known: bool = False
    closed: tuple[tuple[datetime, datetime], ...] = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """When a delivery goes; `why` is the claim that put it off (None: on time). Late: after its window."""

    at: datetime
    why: Claim | None = None
    late: bool = False


@dataclass(slots=True)
class Use:
    """What is used of one limit, instant by instant."""

    claim: Claim
    instants: list[datetime] = field(default_factory=list)
    used: dict[datetime, int] = field(default_factory=dict)

    def add(self, at: datetime, cost: int) -> None:
        """Count it."""
        if at not in self.used:
            insort(self.instants, at)
        self.used[at] = self.used.get(at, 0) + cost

    def fits(self, at: datetime, cost: int) -> bool:
        """Whether no window that holds `at` would have more than is allowed."""
        span = self.claim.span
        near = self.instants[bisect_right(self.instants, at - span) : bisect_left(self.instants, at + span)]
        begins = [*(x for x in near if x < at), at]
        most = max(sum(self.used[x] for x in near if begin <= x < begin + span) for begin in begins)
        return most + cost <= self.claim.limit.allowed

    def next(self, at: datetime) -> datetime:
        """The first instant after `at` at which something is free again."""
        span = self.claim.span
        first = bisect_right(self.instants, at - span)
        return self.instants[first] + span if first < len(self.instants) else at + span


class Quotas:
    """What is used of all limits."""

    def __init__(self) -> None:
        self._uses: dict[tuple[str, Limit], Use] = {}

    def take(self, at: datetime, claims: Iterable[Claim]) -> None:
        """Count a delivery that goes at `at`."""
        for claim in claims:
            self._use(claim).add(at, claim.cost)

    def slot(self, load: Load, earliest: datetime) -> Slot:
        """The first instant from `earliest` on at which every limit has room; late where that is no use."""
        at, why = earliest, None
        while at <= load.not_after:
            full = next((c for c in load.claims if not self._use(c).fits(at, c.cost)), None)
            shut = next((end for start, end in load.closed if at != load.due and start <= at < end), None)
            if full is None and shut is None:
                return Slot(at, why)
            why = full or why
            at = self._use(full).next(at) if full else shut or at
        return Slot(at, why, late=why is not None)

    def _use(self, claim: Claim) -> Use:
        return self._uses.setdefault((claim.whose, claim.limit), Use(claim))


def spread(loads: Sequence[Load], quotas: Quotas) -> Mapping[str, Slot]:
    """When each delivery goes: at its time where the limits allow it, else as soon as they do.

    The same loads give the same slots, in whatever order they come. What was queued before comes before what
    is new, so a new post moves nothing that was planned for its instant. The organisations take turns, and
    who is first among equals is drawn by the name: it is not the same one each time. Parts stay in order.
    """
    threads: dict[str, list[Load]] = {}
    for load in loads:
        threads.setdefault(load.thread, []).append(load)
    slots: dict[str, Slot] = {}
    for parts in _in_turn(list(threads.values())):
        earliest = parts[0].due
        for part in parts:
            slot = quotas.slot(part, max(earliest, part.due))
            if not slot.late:
                quotas.take(slot.at, part.claims)
            slots[part.name], earliest = slot, slot.at
    return slots


def _in_turn(threads: list[list[Load]]) -> list[list[Load]]:
    turns: dict[tuple[datetime, bool, str], int] = {}
    drawn: list[tuple[tuple[datetime, bool, int, str], list[Load]]] = []
    for parts in sorted(threads, key=lambda parts: _draw(parts[0])):
        first = parts[0]
        peers = (first.due, not first.known, first.organisation)
        turn = turns[peers] = turns.get(peers, 0) + 1
        drawn.append(((first.due, not first.known, turn, _draw(first)), parts))
    return [parts for _, parts in sorted(drawn, key=lambda one: one[0])]


def _draw(load: Load) -> str:
    return hashlib.sha256(load.thread.encode()).hexdigest()
