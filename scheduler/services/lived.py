"""Lived time: what the wall clock says must have been lived through, or a wave's time did not really come.

A step of the clock or a suspend that carries a wave over its time is a hold and a question, never a launch.
The wall clock can be set; the monotonic one cannot, and stands still while the machine sleeps; the one since
boot runs on. A slow correction (slew) moves nothing that counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scheduler.domain.content import instant
from scheduler.domain.delivery import Delivery, State
from scheduler.evidence.entry import Event, ulid
from scheduler.services.clock import Clock, Reading
from scheduler.services.events import DAEMON
from scheduler.services.tell import tell
from scheduler.store import desk, log, outbox
from scheduler.store.database import Database

SLEW = 2.0  # seconds; what is less is a time service at work


@dataclass(frozen=True, slots=True)
class Jump:
    """What was not lived through, from the earlier to the later time (launch's clock), and why."""

    low: datetime
    high: datetime
    why: str

    def crosses(self, at: datetime) -> bool:
        """Whether it carried this instant from the future into the past, or back."""
        return self.low < at <= self.high


def jump(before: Reading, after: Reading, offset: timedelta) -> Jump | None:
    """Compare two readings of the three clocks; None where the time between was lived."""
    awake = after.monotonic - before.monotonic
    passed = after.boottime - before.boottime
    stepped, slept = after.wall - before.wall - passed, passed - awake
    if abs(stepped) < SLEW and slept < SLEW:
        return None
    if abs(stepped) < SLEW:
        why = f"this machine slept for {slept:.0f} s"
    else:
        why = f"the clock was set {'forward' if stepped > 0 else 'back'} by {abs(stepped):.0f} s"
    low, high = min(before.wall, after.wall), max(before.wall + passed, after.wall)
    return Jump(_at(low) + offset, _at(high) + offset, why)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@dataclass(frozen=True, slots=True)
class Lived:
    """The time since `since`, as a sender asks for it: its daemon's reading when it was started."""

    clock: Clock
    since: Reading
    instants: tuple[datetime, ...]

    def crossed(self) -> str:
        """Why the wave's time has not been lived through ("" = it has, or has not come)."""
        found = jump(self.since, self.clock.reading(), self.clock.offset)
        return found.why if found and any(found.crosses(at) for at in self.instants) else ""


def hold_crossed(db: Database, clock: Clock, found: Jump, organisation: str = "") -> tuple[str, ...]:
    """Hold the posts of every waiting wave that the jump carried over its time; returns their scopes."""
    with db.read() as conn:
        waiting = outbox.find(conn, states=[State.SCHEDULED], organisation=organisation)
    return hold(db, clock, [d for d in waiting if found.crosses(d.fire_at)], found.why)


def hold_waves(db: Database, clock: Clock, instants: Sequence[datetime], why: str) -> tuple[str, ...]:
    """The same for waves that are known (a sender's own)."""
    with db.read() as conn:
        waiting = outbox.find(conn, states=[State.SCHEDULED], fire_at=instants)
    return hold(db, clock, waiting, why)


def hold(db: Database, clock: Clock, waiting: Sequence[Delivery], why: str) -> tuple[str, ...]:
    """Hold the posts of these deliveries and tell a person; what is held already stays as it is."""
    wanted = sorted({f"post:{d.campaign}/{d.post}" for d in waiting})
    if not wanted:
        return ()
    now = clock.now()
    reason = f"{why}, over the time at which it was due; a person decides whether it still goes"
    with db.write() as conn:
        # A crash before the commit leaves no hold: the next daemon is one that was started late.
        standing = {h.scope for h in desk.holds(conn) if h.person == DAEMON.id}
        new = [scope for scope in wanted if scope not in standing]
        for scope in new:
            row = {"id": ulid(now), "scope": scope, "person": DAEMON.id, "organisation": "", "reason": reason}
            ends = {"started_at": instant(now), "released_by": "", "released_at": ""}
            desk.add_hold(conn, {**row, **ends})
            name = scope.removeprefix("post:")
            todo = f"launchday release --post {name} (with --resume it goes now), or launchday move"
            tell(conn, now, "held", scope, f"{name} is held: {reason}: {todo}")
        if new:
            desk.advance_stop_epoch(conn)
            events = [Event("hold.started", DAEMON, reason_text=reason, facts={"scope": s}) for s in new]
            log.append(conn, now, events)
    return tuple(new)
