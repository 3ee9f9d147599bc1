"""Leases: who may publish for a scope; every taking advances an epoch that senders must name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, or_, select, true, update

from scheduler.domain.content import instant
from scheduler.store.lock import HOST
from scheduler.store.tables import LeaseRow, table_of

_l = table_of(LeaseRow)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to publish for `scope` (`""` = every organisation), the `epoch`-th time it was taken."""

    scope: str
    epoch: int

    def __str__(self) -> str:
        return f"{self.scope}:{self.epoch}"

    @classmethod
    def parse(cls, text: str) -> Lease:
        """As `str` writes it. Raises ValueError."""
        scope, _, epoch = text.rpartition(":")
        return cls(scope, int(epoch))


def take(conn: Connection, now: datetime, scope: str) -> Lease:
    """Take the scope. Every lease that overlaps it ends here: its senders find another epoch and stop."""
    overlapping = _overlaps(scope)
    conn.execute(update(_l).where(overlapping, _l.c.released_at == "").values(released_at=instant(now)))
    conn.execute(update(_l).where(overlapping).values(epoch=_l.c.epoch + 1))
    epoch = conn.execute(select(_l.c.epoch).where(_l.c.scope == scope)).scalar()
    mine = {"holder": f"{HOST} process {os.getpid()}", "taken_at": instant(now), "seen_at": instant(now)}
    if epoch is None:
        conn.execute(insert(_l), {"scope": scope, "epoch": 1, "released_at": "", **mine})
        return Lease(scope, 1)
    conn.execute(update(_l).where(_l.c.scope == scope).values(released_at="", **mine))
    return Lease(scope, int(epoch))


def stands(conn: Connection, lease: Lease) -> bool:
    """Whether nobody has taken it or ended it since."""
    row = conn.execute(select(_l.c.epoch, _l.c.released_at).where(_l.c.scope == lease.scope)).first()
    return row is not None and (row.epoch, row.released_at) == (lease.epoch, "")


def end(conn: Connection, now: datetime, lease: Lease) -> None:
    """Give it back; nothing where it was lost meanwhile."""
    mine = (_l.c.scope == lease.scope) & (_l.c.epoch == lease.epoch)
    conn.execute(update(_l).where(mine).values(released_at=instant(now)))


def holders(conn: Connection, scope: str) -> list[str]:
    """Who is on record for what overlaps the scope: host and process of each."""
    wanted = select(_l.c.holder).where(_overlaps(scope), _l.c.released_at == "").order_by(_l.c.taken_at)
    return [str(name) for name in conn.execute(wanted).scalars()]


def _overlaps(scope: str) -> Any:
    return or_(_l.c.scope == "", _l.c.scope == scope) if scope else true()
