"""Where things stand, as values: rows for list and show, the launch board, the state of the whole."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.account import Directory
from scheduler.domain.approval import describe, missing
from scheduler.domain.content import instant
from scheduler.domain.delivery import OUT, Delivery, State
from scheduler.domain.gates import Gate, gates
from scheduler.domain.when import show
from scheduler.services.clock import Clock
from scheduler.services.facts import facts
from scheduler.store import outbox
from scheduler.store.database import Database

SIGNS: Mapping[State, str] = {
    State.SCHEDULED: "·",
    State.PUBLISHING: "→",
    State.UNCONFIRMED: "? looking",
    State.ASKING: "? ask a person",
    State.PUBLISHED: "✓",
    State.VERIFIED: "✓✓",
    State.RETRACTING: "← retracting",
    State.FAILED: "✗ failed",
    State.MISSED: "✗ missed",
    State.CANCELLED: "– cancelled",
    State.RETRACTED: "– retracted",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """A delivery with the gates that are shut for it now and the needs that nobody has met."""

    delivery: Delivery
    gates: tuple[Gate, ...]
    missing: tuple[str, ...]


def standings(
    conn: Connection, clock: Clock, deliveries: Sequence[Delivery], approvers: Mapping[str, Collection[str]]
) -> list[Standing]:
    """Each delivery with its gates, read in the caller's transaction."""
    known = facts(conn, clock, deliveries, approvers)
    found = []
    for one in deliveries:
        lacking = missing(
            one, known.decisions.get(one.id, ()), known.policies[one.id], known.wall_now, approvers
        )
        waiting = one.state is State.SCHEDULED
        found.append(Standing(one, gates(one, known) if waiting else (), lacking if waiting else ()))
    return found


def item(standing: Standing, directory: Directory) -> dict[str, Any]:
    """A delivery as one JSON item."""
    d = standing.delivery
    return {
        "delivery": d.name,
        "campaign": d.campaign,
        "post": d.post,
        "organisation": d.organisation,
        "account": d.account,
        "platform": d.platform,
        "state": str(d.state),
        "due": instant(d.due),
        "due_shown": show(d.due, directory.zone),
        "next_try": instant(d.fire_at),
        "not_after": instant(d.not_after),
        "approved": not standing.missing if d.state is State.SCHEDULED else None,
        "missing": [describe(n, directory) for n in dict.fromkeys(standing.missing)],
        "gates": [g.code for g in standing.gates if g.code != "too_early"],
        "author": d.author,
        "revision": d.revision,
        "content_sha256": d.content_sha256,
        "plan_sha256": d.plan_sha256,
        "attempts": d.attempts,
        "url": d.url,
        "published_at": instant(d.published_at) if d.published_at else "",
        "reason": d.reason,
    }


@dataclass(frozen=True, slots=True)
class Board:
    """One wave's deliveries for the board: organisations down, platforms across."""

    campaign: str
    due: datetime
    deliveries: tuple[Delivery, ...]
    lateness_us: Mapping[str, int]

    @property
    def counts(self) -> dict[str, int]:
        """How many are published, failed, missed, in doubt, a question, waiting."""
        states = [d.state for d in self.deliveries]
        return {
            "published": sum(s in OUT for s in states),
            "failed": states.count(State.FAILED) + states.count(State.MISSED),
            "unconfirmed": states.count(State.UNCONFIRMED) + states.count(State.PUBLISHING),
            "asking": states.count(State.ASKING),
            "waiting": states.count(State.SCHEDULED),
        }

    def cell(self, d: Delivery) -> str:
        """`✓ +0.01 s`: a sign and a word or figure, never colour alone."""
        sign = SIGNS[d.state]
        if d.state in OUT:
            late = self.lateness_us.get(d.id)
            return f"{sign} {_late(late)}" if late is not None else f"{sign} found"
        if d.state is State.SCHEDULED and d.attempts:
            return "· again"
        return sign


def _late(us: int) -> str:
    """`+3 ms`, `+1.24 s`, `+43 s` after the planned instant."""
    if us < 1_000_000:
        return f"+{us / 1000:.0f} ms"
    return f"+{us / 1e6:.2f} s" if us < 10_000_000 else f"+{us / 1e6:.0f} s"


def board(db: Database, clock: Clock, campaign: str = "", due: datetime | None = None) -> Board | None:
    """The wave to look at: the one named, else the next that is not over, else the last one."""
    with db.read() as conn:
        every = [d for d in outbox.find(conn, campaign=campaign) if d.state is not State.CANCELLED]
        if not every:
            return None
        if due is None:
            due = _interesting(every, clock.now())
        wave = tuple(d for d in every if d.due == due)
        attempts = outbox.attempts_of(conn, [d.id for d in wave])
    lateness: dict[str, int] = {}
    for one in wave:
        sent = [a.sent_us for a in attempts.get(one.id, ()) if a.state == "accepted" and a.sent_us]
        if sent:
            lateness[one.id] = sent[-1]
    return Board(wave[0].campaign if wave else "", due, wave, lateness)


def _interesting(every: Sequence[Delivery], now: datetime) -> datetime:
    unfinished = [d.due for d in every if d.state in (State.SCHEDULED, State.PUBLISHING, State.UNCONFIRMED)]
    recent = [d.due for d in every if d.due <= now <= d.not_after and d.state is not State.SCHEDULED]
    if recent:
        return max(recent)
    return min(unfinished, default=max(d.due for d in every))
