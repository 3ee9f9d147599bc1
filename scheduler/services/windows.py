"""Closing windows: what waited too long is missed and people are told why, or asked where it may be out."""

from __future__ import annotations

from dataclasses import replace

from scheduler.domain.delivery import MAY_STILL_LAND, OPEN_ATTEMPT, AttemptState, Delivery, State
from scheduler.domain.gates import Facts, gates
from scheduler.services.clock import Clock
from scheduler.services.events import DAEMON, about
from scheduler.services.gate import facts
from scheduler.store import outbox
from scheduler.store.database import Database


def close_windows(db: Database, clock: Clock) -> tuple[Delivery, ...]:
    """What waits though its window has closed is missed, or a question where an attempt may still land."""
    with db.read() as conn:
        if not outbox.due_past(conn, clock.now()):
            return ()
    now = clock.now()
    with db.write() as conn:
        late = outbox.due_past(conn, now)
        attempts = outbox.attempts_of(conn, [d.id for d in late])
        known = facts(conn, clock, late, {})
        changes: list[outbox.Change] = []
        for one in late:
            states = {AttemptState(a.state) for a in attempts.get(one.id, ())}
            if states & OPEN_ATTEMPT:
                continue
            if states & MAY_STILL_LAND:
                event = about("publish.unknown", DAEMON, one, code="window_closed")
                reason = "its window closed while an earlier attempt may still land"
                changes.append((one, State.ASKING, {"reason": reason}, event))
                continue
            why = _why_missed(one, known)
            changes.append(
                (
                    one,
                    State.MISSED,
                    {"reason": why},
                    about("schedule.missed", DAEMON, one, code="window", said=why),
                )
            )
        outbox.change(conn, now, changes)
    return tuple(d for d, *_ in changes)


def _why_missed(one: Delivery, known: Facts) -> str:
    everyone = {d.organisation: [d.person] for ds in known.decisions.values() for d in ds}
    open_facts = replace(known, approvers=everyone, open_attempts=())
    found = [g.sentence for g in gates(one, open_facts) if g.code != "too_late"]
    if not found and one.reason:
        found = [one.reason]
    return "; ".join(found) or "nothing was running when it was due"
