"""How long things take and how early they begin: one table for live, one for simulations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Timing:
    """Spans of a launch. `settle` is how long a platform may take to show a post it has accepted."""

    arm_lead: timedelta
    connect_lead: timedelta
    reply_within: timedelta
    settle: timedelta
    look_every: timedelta
    soon: timedelta

    def gate_lead(self, deliveries: int) -> timedelta:
        """How long before T0 the gate begins: one commit plus 0.1 ms a delivery, under a second.

        Measured: 5,000 rows in about 0.3 s on a shared two-core machine.
        """
        return timedelta(seconds=min(0.95, 0.25 + 0.00014 * deliveries))


LIVE = Timing(
    arm_lead=timedelta(seconds=60),
    connect_lead=timedelta(seconds=5),
    reply_within=timedelta(seconds=30),
    settle=timedelta(seconds=120),
    look_every=timedelta(seconds=10),
    soon=timedelta(seconds=20),
)

SIMULATION = Timing(
    arm_lead=timedelta(seconds=6),
    connect_lead=timedelta(seconds=2),
    reply_within=timedelta(seconds=3),
    settle=timedelta(seconds=2),
    look_every=timedelta(seconds=1),
    soon=timedelta(seconds=3),
)
