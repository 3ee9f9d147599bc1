"""What a whole wave stands on, whatever its deliveries: the gate asks this first, in its own transaction."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from scheduler.domain.gates import Gate
from scheduler.services.lease import LOST
from scheduler.store import lease as leases
from scheduler.store.lease import Lease


@dataclass(frozen=True, slots=True)
class Ground:
    """`lease`: under which the sender was started (None: started by hand, under nobody's)."""

    lease: Lease | None = None

    @property
    def epoch(self) -> int:
        """What attempts store: the epoch of the lease, 0 without one."""
        return self.lease.epoch if self.lease else 0

    def stops(self, conn: Connection) -> tuple[Gate, ...]:
        """Every reason why nothing at all may go, read in the caller's transaction."""
        found: list[Gate] = []
        if self.lease and not leases.stands(conn, self.lease):
            found.append(LOST)
        return tuple(found)
