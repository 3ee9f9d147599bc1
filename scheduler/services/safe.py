"""Safe mode: the database is older than what was sent, so nothing goes until all that is due was looked for.

It begins where the database is behind its high-water mark (a restored backup, a rolled-back or deleted file)
and ends by a person's word only: which holds and rejections went with the lost span, no platform can say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from scheduler.domain.content import instant, parse_instant
from scheduler.domain.delivery import IN_DOUBT, AttemptState, Delivery, State
from scheduler.errors import StoreError, TryLater, UsageError
from scheduler.evidence.entry import Actor, Event, ulid
from scheduler.services.clock import Clock
from scheduler.services.events import DAEMON, about
from scheduler.services.hold import let_go
from scheduler.services.tell import over, tell
from scheduler.store import desk, lock, log, mark, outbox
from scheduler.store.database import Database

LOST = "lost"  # the sender of whatever was sent in the lost span: ended, by its lock file
_CODE = "rolled_back"
TO_END = "launchday release --safe-mode"


def check(db: Database, clock: Clock, folder: Path, reply_within: timedelta) -> str:
    """Enter safe mode where the database is behind its mark; returns why, "" where all is well."""
    path = mark.path_in(folder)
    why = ""
    try:
        known = mark.read(path)
    except StoreError as damaged:
        known, why = None, damaged.message
    with db.read() as conn:
        if known:
            why = mark.behind(conn, known)
    if why:
        enter(db, clock, folder, f"the database is older than what was done with it: {why}", reply_within)
        with db.read() as conn:
            # A crash before this leaves the mark ahead: the next start enters again, which changes nothing.
            mark.set_back(conn, path)
    return why


def enter(db: Database, clock: Clock, folder: Path, reason: str, reply_within: timedelta) -> None:
    """Stop everything and doubt all that was due. Entering again keeps the first reason.

    What is sent after this commit was let through before the loss; its deadline is `reply_within` from now.
    """
    (folder / "senders").mkdir(parents=True, exist_ok=True, mode=0o700)
    # Nobody holds it: the senders of the lost span are taken for dead once their deadline has passed.
    (folder / "senders" / f"{LOST}.lock").touch(mode=0o600)
    now = clock.now()
    with db.write() as conn:
        # A crash before the commit leaves the mark ahead of the database: the next start comes here again.
        if not desk.safe_mode(conn):
            desk.advance_stop_epoch(conn)
            desk.set_safe_mode(conn, instant(now), reason)
            outbox.doubt_anew(conn, now + reply_within)
            log.append(conn, now, [Event("safe_mode.started", DAEMON, reason_text=reason)])
            todo = f"Nothing is sent until a person ends it: launchday status, then {TO_END}"
            tell(conn, now, "safe_mode", "", f"Safe mode: {reason}. {todo}")
        suspect(conn, now, reply_within)


def suspect(conn: Connection, now: datetime, reply_within: timedelta) -> tuple[Delivery, ...]:
    """Whatever waits though it was due when safe mode began may be out: it is looked for, or asked about.

    Once for each: what was looked for and not found waits on, and is missed when its window closes.
    """
    stop = desk.safe_mode(conn)
    if stop is None:
        return ()
    waiting = [d for d in outbox.find(conn, states=[State.SCHEDULED]) if d.due <= stop.since]
    tried, began = outbox.attempts_of(conn, [d.id for d in waiting]), instant(stop.since)
    looked = {i for i, rows in tried.items() if any(r.code == _CODE and r.deadline >= began for r in rows)}
    waiting = [d for d in waiting if d.id not in looked]
    queued = outbox.column(conn, [d.id for d in waiting], "queued_at")
    # Queued again after the loss: another key, and nobody knows what became of the first. A person does.
    anew = [d for d in waiting if parse_instant(queued[d.id]) >= stop.since]
    doubted = [d for d in waiting if d not in anew]
    why = "the database was older than what may have been sent"
    asks = f"{why}, and it was queued again since: launchday resolve {{}}"
    facts = {"rolled_back": True}
    outbox.change(
        conn,
        now,
        [(d, State.UNCONFIRMED, {"reason": why}, _unknown(d, why, facts)) for d in doubted]
        + [(d, State.ASKING, {"reason": asks.format(d.name)}, _unknown(d, why, facts)) for d in anew],
    )
    outbox.open_attempts(conn, now, [_lost(d, now, stop, reply_within) for d in doubted])
    return tuple(waiting)


def _unknown(d: Delivery, why: str, facts: Mapping[str, object]) -> Event:
    return about(
        "publish.unknown",
        DAEMON,
        d,
        code=_CODE,
        said=why,
        facts={**facts, "content_sha256": d.content_sha256},
    )


def _lost(d: Delivery, now: datetime, stop: desk.SafeMode, reply_within: timedelta) -> dict[str, object]:
    """The attempt that may have been made in the lost span: not before its time, not after safe mode."""
    return {
        "id": ulid(now),
        "delivery_id": d.id,
        "n": d.attempts + 1,
        "state": AttemptState.UNKNOWN.value,
        "sender": lock.sender_name(LOST),
        "intent_at": instant(d.due),
        "deadline": instant(stop.since + reply_within),
        "ended_at": "",
        "sent_us": 0,
        "code": _CODE,
        "detail": "it may have been sent in the span that the database does not know of",
        "looks": 0,
        "looked_at": "",
        "lease": 0,
    }


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of deliveries that were due while nothing was sent."""

    missed: Sequence[Delivery]
    resumed: Sequence[Delivery]


def end(
    db: Database,
    clock: Clock,
    actor: Actor,
    note: str,
    *,
    resume: bool,
    soon: timedelta,
    reply_within: timedelta,
) -> Ended:
    """A person ends safe mode. What was due meanwhile is missed, unless `resume` and its window is open.

    Raises UsageError where there is none, TryLater while something that was due is still being looked for.
    """
    now = clock.now()
    with db.write() as conn:
        if desk.safe_mode(conn) is None:
            raise UsageError("there is no safe mode to end", help="launchday status")
        suspect(conn, now, reply_within)
        doubt = len(outbox.find(conn, states=IN_DOUBT))
    if doubt:
        raise TryLater(
            f"{doubt} deliver{'y' if doubt == 1 else 'ies'} may be out and "
            f"{'is' if doubt == 1 else 'are'} still being looked for",
            help="the daemon does that: launchday run; launchday list --state unconfirmed says which",
        )
    with db.write() as conn:
        # A crash before the commit leaves safe mode as it was.
        due = outbox.find(conn, states=[State.SCHEDULED], until=now)
        missed, resumed = let_go(
            conn, now, actor, due, resume=resume, soon=soon, code=_CODE, why="safe mode, when it was due"
        )
        desk.set_safe_mode(conn, "", "")
        log.append(conn, now, [Event("safe_mode.ended", actor, reason_text=note, facts={"resume": resume})])
        over(conn, "safe_mode")
    return Ended(missed, resumed)
