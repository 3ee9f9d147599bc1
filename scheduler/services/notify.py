"""Notices become messages to people: gathered, tried again with growing pauses, escalated, recorded.

At least once: a crash between telling and recording tells again, under the same idempotency key. A
duplicate alarm is better than none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.account import Directory
from scheduler.domain.content import instant, parse_instant
from scheduler.domain.message import Message, Told
from scheduler.domain.recipients import recipients
from scheduler.domain.when import show
from scheduler.errors import UsageError
from scheduler.evidence.entry import Actor, Event, ulid
from scheduler.services.clock import Clock
from scheduler.store import log, notices
from scheduler.store.database import Database

NOTIFIER = Actor("notifier", "", "", "service", "service")
# Before the next try: after the first one, the second …; the last one is the pause from then on.
PAUSES = tuple(timedelta(seconds=s) for s in (30, 60, 120, 300, 900, 3600))
TRIES = 8  # for a channel that fails while another one got through; what reached nobody is tried for ever
REACHED = ("accepted", "simulated")

# (channel, person) → "accepted", "simulated", or what went wrong in words.
Outcomes = Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Task:
    """A message to tell now. `reached` are the (channel, person) whom it has reached since its last
    escalation; `escalates` is when it is told to more people (None = never).
    """

    message: Message
    reached: frozenset[tuple[str, str]]
    escalates: datetime | None


def waits(db: Database, by: datetime) -> bool:
    """Whether a notice is to be told, tried again or escalated by then."""
    with db.read() as conn:
        first = notices.next_due(conn)
    return bool(first) and first <= instant(by)


def tasks(db: Database, clock: Clock, directory: Directory) -> tuple[Task, ...]:
    """What is to be told now. New notices are gathered into messages; what is overdue is escalated."""
    now = clock.now()
    if not waits(db, now):
        return ()
    with db.write() as conn:
        _gather(conn, directory, now)
        # A crash after this commit leaves a try that was begun: the next one comes after the pause, so that
        # a process that dies each time can never become a storm. Nobody was told yet, or under the same key.
        return tuple(_begin(conn, directory, now, db.mode, rows) for rows in _due(conn, now))


def _gather(conn: Connection, directory: Directory, now: datetime) -> None:
    """Notices of one topic and wave for the same people become one message, told at the same moment."""
    groups: dict[Any, list[Any]] = {}
    for row in notices.find(conn, states=["waiting"]):
        if not row.message:
            people = tuple(p.slug for p in recipients(directory, row.organisation, 0, now))
            groups.setdefault((row.topic, row.severity, row.wave, people), []).append(row)
    for rows in groups.values():
        first = min(r.next_at for r in rows)
        if first <= instant(now):
            notices.put(conn, [r.id for r in rows], message=ulid(now), next_at=first)


def _due(conn: Connection, now: datetime) -> list[list[Any]]:
    """The notices of each message that wants something now."""
    messages: dict[str, list[Any]] = {}
    for row in notices.find(conn):
        if row.message:
            messages.setdefault(row.message, []).append(row)
    return [rows for rows in messages.values() if any(r.next_at and r.next_at <= instant(now) for r in rows)]


def _begin(conn: Connection, directory: Directory, now: datetime, mode: str, rows: Sequence[Any]) -> Task:
    """Write down that a try begins, a step higher where nobody acknowledged in time."""
    first, began = rows[0], parse_instant(rows[0].at)
    steps = directory.notify.steps if first.severity == "now" else ()
    level, since = first.level, first.escalated_at
    while level < len(steps) and began + steps[level].after <= now:
        level, since = level + 1, instant(now)
    tries = 1 if level > first.level else first.tries + 1
    again = began + steps[level].after if level < len(steps) else None
    message = _message(directory, now, mode, rows, level, again)
    pause = now + PAUSES[min(tries, len(PAUSES)) - 1]
    notices.put(
        conn,
        [r.id for r in rows],
        level=level,
        escalated_at=since,
        tries=tries,
        next_at=instant(min(pause, again) if again else pause),
    )
    if level > first.level:
        facts = {"message": first.message, "notices": len(rows), "topic": first.topic, "level": level}
        people = [p.slug for p in message.people]
        log.append(conn, now, [Event("notice.escalated", NOTIFIER, facts={**facts, "to": people})])
    return Task(message, frozenset(_reached(first.told, since)), again)


def _message(
    directory: Directory, now: datetime, mode: str, rows: Sequence[Any], level: int, again: datetime | None
) -> Message:
    organisations = tuple(dict.fromkeys(r.organisation for r in rows if r.organisation))
    people = [p for o in organisations or ("",) for p in recipients(directory, o, level, now)]
    known = directory.organisations
    later = f"If nobody does, more people are told {show(again, directory.zone)}." if again else ""
    return Message(
        id=rows[0].message,
        topic=rows[0].topic,
        severity=rows[0].severity,
        organisations=organisations,
        whose=tuple(known[o].name if o in known else o for o in organisations),
        people=tuple({p.slug: p for p in people}.values()),
        notices=[Told(r.id, r.about, r.said) for r in rows],
        at=parse_instant(rows[0].at),
        level=level,
        again=later,
        mode=mode,
    )


def _reached(told: str, since: str) -> list[tuple[str, str]]:
    """Whom the message reached since it was last escalated."""
    return [
        (channel, person) for at, channel, person, how in json.loads(told) if how in REACHED and at >= since
    ]


def record(db: Database, clock: Clock, told: Sequence[tuple[Task, Outcomes]]) -> None:
    """Write down whom each message reached, and when it wants something next.

    A crash before the commit tells the same people again, under the same key, after the pause.
    """
    now = clock.now()
    with db.write() as conn:
        for task, outcomes in told:
            rows = notices.find(conn, ids=[task.message.id])
            if rows:  # else it was acknowledged or closed meanwhile
                _record(conn, now, rows, task, outcomes)


def _record(conn: Connection, now: datetime, rows: Sequence[Any], task: Task, outcomes: Outcomes) -> None:
    first, ids = rows[0], [r.id for r in rows]
    lines = json.loads(first.told)
    lines += [[instant(now), channel, person, how] for (channel, person), how in outcomes.items()]
    new = [pair for pair, how in outcomes.items() if how in REACHED]
    anybody = bool(new or task.reached)
    failing = any(how not in REACHED for how in outcomes.values()) or not outcomes
    fields: dict[str, Any] = {"told": json.dumps(lines[-60:], ensure_ascii=False)}
    if anybody and first.severity == "info":
        fields |= {"state": "closed", "next_at": ""}  # nothing is left for a person to do
    elif anybody:
        fields["state"] = "told"
        if not failing or first.tries >= TRIES:
            fields["next_at"] = instant(task.escalates) if task.escalates else ""
    notices.put(conn, ids, **fields)
    if new and not task.reached:
        facts = {
            "message": first.message,
            "notices": len(ids),
            "topic": first.topic,
            "level": first.level,
            "to": list(dict.fromkeys(person for _, person in new if person)),
            "by": list(dict.fromkeys(channel for channel, _ in new)),
        }
        if all(how == "simulated" for how in outcomes.values() if how in REACHED):
            facts["simulated"] = True
        log.append(conn, now, [Event("notice.told", NOTIFIER, facts=facts)])


def acknowledge(
    db: Database, clock: Clock, actor: Actor, names: Sequence[str], note: str = "", *, every: bool = False
) -> list[Any]:
    """A person has seen to it: nobody else is told. Returns the notices (rows of NoticeRow).

    `names` are notices, messages, or what they are about (a delivery, an account).
    Raises UsageError for a name of which no notice is open.
    """
    now = clock.now()
    with db.write() as conn:
        rows = notices.find(conn, ids=() if every else names)
        known = {name for r in rows for name in (r.id, r.message, r.about)}
        if unknown := [name for name in names if name not in known]:
            raise UsageError(f"no open notice is called '{unknown[0]}'", help="launchday notices lists them")
        notices.put(
            conn,
            [r.id for r in rows],
            state="acknowledged",
            next_at="",
            acknowledged_by=actor.id,
            acknowledged_at=instant(now),
        )
        if rows:
            facts = {"notices": [r.id for r in rows[:200]], "count": len(rows)}
            log.append(conn, now, [Event("notice.acknowledged", actor, reason_text=note, facts=facts)])
    return rows
