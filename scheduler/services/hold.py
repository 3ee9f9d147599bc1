"""Hold, release, cancel: a person's stop, honoured until the last look before the first byte."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from scheduler.domain.account import Directory
from scheduler.domain.content import instant
from scheduler.domain.delivery import MAY_STILL_LAND, OUT, Delivery, State
from scheduler.domain.gates import Hold
from scheduler.errors import ApprovalError, UsageError
from scheduler.evidence.entry import Actor, Event, ulid
from scheduler.services.clock import Clock
from scheduler.services.events import DAEMON, about, given_up, whole_second
from scheduler.services.settle import TOKEN_REFUSED
from scheduler.services.tell import over
from scheduler.store import desk, log, outbox
from scheduler.store.database import Database

SCOPES = ("all", "campaign", "org", "platform", "account", "post")


@dataclass(frozen=True, slots=True)
class Held:
    """A hold that stands: what it stops, what had left by name, and what was in flight and is now known."""

    hold: Hold
    waiting: tuple[Delivery, ...]
    out: tuple[Delivery, ...]
    in_doubt: tuple[Delivery, ...]


def may_hold(directory: Directory, actor: Actor) -> None:
    """Any approver of any organisation may start or end a hold. Raises ApprovalError for others."""
    who = directory.people.get(actor.id)
    if who is None or not who.roles & {"approver", "duty"}:
        raise ApprovalError(
            f"'{actor.id}' is no approver in accounts.yaml",
            help="any approver of any organisation may hold; in a simulation, say --as PERSON",
        )


def hold(
    db: Database, clock: Clock, actor: Actor, scope: str, reason: str, *, patience: float = 10.0
) -> Held:
    """Start a hold and answer when it is known what had left (at most `patience` seconds of waiting).

    Needs no running daemon. Raises UsageError without a reason.
    """
    if not reason.strip():
        raise UsageError(
            "a hold needs its reason, for the log and for the people it stops", help='give --note "…"'
        )
    now = clock.now()
    standing = Hold(ulid(now), scope, actor.id, actor.organisation, reason, now)
    with db.write() as conn:
        # From this commit on no gate passes; senders past their gate see the epoch at their last look.
        desk.add_hold(
            conn,
            {
                "id": standing.id,
                "scope": scope,
                "person": actor.id,
                "organisation": actor.organisation,
                "reason": reason,
                "started_at": instant(now),
                "released_by": "",
                "released_at": "",
            },
        )
        desk.advance_stop_epoch(conn)
        log.append(
            conn,
            now,
            [
                Event(
                    "hold.started",
                    actor,
                    organisation=actor.organisation,
                    reason_text=reason,
                    facts={"scope": scope},
                )
            ],
        )
    return _answer(db, standing, patience)


def _answer(db: Database, standing: Hold, patience: float) -> Held:
    """Wait until nothing in scope is in flight, then say what is where."""
    end = time.monotonic() + patience
    while True:
        with db.read() as conn:
            covered = [d for d in outbox.find(conn) if standing.covers(d)]
        flying = tuple(d for d in covered if d.state is State.PUBLISHING)
        if not flying or time.monotonic() > end:
            break
        time.sleep(0.05)
    doubt = tuple(d for d in covered if d.state in (State.PUBLISHING, State.UNCONFIRMED))
    return Held(
        standing,
        tuple(d for d in covered if d.state is State.SCHEDULED),
        tuple(d for d in covered if d.state in OUT),
        doubt,
    )


@dataclass(frozen=True, slots=True)
class Released:
    """What a release ended and what became of deliveries that were due meanwhile."""

    holds: tuple[Hold, ...]
    missed: tuple[Delivery, ...]
    resumed: tuple[Delivery, ...]


def release(
    db: Database, clock: Clock, actor: Actor, scope: str, reason: str, *, resume: bool, soon: timedelta
) -> Released:
    """End the holds of this scope (`all` ends every hold).

    What was due meanwhile is missed, unless `resume` is given and its window is still open: then it goes
    `soon` from now, and so does what failed because the account's token was refused. Raises UsageError where
    nothing is held.
    """
    now = clock.now()
    with db.write() as conn:
        standing = desk.holds(conn)
        ending = [h for h in standing if scope in ("all", h.scope)]
        if not ending:
            have = ", ".join(h.scope for h in standing) or "nothing"
            raise UsageError(f"there is no hold on '{scope}'", help=f"held now: {have}")
        staying = [h for h in standing if h not in ending]
        due = [
            d
            for d in outbox.find(conn, states=[State.SCHEDULED], until=now)
            if any(h.covers(d) for h in ending) and not any(h.covers(d) for h in staying)
        ]
        missed, resumed = let_go(
            conn, now, actor, due, resume=resume, soon=soon, code="held", why="it was held when it was due"
        )
        desk.end_holds(conn, [h.id for h in ending], actor.id, now)
        for one in ending:
            over(conn, "held", one.scope.removeprefix("account:"))
        if resume:
            resumed += _send_again(conn, now, actor, _refused(conn, ending, staying, now + soon), soon)
        log.append(
            conn,
            now,
            [
                Event(
                    "hold.released",
                    actor,
                    organisation=actor.organisation,
                    reason_text=reason,
                    facts={"scope": h.scope, "resume": resume},
                )
                for h in ending
            ],
        )
    return Released(tuple(ending), missed, resumed)


def let_go(
    conn: Connection,
    now: datetime,
    actor: Actor,
    due: Sequence[Delivery],
    *,
    resume: bool,
    soon: timedelta,
    code: str,
    why: str,
) -> tuple[tuple[Delivery, ...], tuple[Delivery, ...]]:
    """What was due while it was stopped: missed, or (with `resume`, in its window) sent `soon` from now.

    In the caller's transaction, which also ends the stop. Returns what is missed and what goes.
    """
    resumed = tuple(d for d in due if resume and now + soon <= d.not_after)
    missed = tuple(d for d in due if d not in resumed)
    outbox.note(conn, [d.id for d in resumed], fire_at=instant(whole_second(now + soon)))
    landing = outbox.with_attempt(conn, [d.id for d in missed], MAY_STILL_LAND)
    outbox.change(conn, now, [given_up(d, actor, code, why, landing) for d in missed])
    return missed, resumed


def _refused(
    conn: Connection, ending: Sequence[Hold], staying: Sequence[Hold], at: datetime
) -> list[Delivery]:
    """What failed only because of the token that held its account, and may still go at `at`.

    It is certainly not out: nothing fails while an earlier attempt of it may still land.
    """
    accounts = [h for h in ending if h.person == DAEMON.id and h.scope.startswith("account:")]
    return [
        d
        for d in outbox.find(conn, states=[State.FAILED])
        if d.reason.startswith(TOKEN_REFUSED)
        and at <= d.not_after
        and any(h.covers(d) for h in accounts)
        and not any(h.covers(d) for h in staying)
    ]


def _send_again(
    conn: Connection, now: datetime, actor: Actor, refused: Sequence[Delivery], soon: timedelta
) -> tuple[Delivery, ...]:
    """They wait for a moment `soon` from now, with the new secret."""
    at = instant(whole_second(now + soon))
    fields = {"fire_at": at, "reason": "its account was released"}
    facts = {"next_try_at": at}
    outbox.change(
        conn,
        now,
        [
            (d, State.SCHEDULED, fields, about("publish.deferred", actor, d, code="held", facts=facts))
            for d in refused
        ],
    )
    return tuple(refused)


def cancel(
    db: Database, clock: Clock, actor: Actor, wanted: Sequence[Delivery], reason: str
) -> tuple[Delivery, ...]:
    """Take deliveries out for good. Those that began to publish stay (retract removes what is out).

    One that waits though an earlier attempt may still land is not sent again and becomes a question.
    Returns what was cancelled.
    """
    now = clock.now()
    with db.write() as conn:
        fresh = outbox.find(conn, ids=[d.id for d in wanted])
        waiting = [d for d in fresh if d.state in (State.SCHEDULED, State.FAILED, State.MISSED)]
        landing = outbox.with_attempt(conn, [d.id for d in waiting], MAY_STILL_LAND)
        going = [d for d in waiting if d.id not in landing]
        asked = [d for d in waiting if d.id in landing]
        outbox.change(conn, now, [given_up(d, actor, "cancelled", "cancelled", landing) for d in asked])
        outbox.change(
            conn,
            now,
            [
                (
                    d,
                    State.CANCELLED,
                    {"ended_by": actor.id, "reason": reason or "cancelled"},
                    about("content.withdrawn", actor, d, code="cancelled", said=reason),
                )
                for d in going
            ],
        )
        if waiting:
            desk.advance_stop_epoch(conn)
    return tuple(going)
