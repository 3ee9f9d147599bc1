"""Whether this machine's clock is wrong, judged by what servers say the time is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALLOWED = 2.0  # seconds (architecture §7)


@dataclass(frozen=True, slots=True)
class Reading:
    """How many seconds this machine's clock is ahead of a server's: at least `low`, at most `high`.

    A Date has whole seconds, and the reply took its time: nobody can say more exactly.
    """

    server: str
    low: float
    high: float

    @property
    def middle(self) -> float:
        """The best guess, in seconds."""
        return (self.low + self.high) / 2


@dataclass(frozen=True, slots=True)
class Skew:
    """The clock is wrong by about `seconds` (positive: ahead), as these servers say."""

    seconds: float
    servers: tuple[str, ...]
    everyone: bool

    @property
    def sentence(self) -> str:
        """For people. Whole seconds, so that it stays the same while nothing changes."""
        way = "ahead of" if self.seconds > 0 else "behind"
        return f"this machine's clock is about {abs(self.seconds):.0f} s {way} {', '.join(self.servers)}"


def skew(readings: Sequence[Reading]) -> Skew | None:
    """What the servers' clocks say of ours, None where it may be right.

    Two servers that agree, and more than half of those that were seen, stop everyone: then it is we who are
    wrong. One server that differs from others is wrong itself, and stops nobody. One that is the only one
    stops what is bound for it: nothing says that it lies, and a post at a wrong minute cannot be taken back.
    """
    for side in ([r for r in readings if r.low > ALLOWED], [r for r in readings if r.high < -ALLOWED]):
        if side and (len(readings) == 1 or len(side) >= 2) and len(side) * 2 > len(readings):
            middle = sorted(r.middle for r in side)[len(side) // 2]
            return Skew(middle, tuple(sorted(r.server for r in side)), everyone=len(side) >= 2)
    return None
