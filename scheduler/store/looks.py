"""What is to be looked at and when: reading back what is published, removing what is being retracted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from scheduler.domain.content import instant, parse_instant
from scheduler.domain.delivery import Delivery, State
from scheduler.store import outbox
from scheduler.store.tables import DeliveryRow, table_of

_d = table_of(DeliveryRow)
MOST = 256  # of one round: a wave of thousands is read back round by round


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery to look at, with what is stored beside it."""

    delivery: Delivery
    look_at: str
    looks: int
    prepared: str
    profile: str
    extra: str
    asked_at: datetime | None  # since when its removal is asked for


def due(conn: Connection, state: State, until: datetime, organisation: str = "") -> list[Due]:
    """What has its look by `until`, the longest waiting first, at most one round of it."""
    query = (
        select(
            _d.c.id,
            _d.c.look_at,
            _d.c.looks,
            _d.c.prepared,
            _d.c.profile,
            _d.c.extra,
            _d.c.retract_asked_at,
        )
        .where(_d.c.state == state.value, _d.c.look_at != "", _d.c.look_at <= instant(until))
        .order_by(_d.c.look_at, _d.c.id)
        .limit(MOST)
    )
    if organisation:
        query = query.where(_d.c.organisation == organisation)
    rows = {row.id: row for row in conn.execute(query)}
    deliveries = outbox.find(conn, ids=list(rows)) if rows else []
    found = []
    for d in deliveries:
        r = rows[d.id]
        asked = parse_instant(r.retract_asked_at) if r.retract_asked_at else None
        found.append(Due(d, r.look_at, r.looks, r.prepared, r.profile, r.extra, asked))
    return found


def next_at(conn: Connection, state: State, organisation: str = "") -> datetime | None:
    """When the first of them is due, or None."""
    query = (
        select(_d.c.look_at)
        .where(_d.c.state == state.value, _d.c.look_at != "")
        .order_by(_d.c.look_at)
        .limit(1)
    )
    if organisation:
        query = query.where(_d.c.organisation == organisation)
    found = conn.execute(query).scalar()
    return parse_instant(found) if found else None


def still(conn: Connection, seen: Sequence[Due], state: State) -> dict[str, Delivery]:
    """Those of them that nobody has changed or looked at meanwhile."""
    ids = [one.delivery.id for one in seen]
    now = outbox.columns(conn, ids, "look_at", "looks")
    fresh = {d.id: d for d in outbox.find(conn, ids=ids, states=[state])}
    return {
        one.delivery.id: fresh[one.delivery.id]
        for one in seen
        if one.delivery.id in fresh and tuple(now[one.delivery.id]) == (one.look_at, one.looks)
    }


def later(conn: Connection, delivery: str, fields: Mapping[str, Any]) -> None:
    """Store when the next look is, and what else this one leaves; a restart does not forget it."""
    conn.execute(update(_d).where(_d.c.id == delivery).values(**fields))
