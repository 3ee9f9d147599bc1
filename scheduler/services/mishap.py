"""What may befall a sender, at a chosen point: for rehearsals and tests, never live."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

# As a wave comes by them: inside the gate's transaction, after its commit, before and after the last look,
# and once the first request is begun.
POINTS = ("gating", "gate", "look", "looked", "burst")


@dataclass(frozen=True, slots=True)
class Mishap:
    """`crash_after` so many requests were begun, daemon and sender are killed, as by a power failure.

    `stop_at`: the sender stops itself (SIGSTOP) at that point; who rehearses lets it go on (SIGCONT).
    `unfenced`: without its fence, to show what that is good for.
    """

    crash_after: int = 0
    stop_at: str = ""
    unfenced: bool = False

    def reached(self, point: str) -> None:
        """The sender is at this point of `POINTS`."""
        if point == self.stop_at:
            os.kill(os.getpid(), signal.SIGSTOP)

    def begun(self, requests: int) -> None:
        """So many requests have been begun."""
        if requests == 1:
            self.reached("burst")
        if self.crash_after and requests >= self.crash_after:
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    @property
    def watches(self) -> bool:
        """Whether it wants to be told of each request: a volley without it is left alone."""
        return bool(self.crash_after) or self.stop_at == "burst"
