"""Closing windows: what waited too long is missed and people are told why, or asked where it may be out."""

from __future__ import annotations

from dataclasses import replace

from scheduler.domain.delivery import MAY_STILL_LAND, Delivery
from scheduler.domain.gates import Facts, gates
from scheduler.services import safe
from scheduler.services.clock import Clock
from scheduler.services.events import DAEMON, given_up
from scheduler.services.facts import facts
from scheduler.services.timing import LIVE
from scheduler.store import outbox
from scheduler.store.database import Database


def close_windows(db: Database, clock: Clock) -> tuple[Delivery, ...]:
    """What waits though its window has closed is missed, or a question where an attempt may still land."""
    with db.read() as conn:
        if not outbox.due_past(conn, clock.now()):
            return ()
    now = clock.now()
    with db.write() as conn:
        # In safe mode what was due before it may be out: "missed" could be untrue.
        safe.suspect(conn, now, LIVE.reply_within)
        late = outbox.due_past(conn, now)
        ids = [d.id for d in late]
        landing = outbox.with_attempt(conn, ids, MAY_STILL_LAND)
        known = facts(conn, clock, late, {})
        changes = [given_up(one, DAEMON, "window", _why_missed(one, known), landing) for one in late]
        outbox.change(conn, now, changes)
    return tuple(d for d, *_ in changes)


def _why_missed(one: Delivery, known: Facts) -> str:
    everyone = {d.organisation: [d.person] for ds in known.decisions.values() for d in ds}
    open_facts = replace(known, approvers=everyone, open_attempts=())
    found = [g.sentence for g in gates(one, open_facts) if g.code != "too_late"]
    if not found and one.reason:
        found = [one.reason]
    return "; ".join(found) or "nothing was running when it was due"
