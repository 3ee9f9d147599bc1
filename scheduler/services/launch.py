"""The launch of a wave: gate in one transaction, settle outcomes, close windows.

Order of what is durable: the intent before the first byte, the outcome after the reply. Between the two a
crash leaves `publishing`; reconcile finds out, with the same code as after a lost reply.
"""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.content import Policy, instant
from scheduler.domain.delivery import (
    MAY_STILL_LAND,
    OPEN_ATTEMPT,
    AttemptState,
    Delivery,
    State,
)
from scheduler.domain.gates import Facts, Gate, gates
from scheduler.domain.publisher import Receipt
from scheduler.domain.retry import backoff, next_try
from scheduler.errors import NotSent, OutcomeUnknown, PublishError, Rejected, RetryLater, Unauthorised
from scheduler.evidence.entry import Actor, Event, ulid
from scheduler.services.clock import Clock
from scheduler.services.hold import whole_second
from scheduler.services.queue import about
from scheduler.store import desk, log, outbox
from scheduler.store.database import Database

DAEMON = Actor("daemon", "", "publisher", "service", "service")


@dataclass(frozen=True, slots=True)
class Passed:
    """What may be sent: attempt id by delivery id, the stop epoch seen, and what was shut out and why."""

    attempts: Mapping[str, str]
    epoch: int
    shut: tuple[tuple[Delivery, tuple[Gate, ...]], ...]


def facts(
    conn: Connection, clock: Clock, deliveries: Sequence[Delivery], approvers: Mapping[str, Collection[str]]
) -> Facts:
    """Everything the gates look at, read in the caller's transaction."""
    ids = [d.id for d in deliveries]
    parents = outbox.find(conn, ids=list({d.after for d in deliveries if d.after}))
    return Facts(
        now=clock.now(),
        wall_now=clock.wall(),
        holds=desk.holds(conn),
        decisions=desk.decisions(conn, ids),
        policies={i: Policy.parse(bytes(p)) for i, p in outbox.column(conn, ids, "policy").items()},
        blackouts={i: json.loads(b) for i, b in outbox.column(conn, ids, "blackouts").items()},
        approvers=approvers,
        states={d.id: d.state for d in parents},
        open_attempts=outbox.with_open_attempt(conn, ids),
    )


def gate(
    db: Database,
    clock: Clock,
    armed: Mapping[str, str],
    approvers: Mapping[str, Collection[str]],
    *,
    sender: str,
    lead: timedelta,
    reply_within: timedelta,
) -> Passed:
    """Let through what may go, and write its intents, in one transaction.

    `armed` maps delivery ids to the SHA-256 of the very content their request bytes were built from: a
    delivery whose stored content is another by now is shut out. What lacks approval at its time is missed:
    a late approval never publishes by itself.
    """
    with db.write() as conn:
        fresh = outbox.find(conn, ids=list(armed))
        known = facts(conn, clock, fresh, approvers)
        going: list[Delivery] = []
        shut: list[tuple[Delivery, tuple[Gate, ...]]] = []
        for one in fresh:
            why = gates(one, known, lead=lead)
            if one.content_sha256 != armed[one.id] or one.content.sha256 != armed[one.id]:
                why = (*why, Gate("changed", "its words changed after it was armed"))
            if why:
                shut.append((one, why))
            else:
                going.append(one)
        _miss_unapproved(conn, known.now, shut)
        attempts = _intend(conn, known.now, going, sender, lead + reply_within)
        # A crash after this commit leaves `publishing` with an open attempt: recovery looks before anything else.
        return Passed(attempts, desk.stop_epoch(conn), tuple(shut))


def _miss_unapproved(conn: Connection, now: datetime, shut: Sequence[tuple[Delivery, tuple[Gate, ...]]]) -> None:
    late = [
        (d, next(g.sentence for g in why if g.code == "unapproved"))
        for d, why in shut
        if {g.code for g in why} == {"unapproved"}
    ]
    outbox.change(
        conn,
        now,
        [
            (
                d,
                State.MISSED,
                {"reason": f"{sentence} when it was due"},
                about("schedule.missed", DAEMON, d, code="unapproved", facts={"content_sha256": d.content_sha256}),
            )
            for d, sentence in late
        ],
    )


def _intend(
    conn: Connection, now: datetime, going: Sequence[Delivery], sender: str, within: timedelta
) -> dict[str, str]:
    rows = [
        {
            "id": ulid(now),
            "delivery_id": d.id,
            "n": d.attempts + 1,
            "state": AttemptState.INTENT.value,
            "sender": sender,
            "intent_at": instant(now),
            "deadline": instant(max(now, d.fire_at) + within),
            "ended_at": "",
            "sent_us": 0,
            "code": "",
            "detail": "",
            "looks": 0,
            "looked_at": "",
        }
        for d in going
    ]
    outbox.change(
        conn,
        now,
        [
            (
                d,
                State.PUBLISHING,
                {},
                about(
                    "publish.attempted",
                    DAEMON,
                    d,
                    facts={
                        "try": d.attempts + 1,
                        "content_sha256": d.content_sha256,
                        "plan_sha256": d.plan_sha256,
                        "policy_sha256": d.policy_sha256,
                        "key": d.key,
                    },
                ),
            )
            for d in going
        ],
    )
    outbox.open_attempts(conn, now, rows)
    return {str(r["delivery_id"]): str(r["id"]) for r in rows}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt. `sent_us`: microseconds after it was due of the first byte (0 = none)."""

    delivery_id: str
    attempt_id: str
    result: Receipt | PublishError
    sent_us: int = 0


def settle(db: Database, clock: Clock, outcomes: Sequence[Outcome]) -> None:
    """Record outcomes and what follows from them, in one transaction.

    A crash before the commit leaves these deliveries `publishing`: reconcile finds the posts by looking.
    """
    if not outcomes:
        return
    now = clock.now()
    with db.write() as conn:
        fresh = {d.id: d for d in outbox.find(conn, ids=[o.delivery_id for o in outcomes])}
        changes: list[outbox.Change] = []
        ended: list[tuple[str, AttemptState, AttemptState, Mapping[str, Any]]] = []
        for one in outcomes:
            delivery = fresh[one.delivery_id]
            state, attempt, fields, event = _what_follows(delivery, one, now)
            changes.append((delivery, state, fields, event))
            code, detail = _code(one.result)
            ended.append(
                (
                    one.attempt_id,
                    AttemptState.INTENT,
                    attempt,
                    {"ended_at": instant(now), "sent_us": one.sent_us, "code": code, "detail": detail},
                )
            )
        outbox.settle_attempts(conn, ended)
        outbox.change(conn, now, changes)
        _hold_refused_accounts(conn, now, [(fresh[o.delivery_id], o.result) for o in outcomes])
        wake_next_parts(conn, now, [d.id for d, to, *_ in changes if to is State.PUBLISHED])


def _code(result: Receipt | PublishError) -> tuple[str, str]:
    return ("", "") if isinstance(result, Receipt) else (result.code[:80], result.detail[:500])


def _what_follows(
    d: Delivery, one: Outcome, now: datetime
) -> tuple[State, AttemptState, dict[str, Any], Event]:
    """The table of architecture §3: result → state, attempt, columns, log entry."""
    result = one.result
    facts = {"try": d.attempts, "content_sha256": d.content_sha256, "key": d.key}
    if isinstance(result, Receipt):
        facts |= {"sent_us": one.sent_us}
        return State.PUBLISHED, AttemptState.ACCEPTED, published(result, now), accepted("publish.accepted", d, result, facts)
    code, detail = _code(result)
    if isinstance(result, RetryLater | NotSent):
        asked = result.at if isinstance(result, RetryLater) else None
        jitter = random.random()  # noqa: S311 - because jitter needs no secrecy
        at = next_try(now, asked, d.attempts, jitter) if asked else now + backoff(d.attempts, jitter)
        at = whole_second(at)
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
        "remote_id": receipt.remote_id,
        "url": receipt.url,
        "extra": json.dumps(dict(receipt.extra), sort_keys=True),
        "published_at": instant(now),
        "reason": "",
    }


def accepted(type: str, d: Delivery, receipt: Receipt, facts: Mapping[str, Any]) -> Event:
    """A log entry that carries the platform's proof."""
    proof = {"remote_id": receipt.remote_id, "url": receipt.url}
    return about(type, DAEMON, d, facts={**facts, "receipt": proof})


def _hold_refused_accounts(
    conn: Connection, now: datetime, results: Sequence[tuple[Delivery, Receipt | PublishError]]
) -> None:
    """A refused token stops its account until a person has seen to it."""
    standing = {h.scope for h in desk.holds(conn)}
    for delivery, result in results:
        scope = f"account:{delivery.account}"
        if isinstance(result, Unauthorised) and scope not in standing:
            standing.add(scope)
            reason = f"its token was refused ({result.code}): put a new one in place, then release"
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
            log.append(conn, now, [about("hold.started", DAEMON, delivery, said=reason, facts={"scope": scope})])


def wake_next_parts(conn: Connection, now: datetime, published_ids: Collection[str]) -> None:
    """The next part of a thread goes as soon as the part before it has its receipt."""
    if not published_ids:
        return
    waiting = outbox.find(conn, states=[State.SCHEDULED])
    mine = [d.id for d in waiting if d.after in published_ids]
    outbox.note(conn, mine, fire_at=instant(whole_second(now)))


def stand_down(db: Database, clock: Clock, attempts: Mapping[str, str], why: PublishError) -> None:
    """The last look said stop: nothing was written. The attempts end `not_sent`, the deliveries wait on."""
    now = clock.now()
    with db.write() as conn:
        fresh = outbox.find(conn, ids=list(attempts))
        ended = {"ended_at": instant(now), "code": why.code, "detail": why.detail}
        outbox.settle_attempts(
            conn, [(attempts[d.id], AttemptState.INTENT, AttemptState.NOT_SENT, ended) for d in fresh]
        )
        facts = {"sent": False}
        outbox.change(
            conn,
            now,
            [
                (
                    d,
                    State.SCHEDULED,
                    # It was never on its way: this does not use up one of its tries.
                    {"reason": why.detail, "attempts": d.attempts - 1},
                    about("publish.deferred", DAEMON, d, code=why.code, said=why.detail, facts=facts),
                )
                for d in fresh
            ],
        )


def not_ready(
    conn: Connection, now: datetime, d: Delivery, error: PublishError, again: datetime, reason: str
) -> None:
    """Arming was refused: it stays scheduled, people see why, and it is armed again while its window is open."""
    outbox.note(conn, [d.id], reason=reason, fire_at=instant(again))
    facts = {"armed": False, "next_try_at": instant(again)}
    log.append(conn, now, [about("publish.deferred", DAEMON, d, code=error.code, said=error.detail, facts=facts)])


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
                (one, State.MISSED, {"reason": why}, about("schedule.missed", DAEMON, one, code="window", said=why))
            )
        outbox.change(conn, now, changes)
    return tuple(d for d, *_ in changes)


def _why_missed(one: Delivery, known: Facts) -> str:
    open_facts = Facts(
        now=known.now,
        wall_now=known.wall_now,
        holds=known.holds,
        decisions=known.decisions,
        policies=known.policies,
        blackouts=known.blackouts,
        approvers={d.organisation: [d.person] for ds in known.decisions.values() for d in ds},
        states=known.states,
    )
    found = [g.sentence for g in gates(one, open_facts) if g.code != "too_late"]
    if not found and one.reason:
        found = [one.reason]
    return "; ".join(found) or "nothing was running when it was due"


def never_answered() -> OutcomeUnknown:
    """The outcome of a request whose reply did not come before the deadline."""
    return OutcomeUnknown("no_reply", "no reply came before the deadline")
