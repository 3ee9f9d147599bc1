"""What the gates look at, read from the store in one transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache

from sqlalchemy import Connection

from scheduler.domain.content import Policy
from scheduler.domain.delivery import OPEN_ATTEMPT, Delivery
from scheduler.domain.gates import Facts, Gate
from scheduler.services.clock import Clock
from scheduler.store import desk, outbox


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
