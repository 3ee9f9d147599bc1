"""The one clock that decides. A simulation may move it to launch day; live never."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from scheduler.errors import UsageError
from scheduler.store import desk
from scheduler.store.database import Database


@dataclass(frozen=True, slots=True)
class Reading:
    """The machine's three clocks at one moment, in seconds: wall (Unix), awake time, time since boot."""

    wall: float
    monotonic: float
    boottime: float

    def __str__(self) -> str:
        return f"{self.wall!r}/{self.monotonic!r}/{self.boottime!r}"

    @classmethod
    def parse(cls, text: str) -> Reading:
        """As `str` writes it. Raises ValueError."""
        wall, monotonic, boottime = (float(word) for word in text.split("/"))
        return cls(wall, monotonic, boottime)


def since_boot() -> float:
    """Seconds since the machine started, sleep included (where a system cannot say, sleep is left out)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(slots=True)
class Clock:
    """`wall` is the machine's clock; `now` is the launch's (the same unless a simulation moved it)."""

    offset: timedelta = timedelta(0)
    source: Callable[[], float] = field(default=time.time)
    monotonic: Callable[[], float] = field(default=time.monotonic)
    boottime: Callable[[], float] = field(default=since_boot)

    def reading(self) -> Reading:
        """All three clocks, to be compared with a later reading."""
        return Reading(self.source(), self.monotonic(), self.boottime())

    def wall(self) -> datetime:
        """The machine's clock, UTC."""
        return datetime.fromtimestamp(self.source(), UTC)

    def now(self) -> datetime:
        """The launch's clock, UTC."""
        return self.wall() + self.offset

    def seconds(self) -> float:
        """The launch's clock in Unix seconds, for the volley's last milliseconds."""
        return self.source() + self.offset.total_seconds()

    def follow(self, db: Database) -> None:
        """Take the offset that the database holds (another process may have moved it)."""
        with db.read() as conn:
            self.offset = desk.offset(conn)


def launch_in(db: Database, clock: Clock, launch: datetime, delay: timedelta) -> None:
    """Move a simulation's clock so that `launch` comes after `delay`.

    Raises UsageError for a live database, and where this simulation's launch has happened already.
    """
    target = launch - delay
    if target < clock.now() and clock.now() >= launch and clock.offset:
        raise UsageError(
            "the launch of this simulation has happened already",
            help="delete .launchday/simulation to begin again, or give launchday rehearse",
        )
    move_to(db, clock, target)


def move_to(db: Database, clock: Clock, target: datetime) -> None:
    """Let a simulation's clock say `target` now. Raises UsageError for a live database."""
    if db.mode == "live":
        raise UsageError(
            "--launch-in moves the clock, and a live launch keeps its time", help="use launchday move"
        )
    offset = target - clock.wall()
    with db.write() as conn:
        # A crash here leaves the old offset: the launch is simply as far away as before.
        desk.set_offset(conn, offset)
    clock.follow(db)
