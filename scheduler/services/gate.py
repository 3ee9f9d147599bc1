"""The gate of a wave, in one transaction: an intent is on disk before its first byte leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import Connection

from scheduler.domain.content import Content, Policy, instant
from scheduler.domain.delivery import MAY_STILL_LAND, OPEN_ATTEMPT, AttemptState, Delivery, State
from scheduler.domain.gates import Facts, Gate, gates
from scheduler.errors import PublishError
from scheduler.evidence.entry import ulid
from scheduler.services.clock import Clock
from scheduler.services.events import DAEMON, about, given_up
from scheduler.services.ground import Ground
from scheduler.store import desk, outbox
from scheduler.store.database import Database


@dataclass(frozen=True, slots=True)
class Ready:
    """An armed delivery: the hash of the content its request was built from, and what `find` will need.

    `content`, where given, is the very content with that hash: the gate need not parse it again.
    """

    content_sha256: str
    prepared: str = ""
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """What may be sent: attempt id by delivery id, the stop epoch seen, and what was shut out and why.

    `stops` are reasons against the wave as a whole; then there are no attempts.
    """

    attempts: Mapping[str, str]
    epoch: int
    shut: tuple[tuple[Delivery, tuple[Gate, ...]], ...]
    stops: tuple[Gate, ...] = ()


def facts(
    conn: Connection, clock: Clock, deliveries: Sequence[Delivery], approvers: Mapping[str, Collection[str]]
) -> Facts:
    """Everything the gates look at, read in the caller's transaction."""
    ids = [d.id for d in deliveries]
    parents = outbox.find(conn, ids=list({i for d in deliveries for i in (d.after, d.corrects) if i}))
    stored = outbox.columns(conn, ids, "policy", "blackouts")
    return Facts(
        now=clock.now(),
        wall_now=clock.wall(),
        holds=desk.holds(conn),
        decisions=desk.decisions(conn, ids),
        policies={i: policy_of(bytes(p)) for i, (p, _) in stored.items()},
        blackouts={i: _blackouts(b) for i, (_, b) in stored.items()},
        approvers=approvers,
        states={d.id: d.state for d in parents},
        open_attempts=outbox.with_attempt(conn, ids, OPEN_ATTEMPT),
        stops=_stops(desk.safe_mode(conn)),
    )


def _stops(safe_mode: desk.SafeMode | None) -> tuple[Gate, ...]:
    return (Gate("safe_mode", f"safe mode: {safe_mode.reason}"),) if safe_mode else ()


@lru_cache(maxsize=64)
def policy_of(raw: bytes) -> Policy:
    """A damaged one costs its own delivery only: no approval counts under it."""
    try:
        return Policy.parse(raw)
    except (ValueError, TypeError, KeyError):
        return Policy(valid_for=timedelta(0))


@lru_cache(maxsize=64)
def _blackouts(raw: str) -> Sequence[tuple[str, str, str]]:
    """Damaged ones are one without end: what must not go then is not known any more."""
    try:
        return tuple((start, end, reason) for start, end, reason in json.loads(raw))
    except (ValueError, TypeError):
        return (("", "~", "its stored blackouts are damaged"),)


def gate(
    db: Database,
    clock: Clock,
    armed: Mapping[str, Ready],
    approvers: Mapping[str, Collection[str]],
    *,
    sender: str,
    at: datetime,
    reply_within: timedelta,
    ground: Ground = Ground(),  # noqa: B008 - because a Ground is a frozen value
    deciding: Callable[[], None] = lambda: None,
) -> Passed:
    """Let through what may go at `at`, and write its intents, in one transaction.

    `ground` is what the wave as a whole stands on: where that has given way nothing of it goes. `deciding` is
    called once the write lock is had, before anything is looked at: waiting for the lock does not count.

    A delivery whose stored content is not what its request bytes were built from is shut out. What lacks
    approval at its time is missed: a late approval never publishes by itself.
    """
    contents = {r.content_sha256: r.content for r in armed.values() if r.content}
    with db.write() as conn:
        deciding()
        fresh = outbox.find(conn, ids=list(armed), contents=contents)
        known = facts(conn, clock, fresh, approvers)
        stops = ground.stops(conn)
        known = replace(known, stops=(*known.stops, *stops))
        going: list[Delivery] = []
        shut: list[tuple[Delivery, tuple[Gate, ...]]] = []
        for one in fresh:
            why = gates(one, known, at=at)
            sent = armed[one.id].content_sha256
            # The same object: its stored bytes were hashed as they were read, just now.
            same = one.content is contents.get(sent) or one.content.sha256 == sent
            if one.content_sha256 != sent or not same:
                why = (*why, Gate("changed", "its words changed after it was armed"))
            if why:
                shut.append((one, why))
            else:
                going.append(one)
        _miss_unapproved(conn, known.now, shut)
        attempts = _intend(
            conn, known.now, going, armed, sender, max(at, known.now) + reply_within, ground.epoch
        )
        # A crash after this commit leaves `publishing` with an open attempt: recovery looks first.
        return Passed(attempts, desk.stop_epoch(conn), tuple(shut), tuple(known.stops))


def _miss_unapproved(
    conn: Connection, now: datetime, shut: Sequence[tuple[Delivery, tuple[Gate, ...]]]
) -> None:
    late = [
        (d, next(g.sentence for g in why if g.code == "unapproved"))
        for d, why in shut
        if {g.code for g in why} == {"unapproved"}
    ]
    landing = outbox.with_attempt(conn, [d.id for d, _ in late], MAY_STILL_LAND)
    outbox.change(
        conn,
        now,
        [given_up(d, DAEMON, "unapproved", f"{sentence} when it was due", landing) for d, sentence in late],
    )


def _intend(
    conn: Connection,
    now: datetime,
    going: Sequence[Delivery],
    armed: Mapping[str, Ready],
    sender: str,
    deadline: datetime,
    lease: int,
) -> dict[str, str]:
    begun, until = instant(now), instant(deadline)
    rows = [
        {
            "id": ulid(now),
            "delivery_id": d.id,
            "n": d.attempts + 1,
            "state": AttemptState.INTENT.value,
            "sender": sender,
            "intent_at": begun,
            "deadline": until,
            "ended_at": "",
            "sent_us": 0,
            "code": "",
            "detail": "",
            "looks": 0,
            "looked_at": "",
            "lease": lease,
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
                # With the intent, so that `find` looks for the very post this attempt may have made.
                {"prepared": armed[d.id].prepared, "attempts": d.attempts + 1},
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
