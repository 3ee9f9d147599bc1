"""Arming a wave: each platform for itself, again and again, until the connections have to be opened."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduler.domain.delivery import Delivery, State
from scheduler.domain.gates import gates
from scheduler.domain.retry import next_try
from scheduler.domain.skew import Skew, skew
from scheduler.errors import NotReady, PublishError, Rejected, RetryLater
from scheduler.services.arm import Armed, account_of, arm
from scheduler.services.clock import Clock
from scheduler.services.clocks import Ask
from scheduler.services.facts import facts
from scheduler.services.ground import Ground
from scheduler.services.put_off import put_off
from scheduler.services.reach import Reach
from scheduler.services.tell import over, tell
from scheduler.services.timing import Timing
from scheduler.store import notices, outbox
from scheduler.store.database import Database

LATE_ARMING = timedelta(seconds=10)  # what a wave that is late already may still spend on arming
OUTLIVES = timedelta(seconds=30)  # so long after T0 a platform must still know what was prepared
PLATFORMS = 32  # at most so many are armed side by side
Round = tuple[list[Armed], list[tuple[Delivery, PublishError]]]


@dataclass(frozen=True, slots=True)
class Due:
    """Which deliveries are meant: those of these instants; `overdue`: as soon as they are ready.

    `ground` is what their gate asks first.
    """

    instants: tuple[datetime, ...]
    overdue: bool = False
    organisation: str = ""
    ground: Ground = field(default_factory=Ground)


def arm_wave(
    db: Database,
    clock: Clock,
    timing: Timing,
    reach: Reach,
    approvers: Mapping[str, Collection[str]],
    due: Due,
    clocks: Ask = lambda servers, deadline: (),
) -> tuple[list[Armed], list[Delivery]]:
    """Arm what is due and approved; returns it, and what lacks approval (nothing of that is uploaded).

    `clocks` asks servers for the time: where ours is wrong, nothing is armed that goes by it.

    What is not ready is tried again with growing pauses (or when the platform said), never what was refused:
    a slow, refusing or hanging platform costs its own deliveries, not the wave's punctuality.
    """
    at = max(due.instants)
    with db.read() as conn:
        size = sum(n for instant, n in outbox.waves(conn, at) if instant in due.instants)
    stop = at - timing.connecting(size) - timedelta(seconds=1)
    soon = clock.now() + timedelta(seconds=2)
    end = stop if stop > soon and not due.overdue else clock.now() + LATE_ARMING
    armed: dict[str, Armed] = {}
    refused: dict[str, tuple[Delivery, PublishError]] = {}
    tries: dict[str, tuple[int, datetime]] = {}
    rounds: dict[str, Future[Round]] = {}
    servers = _servers(db, reach, due)

    def take(done: Collection[Future[Round]]) -> None:
        for platform in [p for p, r in rounds.items() if r in done]:
            ready, failed = rounds.pop(platform).result()
            stale = [(a.delivery, why) for a in ready if (why := _stale(a, at, clock))]
            armed.update((a.delivery.id, a) for a in ready if not _stale(a, at, clock))
            for one, error in (*failed, *stale):
                n = tries.get(one.id, (0, end))[0] + 1
                tries[one.id] = (n, _again(clock, error, n))
                refused[one.id] = (one, error)

    with ThreadPoolExecutor(PLATFORMS + 1, thread_name_prefix="arm") as pool:
        asked = pool.submit(clocks, set(servers.values()), end.timestamp())
        while True:
            now = clock.now()
            left, unapproved = _to_arm(db, clock, approvers, due, armed)
            for platform in sorted({d.platform for d in left} - rounds.keys()):
                todo = [d for d in left if d.platform == platform and tries.get(d.id, (0, now))[1] <= now]
                if todo:
                    rounds[platform] = pool.submit(arm, db, reach, todo, end.timestamp())
            last = due.overdue or now + timedelta(seconds=1) >= stop
            # The last ones are waited for: their calls end by `end`, whatever the publisher does.
            take(wait(rounds.values(), None if last else 1.0).done)
            if last:
                break
            time.sleep(1.0 if not rounds else 0.0)
    if wrong := told_of(db, clock, skew(asked.result())):
        for one in [
            a.delivery for i, a in armed.items() if wrong.everyone or servers.get(i) in wrong.servers
        ]:
            del armed[one.id]
            refused[one.id] = (one, NotReady("clock", wrong.sentence))
    missing = [r for i, r in refused.items() if i not in armed]
    if missing:
        put_off(db, clock, missing, max(clock.now(), at) + timing.soon)
    return list(armed.values()), unapproved


def _servers(db: Database, reach: Reach, due: Due) -> dict[str, str]:
    """Where each delivery of the wave is bound for, by its id; what is damaged is left out."""
    with db.read() as conn:
        wave = outbox.find(
            conn, states=[State.SCHEDULED], organisation=due.organisation, fire_at=due.instants
        )
        profiles = outbox.column(conn, [d.id for d in wave], "profile")
    found = {}
    for one, profile in profiles.items():
        with suppress(PublishError, ValueError, TypeError):
            found[one] = reach.base_url(reach.place(account_of(profile)))
    return found


def told_of(db: Database, clock: Clock, wrong: Skew | None) -> Skew | None:
    """A person is told of a wrong clock while it is wrong, and hears no more of it when it is right."""
    with db.read() as conn:
        standing = bool(notices.standing(conn, "clock", ""))
    if wrong or standing:
        with db.write() as conn:
            # A crash before the commit tells nobody yet: the next wave's arming says it again.
            if wrong:
                said = f"{wrong.sentence}. Nothing that goes by it is sent: set it right (launchday doctor)"
                tell(conn, clock.now(), "clock", "", said)
            else:
                over(conn, "clock")
    return wrong


def _again(clock: Clock, error: PublishError, n: int) -> datetime:
    now = clock.now()
    if isinstance(error, Rejected):
        return now + timedelta(days=1)
    asked = error.at + clock.offset if isinstance(error, RetryLater) and error.at else None
    return next_try(now, asked, n, 0.0)


def _to_arm(
    db: Database,
    clock: Clock,
    approvers: Mapping[str, Collection[str]],
    due: Due,
    done: Collection[str],
) -> tuple[list[Delivery], list[Delivery]]:
    """What of the wave is not armed yet and may be: approved, not held, the part before it out."""
    with db.read() as conn:
        wave = outbox.find(
            conn,
            states=[State.SCHEDULED],
            organisation=due.organisation,
            fire_at=due.instants,
        )
        left = [d for d in wave if d.id not in done]
        known = facts(conn, clock, left, approvers)
    shut = {d.id: {g.code for g in gates(d, known)} for d in left}
    todo = [
        d
        for d in left
        if not shut[d.id] & {"unapproved", "hold", "after", "in_doubt", "attempts", "too_late", "corrects"}
    ]
    return todo, [d for d in left if "unapproved" in shut[d.id]]


def _stale(armed: Armed, at: datetime, clock: Clock) -> NotReady | None:
    """Why what was prepared cannot go at `at`: the platform will have forgotten it (a blob, an upload)."""
    until = armed.prepared.expires_at
    if until is None or until + clock.offset > max(at, clock.now()) + OUTLIVES:
        return None
    return NotReady("expires", "what was uploaded for it will not be kept until its time")
