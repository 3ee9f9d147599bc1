"""Notices: what named persons must be told, written in the transaction that made it true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from scheduler.domain.content import instant
from scheduler.domain.delivery import WANTS_A_PERSON, Delivery, State
from scheduler.domain.notice import MOST, Urgency, without_words
from scheduler.evidence.entry import Event, ulid
from scheduler.store.bulk import among
from scheduler.store.tables import DeliveryRow, NoticeRow, table_of

_n = table_of(NoticeRow)
_d = table_of(DeliveryRow)

OPEN = ("waiting", "told")
# A notice waits so long for others of its kind: a wave that fails becomes one message, not hundreds.
GATHER = timedelta(seconds=5)

_SAID = {
    State.MISSED: "{name} was missed and is certainly not out: {why}",
    State.FAILED: "{name} failed and is certainly not out: {why}",
    State.ASKING: "{name} has a question that only a person can answer: {why}",
}


def follow(
    conn: Connection, now: datetime, changes: Sequence[tuple[Delivery, State, Mapping[str, Any], Event]]
) -> None:
    """What changes of state mean for notices: a new one for each that wants a person, closed for the rest.

    Called by `outbox.change` in its transaction: no delivery can end badly without its notice.
    """
    settled = [d.id for d, to, _, _ in changes if d.state in WANTS_A_PERSON]
    close(conn, deliveries=settled)
    going = [d.id for d, to, _, _ in changes if d.state is State.SCHEDULED and to is not State.SCHEDULED]
    close(conn, deliveries=going, topic="not_ready")  # it is ready after all, or worse is told below
    rows = []
    for delivery, to, fields, event in changes:
        if to not in WANTS_A_PERSON:
            continue
        words = [delivery.content.text, *(m.alt for m in delivery.content.media)]
        why = without_words(str(fields.get("reason", "")) or "no reason was given", words)
        # Who answered "it is not out" knows it already; the others need to hear, but not to act.
        answered = to is State.FAILED and event.actor.kind == "person"
        rows.append(
            _row(
                now,
                to.value,
                delivery.name,
                _SAID[to].format(name=delivery.name, why=why),
                severity="info" if answered else "now",
                organisation=delivery.organisation,
                delivery_id=delivery.id,
            )
        )
    if rows:
        conn.execute(insert(_n), rows)


def add(
    conn: Connection,
    now: datetime,
    topic: str,
    about: str,
    said: str,
    *,
    severity: Urgency,
    organisation: str,
    delivery_id: str,
) -> None:
    """Store one notice."""
    row = _row(now, topic, about, said, severity=severity, organisation=organisation, delivery_id=delivery_id)
    conn.execute(insert(_n), [row])


def _row(
    now: datetime, topic: str, about: str, said: str, *, severity: str, organisation: str, delivery_id: str
) -> dict[str, Any]:
    return {
        "id": ulid(now),
        "at": instant(now),
        "topic": topic,
        "severity": severity,
        "organisation": organisation,
        "delivery_id": delivery_id,
        "about": about,
        "said": said[:MOST],
        "state": "waiting",
        "next_at": instant(now + GATHER),
        "tries": 0,
        "message": "",
        "level": 0,
        "told": "[]",
        "escalated_at": "",
        "acknowledged_by": "",
        "acknowledged_at": "",
    }


def standing(conn: Connection, topic: str, about: str) -> list[Any]:
    """Notices of this topic about this thing that are not closed (rows of NoticeRow), oldest first."""
    wanted = (_n.c.topic == topic) & (_n.c.about == about) & (_n.c.state != "closed")
    return list(conn.execute(_n.select().where(wanted).order_by(_n.c.at, _n.c.id)))


def close(
    conn: Connection, *, deliveries: Sequence[str] = (), ids: Sequence[str] = (), topic: str = ""
) -> None:
    """What they say is over: nobody is told of it any more. Who acknowledged one stays written there.

    `topic`: only those about it ("" = any).
    """
    topical = (_n.c.topic == topic,) if topic else ()
    for column, values in ((_n.c.delivery_id, deliveries), (_n.c.id, ids)):
        if values:
            wanted = update(_n).where(among(conn, column, values), *topical, _n.c.state != "closed")
            conn.execute(wanted.values(state="closed", next_at=""))


def next_due(conn: Connection) -> str:
    """When a notice wants something next: told, tried again or escalated (an instant as text, "" = never)."""
    query = select(func.min(_n.c.next_at)).where(_n.c.state.in_(OPEN), _n.c.next_at != "")
    return conn.execute(query).scalar() or ""


def find(conn: Connection, *, states: Sequence[str] = OPEN, ids: Sequence[str] = ()) -> list[Any]:
    """Notices in these states (columns of NoticeRow, and `wave`: when its delivery was due), oldest first.

    `ids` are notices, messages, or what they are about.
    """
    query = (
        select(_n, func.coalesce(_d.c.due, "").label("wave"))
        .outerjoin(_d, _d.c.id == _n.c.delivery_id)
        .where(_n.c.state.in_(states))
        .order_by(_n.c.at, _n.c.about, _n.c.id)
    )
    if ids:
        query = query.where(_n.c.id.in_(ids) | _n.c.message.in_(ids) | _n.c.about.in_(ids))
    return list(conn.execute(query))


def put(conn: Connection, ids: Sequence[str], **fields: Any) -> None:
    """Change columns of notices that are still open; what was acknowledged or closed meanwhile stays so."""
    wanted = among(conn, _n.c.id, ids) & _n.c.state.in_(OPEN)
    conn.execute(update(_n).where(wanted).values(**fields))
