"""Late evidence: what was learned of an attempt after its outcome was concluded; rows are only ever added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from scheduler.domain.delivery import AttemptState
from scheduler.domain.publisher import Receipt
from scheduler.store.bulk import among
from scheduler.store.tables import AttemptRow, LateEvidenceRow, table_of

_e = table_of(LateEvidenceRow)
_a = table_of(AttemptRow)


def attempts(conn: Connection, ids: Sequence[str]) -> dict[str, Any]:
    """Attempts by their own id (rows with the columns of AttemptRow)."""
    return {row.id: row for row in conn.execute(select(_a).where(among(conn, _a.c.id, ids))).all()}


def states(conn: Connection, ids: Sequence[str]) -> dict[str, AttemptState]:
    """Only where they stand, by their own id."""
    query = select(_a.c.id, _a.c.state).where(among(conn, _a.c.id, ids))
    return {one: AttemptState(state) for one, state in conn.execute(query).all()}


def add(conn: Connection, row: Mapping[str, Any]) -> None:
    """Keep one piece; the caller appends its log entry and does what follows in the same transaction."""
    conn.execute(insert(_e), [dict(row)])


def receipts(conn: Connection, ids: Sequence[str]) -> dict[str, list[Receipt]]:
    """The platforms' late proofs by delivery id, oldest first: posts that are out whatever the state says."""
    found: dict[str, list[Receipt]] = {}
    wanted = among(conn, _e.c.delivery_id, ids)
    query = select(_e).where(wanted, _e.c.kind == "accepted").order_by(_e.c.at, _e.c.id)
    for row in conn.execute(query):
        found.setdefault(row.delivery_id, []).append(Receipt(row.remote_id, row.url))
    return found


def of(conn: Connection, delivery: str) -> list[Any]:
    """Every piece about one delivery, oldest first (rows with the columns of LateEvidenceRow)."""
    return list(conn.execute(select(_e).where(_e.c.delivery_id == delivery).order_by(_e.c.at, _e.c.id)))
