"""Move a wave as a whole: approvals of the words stay, those of the time are asked again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scheduler.domain.content import Plan, instant, parse_instant
from scheduler.domain.delivery import MAY_STILL_LAND, AttemptState, Delivery, State
from scheduler.errors import UsageError
from scheduler.evidence.entry import Actor
from scheduler.services.clock import Clock
from scheduler.services.events import about
from scheduler.store import desk, log, outbox
from scheduler.store.database import Database


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved, what could not be (and why), and how many approvals are asked again."""

    moved: tuple[Delivery, ...]
    refused: tuple[tuple[Delivery, str], ...]
    voided: int


def move(
    db: Database, clock: Clock, actor: Actor, wanted: Sequence[Delivery], to: datetime, reason: str = ""
) -> Moved:
    """Give every delivery of a wave the new instant; windows, closes and a later embargo move with it.

    What pacing planned later than the others stays as much later.
    Raises UsageError where `to` has passed or comes before the embargo.
    """
    now = clock.now()
    if to <= now:
        raise UsageError(
            "the new time has passed", help="name a later one, for example --to 'Wed 10 March 2027 07:00'"
        )
    refused: list[tuple[Delivery, str]] = []
    moved: list[Delivery] = []
    voided = 0
    with db.write() as conn:
        ids = [d.id for d in wanted]
        plans = outbox.column(conn, ids, "plan")
        blackouts = outbox.column(conn, ids, "blackouts")
        ended = outbox.column(conn, ids, "ended_by")
        attempts = outbox.attempts_of(conn, ids)
        said = desk.decisions(conn, ids)
        for one in outbox.find(conn, ids=ids):
            plan = _moved_plan(json.loads(bytes(plans[one.id])), to, one)
            why = _refusal(one, plan.due, attempts.get(one.id, ()), json.loads(blackouts[one.id]))
            if ended[one.id]:
                why = "it was taken out for good; another of its name may wait"
            if why:
                refused.append((one, why))
                continue
            fields = {
                "revision": one.revision + 1,
                "planner": actor.id,
                "plan": plan.canonical(),
                "plan_sha256": plan.sha256,
                "due": instant(plan.due),
                "not_after": instant(plan.not_after),
                "close": instant(plan.close),
                "fire_at": instant(plan.due + (one.fire_at - one.due if one.after else timedelta(0))),
                "state": State.SCHEDULED.value,
                "reason": "",
                "prepared": "",
                "attempts": 0,
            }
            outbox.revise(conn, one, fields)
            granted = [d for d in said.get(one.id, ()) if d.verdict == "granted"]
            desk.void(conn, [d.id for d in granted], "the time changed")
            events = [
                about(
                    "schedule.moved",
                    actor,
                    one,
                    said=reason,
                    facts={"from": instant(one.due), "to": instant(plan.due), "plan_sha256": plan.sha256},
                )
            ]
            events += [
                about("approval.voided", actor, one, facts={"approver": d.person, "why": "the time changed"})
                for d in granted
            ]
            log.append(conn, now, events)
            voided += len(granted)
            moved.append(one)
        if moved:
            desk.advance_stop_epoch(conn)
    return Moved(tuple(moved), tuple(refused), voided)


def _moved_plan(plan: dict[str, str], to: datetime, one: Delivery) -> Plan:
    due = to + _paced_by(plan, one)
    by = due - one.due
    return Plan(
        due=due,
        not_after=one.not_after + by,
        embargo=one.embargo,
        close=parse_instant(plan["close"]) + by,
        wall=to.astimezone(ZoneInfo(plan["zone"])).strftime("%Y-%m-%dT%H:%M:%S"),
        zone=plan["zone"],
    )


def _paced_by(plan: dict[str, str], one: Delivery) -> timedelta:
    """How much later than its file says pacing planned it: the wall time is still the file's."""
    wall = datetime.fromisoformat(plan["wall"]).replace(tzinfo=ZoneInfo(plan["zone"]))
    # An hour that a clock change gives twice may be meant either way: the later reading that fits is the one.
    asked = max((a for a in (_utc(wall), _utc(wall.replace(fold=1))) if a <= one.due), default=one.due)
    later = one.due - asked
    return later if later <= one.not_after - asked else timedelta(0)


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


def _refusal(one: Delivery, to: datetime, attempts: Sequence[Any], blackouts: Sequence[Sequence[str]]) -> str:
    if one.state not in (State.SCHEDULED, State.MISSED, State.FAILED):
        return f"it is {one.state}"
    if any(AttemptState(a.state) in MAY_STILL_LAND for a in attempts):
        return "an earlier attempt may still land"
    if to < one.embargo:
        return f"the new time is before its embargo ({instant(one.embargo)})"
    for start, end, reason in blackouts:
        if start <= instant(to) < end:
            return f"blackout: {reason}"
    return ""
