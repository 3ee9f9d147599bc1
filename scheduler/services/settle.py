"""Settling: outcomes become states, attempts and log entries, in one transaction for a group of them.

A crash before it leaves `publishing`; reconcile finds out, with the same code as after a lost reply.
"""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.content import Content, instant
from scheduler.domain.delivery import AttemptState, Delivery, State
from scheduler.domain.publisher import Receipt
from scheduler.domain.retry import backoff, next_try
from scheduler.errors import NotSent, OutcomeUnknown, PublishError, Rejected, RetryLater, Unauthorised
from scheduler.evidence.entry import Event, ulid
from scheduler.services.clock import Clock
from scheduler.services.events import DAEMON, about, plain, whole_second
from scheduler.services.tell import tell
from scheduler.store import desk, log, outbox
from scheduler.store.database import Database


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
    A crash before the commit leaves these deliveries `publishing`: reconcile finds the posts by looking.
    """
    if not outcomes:
        return
    now = clock.now()
    ended_at = instant(now)
    with db.write() as conn:
        ids = [o.delivery_id for o in outcomes]
        fresh = {d.id: d for d in outbox.find(conn, ids=ids, contents=contents)}
        landing = outbox.with_attempt(conn, ids, {AttemptState.RESEND_SAFE})
        changes: list[outbox.Change] = []
        ended: list[tuple[str, AttemptState, AttemptState, Mapping[str, Any]]] = []
        for one in outcomes:
            delivery = fresh[one.delivery_id]
            state, attempt, fields, event = _what_follows(delivery, one, now, clock.offset)
            if state is State.FAILED and delivery.id in landing:
                # This try is certainly not out, but the one before it may be: "failed" could be untrue.
                said = f"{fields['reason']} (refused, but an earlier attempt may still land)"
                state, fields = State.ASKING, {"reason": f"{said}: launchday resolve {delivery.name}"}
            changes.append((delivery, state, fields, event))
            code, detail = _code(one.result)
            ended.append(
                (
                    one.attempt_id,
                    AttemptState.INTENT,
                    attempt,
                    {"ended_at": ended_at, "sent_us": one.sent_us, "code": code, "detail": detail},
                )
            )
        outbox.settle_attempts(conn, ended)
        outbox.change(conn, now, changes)
        hold_refused_accounts(conn, now, [(fresh[o.delivery_id], o.result) for o in outcomes])
        receipts = [(fresh[o.delivery_id], o.result) for o in outcomes if isinstance(o.result, Receipt)]
        odd = ask_about_differences(conn, now, receipts)
        wake_next_parts(conn, now, [d.id for d, _ in receipts if d.id not in odd])


def _code(result: Receipt | PublishError) -> tuple[str, str]:
    return ("", "") if isinstance(result, Receipt) else (plain(result.code[:80]), plain(result.detail[:500]))


def _what_follows(
    d: Delivery, one: Outcome, now: datetime, offset: timedelta
) -> tuple[State, AttemptState, dict[str, Any], Event]:
    """The table of architecture §3: result → state, attempt, columns, log entry."""
    result = one.result
    facts = {"try": d.attempts, "content_sha256": d.content_sha256, "key": d.key}
    if isinstance(result, Receipt):
        facts |= {"sent_us": one.sent_us}
        return (
            State.PUBLISHED,
            AttemptState.ACCEPTED,
            published(result, now),
            accepted("publish.accepted", d, result, facts),
        )
    code, detail = _code(result)
    if isinstance(result, RetryLater | NotSent):
        # A platform speaks in the world's time; a simulation's own clock may be elsewhere.
        asked = result.at + offset if isinstance(result, RetryLater) and result.at else None
        jitter = random.random()  # noqa: S311 - because jitter needs no secrecy
        at = next_try(now, asked, d.attempts, jitter) if asked else now + backoff(d.attempts, jitter)
        at = max(d.due, whole_second(at))
        facts |= {"next_try_at": instant(at)}
        return (
            State.SCHEDULED,
            AttemptState.NOT_SENT,
            {"fire_at": instant(at), "reason": f"{code}: tried {d.attempts} time(s), next {instant(at)}"},
            about("publish.deferred", DAEMON, d, code=code, said=detail, facts=facts),
        )
    if isinstance(result, Rejected):
        return (
            State.FAILED,
            AttemptState.REJECTED,
            {"reason": f"{code}: {detail}".strip(": ")},
            about("publish.failed", DAEMON, d, code=code, said=detail, facts=facts),
        )
    return (
        State.UNCONFIRMED,
        AttemptState.UNKNOWN,
        {"reason": f"{code}: {detail}".strip(": ")},
        about("publish.unknown", DAEMON, d, code=code, said=detail, facts=facts),
    )


def published(receipt: Receipt, now: datetime) -> dict[str, Any]:
    """The columns that a receipt fills."""
    return {
        "remote_id": plain(receipt.remote_id),
        "url": plain(receipt.url),
        "extra": json.dumps(dict(receipt.extra), sort_keys=True),
        "published_at": instant(now),
        "reason": "",
    }


def accepted(type: str, d: Delivery, receipt: Receipt, facts: Mapping[str, Any]) -> Event:
    """A log entry that carries the platform's proof."""
    proof = {"remote_id": plain(receipt.remote_id), "url": plain(receipt.url)}
    return about(type, DAEMON, d, facts={**facts, "receipt": proof})


def ask_about_differences(
    conn: Connection, now: datetime, receipts: Sequence[tuple[Delivery, Receipt]]
) -> set[str]:
    """What is out, but not as approved (a picture was dropped, words were changed): a person is asked.

    Returns the ids of those deliveries. The caller has recorded them as published in this transaction.
    """
    odd = [(d, r) for d, r in receipts if r.extra.get("differs")]
    changes: list[outbox.Change] = []
    for delivery, receipt in odd:
        said = receipt.extra["differs"]
        reason = f"it is out, but differs from what was approved: {said}"
        event = about("publish.mismatch", DAEMON, delivery, code="differs", said=said)
        changes.append((replace(delivery, state=State.PUBLISHED), State.ASKING, {"reason": reason}, event))
    outbox.change(conn, now, changes)
    return {d.id for d, _ in odd}


def hold_refused_accounts(
    conn: Connection, now: datetime, results: Sequence[tuple[Delivery, Receipt | PublishError]]
) -> None:
    """A refused token stops its account until a person has seen to it."""
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
