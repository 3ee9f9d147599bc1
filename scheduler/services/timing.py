"""How long things take and how early they begin: one table for live, one for simulations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

_LONGEST = 0.95  # seconds
_BESIDES = 0.2  # seconds for what a wave of any size needs: the last look, a warm connection, a busy moment


@dataclass(frozen=True, slots=True)
class Timing:
    """Spans of a launch.

    `arm_lead` and `arm_each`: a wave is armed that long before T0, and so much more for each delivery.
    `connect_lead` and `connect_each`: the same for opening its connections.
    `settle`: how long a platform may take to show a post it has accepted.
    `read_after`: a post is first read back so long after its receipt, then with growing pauses up to
    `read_every`; not to be seen for `vanished` is no lag any more; where the platform cannot say, reading
    back ends after `read_for`. `remove_for`: so long a removal is tried before a person is asked.
    """

    arm_lead: timedelta
    arm_each: timedelta
    connect_lead: timedelta
    connect_each: timedelta
    reply_within: timedelta
    settle: timedelta
    look_every: timedelta
    soon: timedelta
    read_after: timedelta = timedelta(seconds=10)
    read_every: timedelta = timedelta(hours=1)
    vanished: timedelta = timedelta(minutes=10)
    read_for: timedelta = timedelta(hours=24)
    remove_for: timedelta = timedelta(minutes=10)

    def arming(self, deliveries: int) -> timedelta:
        """How long before T0 arming begins for a wave of so many deliveries."""
        return self.arm_lead + self.arm_each * deliveries

    def connecting(self, deliveries: int) -> timedelta:
        """How long before T0 connections are opened.

        Measured: 2.5 ms of CPU for each TLS connection, and 5,000 cannot be had in five seconds.
        """
        return self.connect_lead + self.connect_each * deliveries

    def gate_lead(self, deliveries: int) -> timedelta:
        """How long before T0 the gate begins: one commit and 0.5 ms a delivery, under a second.

        Measured on two cores: 5,000 deliveries in 0.5 s (SQLite). A gate that takes longer makes the wave
        late by the rest, never early.
        """
        return timedelta(seconds=min(_LONGEST, 0.25 + 0.0005 * deliveries))

    def foreseen_lead(self, took: float, disk: float) -> timedelta:
        """The same for a gate that was foreseen in `took` seconds; `disk`: seconds for writing as much.

        Writing takes half as long as foreseeing (measured); the disk is asked three times (journal, database,
        high-water mark). Where it has to ask everything anew after all, the wave is late by the rest.
        """
        return timedelta(seconds=min(_LONGEST, _BESIDES + 0.7 * took + 4 * disk))


LIVE = Timing(
    arm_lead=timedelta(seconds=60),
    arm_each=timedelta(milliseconds=100),
    connect_lead=timedelta(seconds=5),
    connect_each=timedelta(milliseconds=4),
    reply_within=timedelta(seconds=30),
    settle=timedelta(seconds=120),
    look_every=timedelta(seconds=10),
    soon=timedelta(seconds=20),
)

SIMULATION = Timing(
    arm_lead=timedelta(seconds=8),
    arm_each=timedelta(milliseconds=20),
    connect_lead=timedelta(seconds=1),
    connect_each=timedelta(milliseconds=1),
    reply_within=timedelta(seconds=3),
    settle=timedelta(seconds=2),
    look_every=timedelta(seconds=1),
    soon=timedelta(seconds=3),
    read_after=timedelta(seconds=1),
    read_every=timedelta(seconds=5),
    vanished=timedelta(seconds=6),
    read_for=timedelta(seconds=60),
    remove_for=timedelta(seconds=8),
)
