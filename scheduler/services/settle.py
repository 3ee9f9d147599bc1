"""Settling: outcomes become states, attempts and log entries, in one transaction for a group of them.

A crash before it leaves `publishing`; reconcile finds out, with the same code as after a lost reply.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.content import Content, instant
from scheduler.domain.delivery import OPEN_ATTEMPT, AttemptState, Delivery, State
from scheduler.domain.publisher import Receipt
from scheduler.domain.retry import next_try
from scheduler.errors import NotSent, OutcomeUnknown, PublishError, Rejected, RetryLater, Unauthorised
from scheduler.evidence.entry import Event, ulid
from scheduler.services import late
from scheduler.services.clock import Clock
from scheduler.services.events import DAEMON, about, beyond_window, plain, whole_second
from scheduler.services.receipts import accepted, ask_about_differences, published
from scheduler.services.tell import tell
from scheduler.store import desk, log, outbox
from scheduler.store import late as late_evidence
from scheduler.store.database import Database

TOKEN_REFUSED = "its token was refused: "  # noqa: S105 - because it is how such a reason begins, not a token


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt. `sent_us`: microseconds after it was due of the first byte (0 = none)."""

    delivery_id: str
    attempt_id: str
    result: Receipt | PublishError
    sent_us: int = 0


def settle(
    db: Database,
    clock: Clock,
    outcomes: Sequence[Outcome],
    contents: Mapping[str, Content] = MappingProxyType({}),
) -> None:
    """Record outcomes and what follows from them, in one transaction.

    `contents` are known by their hash: stored bytes with such a hash are not parsed again.
    What comes after its attempt was concluded is late evidence: kept, and never followed blindly.
    A crash before the commit leaves these deliveries `publishing`: reconcile finds the posts by looking.
    """
    if not outcomes:
        return
    now = clock.now()
    ended_at = instant(now)
    with db.write() as conn:
        ids = [o.delivery_id for o in outcomes]
        fresh = {d.id: d for d in outbox.find(conn, ids=ids, contents=contents)}
        outcomes = _of_their_own(conn, fresh, outcomes)
        seen = late_evidence.states(conn, [o.attempt_id for o in outcomes])
        proven = late_evidence.receipts(conn, ids)
        landing = outbox.with_attempt(conn, ids, {AttemptState.RESEND_SAFE})
        changes: list[outbox.Change] = []
        ended: list[tuple[str, AttemptState, AttemptState, Mapping[str, Any]]] = []
        receipts: list[tuple[Delivery, Receipt]] = []
        for one in outcomes:
            delivery, was = fresh[one.delivery_id], seen.get(one.attempt_id, AttemptState.INTENT)
            settles = one.attempt_id not in seen or _may_settle(delivery, was, one.result)
            if not settles or was is AttemptState.UNKNOWN:
                attempt = late_evidence.attempts(conn, [one.attempt_id])[one.attempt_id]
            if not settles:
                if late.take(conn, now, delivery.id, attempt, one.result) and isinstance(one.result, Receipt):
                    receipts.append((delivery, one.result))
                continue
            if was is AttemptState.UNKNOWN:
                late.keep(conn, now, delivery, attempt, one.result)
            fields: Mapping[str, Any]
            state, to, fields, event = _what_follows(delivery, one, now, ended_at, clock.offset)
            if delivery.id in proven:
                state, fields = _beside_proof(delivery, proven[delivery.id], one.result, state, fields)
            elif state is State.FAILED and delivery.id in landing:
                # This try is certainly not out, but the one before it may be: "failed" could be untrue.
                said = f"{fields['reason']} (refused, but an earlier attempt may still land)"
                state, fields = State.ASKING, {"reason": f"{said}: launchday resolve {delivery.name}"}
            changes.append((delivery, state, fields, event))
            if isinstance(one.result, Receipt) and state is State.PUBLISHED:
                receipts.append((delivery, one.result))
            code, detail = late.said_by(one.result)
            told = {"ended_at": ended_at, "sent_us": one.sent_us, "code": code, "detail": detail}
            ended.append((one.attempt_id, was, to, told))
        outbox.settle_attempts(conn, ended)
        outbox.change(conn, now, changes)
        outbox.change(conn, now, beyond_window(changes, landing))
        hold_refused_accounts(conn, now, [(fresh[o.delivery_id], o.result) for o in outcomes])
        odd = ask_about_differences(conn, now, receipts)
        wake_next_parts(conn, now, [d.id for d, _ in receipts if d.id not in odd])


def _of_their_own(
    conn: Connection, fresh: Mapping[str, Delivery], outcomes: Sequence[Outcome]
) -> list[Outcome]:
    """A receipt that names another delivery's post proves nothing of this one: it is looked for."""
    posts = {plain(o.result.remote_id) for o in outcomes if isinstance(o.result, Receipt)}
    owners = outbox.owners(conn, sorted(posts))
    kept: list[Outcome] = []
    for one in outcomes:
        if isinstance(one.result, Receipt):
            post = (fresh[one.delivery_id].account, plain(one.result.remote_id))
            if owners.setdefault(post, one.delivery_id) != one.delivery_id:
                said = f"the platform answered with the id of another post: {one.result.remote_id}"
                kept.append(replace(one, result=OutcomeUnknown("anothers", said)))
                continue
        kept.append(one)
    return kept


def keep(db: Database, clock: Clock, one: Outcome) -> None:
    """Keep an outcome that fits nothing that is stored: its attempt stays open and is looked for."""
    now = clock.now()
    with db.write() as conn:
        attempt = late_evidence.attempts(conn, [one.attempt_id])[one.attempt_id]
        (delivery,) = outbox.find(conn, ids=[one.delivery_id])
        late.keep(conn, now, delivery, attempt, one.result)


def _may_settle(d: Delivery, was: AttemptState, result: Receipt | PublishError) -> bool:
    """Whether the outcome is the one its delivery waits for; everything else is late evidence."""
    if was not in OPEN_ATTEMPT:
        return False
    if d.state is State.PUBLISHING:
        return True
    # Its sender was given up as dead and speaks after all: what it was refused itself is certain.
    return d.state is State.UNCONFIRMED and isinstance(result, Rejected | NotSent | RetryLater)


def _beside_proof(
    d: Delivery,
    proofs: Sequence[Receipt],
    result: Receipt | PublishError,
    state: State,
    fields: Mapping[str, Any],
) -> tuple[State, Mapping[str, Any]]:
    """The outcome of a later attempt, where an earlier one is known to be out: never sent again."""
    if isinstance(result, Receipt) and all(late.same_post(result, proof) for proof in proofs):
        return state, fields
    if not isinstance(result, Receipt) and state is State.UNCONFIRMED:
        return state, fields  # looked for; reconcile knows of the proof too
    there = " and ".join(dict.fromkeys(p.url or p.remote_id for p in proofs))
    if isinstance(result, Receipt):
        there += f" and {result.url}"
    said = f"an earlier attempt is out: {there}: look whether it is there twice, then launchday resolve"
    kept = {name: value for name, value in fields.items() if name != "fire_at"}
    return State.ASKING, {**kept, "reason": f"{said} {d.name}"}


def _what_follows(
    d: Delivery, one: Outcome, now: datetime, ended_at: str, offset: timedelta
) -> tuple[State, AttemptState, dict[str, Any], Event]:
    """The table of architecture §3: result → state, attempt, columns, log entry."""
    result = one.result
    facts = {"try": d.attempts, "content_sha256": d.content_sha256, "key": d.key}
    if isinstance(result, Receipt):
        facts |= {"sent_us": one.sent_us}
        return (
            State.PUBLISHED,
            AttemptState.ACCEPTED,
            published(result, ended_at),
            accepted("publish.accepted", d, result, facts),
        )
    code, detail = late.said_by(result)
    if isinstance(result, RetryLater | NotSent):
        # A platform speaks in the world's time; a simulation's own clock may be elsewhere.
        asked = result.at + offset if isinstance(result, RetryLater) and result.at else None
        jitter = random.random()  # noqa: S311 - because jitter needs no secrecy
        at = next_try(now, asked, d.attempts, jitter, d.not_after)
        at = max(d.due, at if at == d.not_after else whole_second(at))
        facts |= {"next_try_at": instant(at)}
        return (
            State.SCHEDULED,
            AttemptState.NOT_SENT,
            {"fire_at": instant(at), "reason": f"{code}: tried {d.attempts} time(s), next {instant(at)}"},
            about("publish.deferred", DAEMON, d, code=code, said=detail, facts=facts),
        )
    if isinstance(result, Rejected):
        refused = TOKEN_REFUSED if isinstance(result, Unauthorised) else ""
        return (
            State.FAILED,
            AttemptState.REJECTED,
            {"reason": refused + f"{code}: {detail}".strip(": ")},
            about("publish.failed", DAEMON, d, code=code, said=detail, facts=facts),
        )
    return (
        State.UNCONFIRMED,
        AttemptState.UNKNOWN,
        {"reason": f"{code}: {detail}".strip(": ")},
        about("publish.unknown", DAEMON, d, code=code, said=detail, facts=facts),
    )


def hold_refused_accounts(
    conn: Connection, now: datetime, results: Sequence[tuple[Delivery, Receipt | PublishError]]
) -> None:
    """A refused token stops its account until a person has seen to it."""
    if not any(isinstance(result, Unauthorised) for _, result in results):
        return
    standing = {h.scope for h in desk.holds(conn)}
    for delivery, result in results:
        scope = f"account:{delivery.account}"
        if isinstance(result, Unauthorised) and scope not in standing:
            standing.add(scope)
            desk.advance_stop_epoch(conn)
            reason = f"its token was refused ({plain(result.code)}): put a new one in place, then release"
            desk.add_hold(
                conn,
                {
                    "id": ulid(now),
                    "scope": scope,
                    "person": DAEMON.id,
                    "organisation": delivery.organisation,
                    "reason": reason,
                    "started_at": instant(now),
                    "released_by": "",
                    "released_at": "",
                },
            )
            log.append(
                conn, now, [about("hold.started", DAEMON, delivery, said=reason, facts={"scope": scope})]
            )
            said = (
                f"Nothing goes out on {delivery.account}: its token was refused ({plain(result.code)}). "
                f"Put a new one in place, then: launchday release --account {delivery.account}"
            )
            tell(conn, now, "held", delivery.account, said, organisation=delivery.organisation)


def wake_next_parts(conn: Connection, now: datetime, published_ids: Collection[str]) -> None:
    """The next part of a thread goes as soon as the part before it has its receipt."""
    if not published_ids:
        return
    waiting = outbox.find(conn, states=[State.SCHEDULED], after=list(published_ids))
    # Never before its own time: a part may have been moved while the one before it was on its way.
    outbox.note_each(conn, "fire_at", {d.id: instant(max(d.due, whole_second(now))) for d in waiting})


def never_answered() -> OutcomeUnknown:
    """The outcome of a request whose reply did not come before the deadline."""
    return OutcomeUnknown("no_reply", "no reply came before the deadline")
