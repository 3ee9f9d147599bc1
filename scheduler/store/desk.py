"""Decisions, holds, pictures and the control row: what people said, as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from scheduler.domain.approval import Decision
from scheduler.domain.content import instant, parse_instant
from scheduler.domain.gates import Hold
from scheduler.store.bulk import among, each
from scheduler.store.tables import Control, DecisionRow, HoldRow, MediaRow, table_of

_c = table_of(Control)
_decisions = table_of(DecisionRow)
_holds = table_of(HoldRow)
_media = table_of(MediaRow)
_DECIDED_AT = [place for place, name in enumerate(Decision.__slots__) if name in ("at", "wall_at")]
_DECISION = [_decisions.c[name] for name in Decision.__slots__]


def decisions(conn: Connection, ids: Sequence[str]) -> dict[str, list[Decision]]:
    """All decisions by delivery id, oldest first."""
    found: dict[str, list[Decision]] = {}
    wanted = among(conn, _decisions.c.delivery_id, ids)
    # By position: the gate of a large wave reads ten thousand of them.
    query = select(_decisions.c.delivery_id, *_DECISION).where(wanted)
    rows = conn.execute(query.order_by(_decisions.c.at, _decisions.c.id)).all()
    for delivery_id, *values in rows:
        for place in _DECIDED_AT:
            values[place] = parse_instant(values[place])
        one = Decision(*values)
        found.setdefault(delivery_id, []).append(one)
    return found


def add_decisions(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store decisions; the caller appends their entries."""
    each(conn, insert(_decisions), rows)


def void(conn: Connection, decision_ids: Sequence[str], why: str) -> None:
    """Decisions stop counting; they stay readable, with the reason."""
    wanted = among(conn, _decisions.c.id, decision_ids)
    conn.execute(update(_decisions).where(wanted).values(verdict="voided", why=why))


def holds(conn: Connection, *, ended: bool = False) -> list[Hold]:
    """Holds that stand, oldest first (with `ended`, all of them)."""
    query = select(_holds).order_by(_holds.c.started_at, _holds.c.id)
    if not ended:
        query = query.where(_holds.c.released_at == "")
    return [
        Hold(
            id=r.id,
            scope=r.scope,
            person=r.person,
            organisation=r.organisation,
            reason=r.reason,
            started_at=parse_instant(r.started_at),
            released_at=parse_instant(r.released_at) if r.released_at else None,
        )
        for r in conn.execute(query)
    ]


def add_hold(conn: Connection, row: Mapping[str, Any]) -> None:
    """Store a hold; the caller advances the stop epoch and appends the entry."""
    conn.execute(insert(_holds), [dict(row)])


def end_holds(conn: Connection, ids: Sequence[str], person: str, now: datetime) -> None:
    """Mark holds as released."""
    conn.execute(
        update(_holds).where(_holds.c.id.in_(ids)).values(released_by=person, released_at=instant(now))
    )


def stop_epoch(conn: Connection) -> int:
    """Advances with every hold, cancellation and withdrawn approval: what the last look compares."""
    return int(conn.execute(select(_c.c.stop_epoch)).scalar_one())


def advance_stop_epoch(conn: Connection) -> int:
    """Make every sender that has passed its gate look again. Returns the new epoch."""
    conn.execute(update(_c).values(stop_epoch=_c.c.stop_epoch + 1))
    return stop_epoch(conn)


@dataclass(frozen=True, slots=True)
class SafeMode:
    """Since when (the launch's clock) and why nothing is sent."""

    since: datetime
    reason: str


def safe_mode(conn: Connection) -> SafeMode | None:
    """Safe mode, where it stands."""
    since, reason = conn.execute(select(_c.c.safe_since, _c.c.safe_reason)).one()
    return SafeMode(parse_instant(since), reason) if since else None


def set_safe_mode(conn: Connection, since: str, reason: str) -> None:
    """Begin it, or end it with two empty texts; the caller appends the entry."""
    conn.execute(update(_c).values(safe_since=since, safe_reason=reason))


def offset(conn: Connection) -> timedelta:
    """How far a simulation's clock is ahead of the machine's."""
    return timedelta(milliseconds=int(conn.execute(select(_c.c.offset_ms)).scalar_one()))


def set_offset(conn: Connection, value: timedelta) -> None:
    """Move a simulation's clock. Never called for a live database: `services.clock` refuses."""
    conn.execute(update(_c).values(offset_ms=int(value.total_seconds() * 1000)))


def keep_media(conn: Connection, bodies: Mapping[str, bytes]) -> None:
    """Store pictures by their hash; one that is there already stays."""
    known = set(conn.execute(select(_media.c.sha256)).scalars())
    rows = [{"sha256": h, "body": b} for h, b in bodies.items() if h not in known]
    if rows:
        conn.execute(insert(_media), rows)


def media(conn: Connection, sha256: str) -> bytes | None:
    """A picture's bytes, or None."""
    body = conn.execute(select(_media.c.body).where(_media.c.sha256 == sha256)).scalar()
    return None if body is None else bytes(body)
