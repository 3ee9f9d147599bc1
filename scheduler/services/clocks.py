"""Asking servers for the time, and the kernel for whether anything keeps this machine's clock right."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from email.utils import parsedate_to_datetime

from scheduler.domain.publisher import Reply, Request
from scheduler.domain.skew import Reading
from scheduler.errors import PublishError
from scheduler.transport.http import Transport

MOST = 24  # servers: more would say nothing new
PATIENCE = 5.0  # seconds
_UNSYNCHRONISED = 0x0040  # STA_UNSYNC of adjtimex(2)

Ask = Callable[[Collection[str], float], Sequence[Reading]]


def read_clocks(
    transport: Transport, now: Callable[[], float], servers: Collection[str], deadline: float
) -> list[Reading]:
    """What each server says the time is, asked without a token; those that do not say in time are left out.

    `now` is the machine's clock in Unix seconds, `deadline` is in the transport's. `servers` are base URLs.
    """

    def one(server: str) -> Reading | None:
        try:
            http = transport.http(server, deadline=min(deadline, transport.now() + PATIENCE))
            sent = now()
            reply = http.send(Request("GET", f"{server}/"), authorise=False)
            return reading(server, reply, sent, now())
        except (PublishError, OSError, ValueError):
            return None  # a clock that cannot be read stops nobody

    asked = sorted(set(servers))[:MOST]
    if not asked:
        return []
    with ThreadPoolExecutor(len(asked), thread_name_prefix="clock") as pool:
        return [found for found in pool.map(one, asked) if found]


def reading(server: str, reply: Reply, sent: float, received: float) -> Reading | None:
    """The reply's Date was a moment between `sent` and `received`, and has lost its fraction of a second."""
    try:
        said = parsedate_to_datetime(reply.headers.get("date", ""))
        date = (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return Reading(server, sent - (date + 1), received - date)


def kept_right() -> tuple[bool, float] | None:
    """Whether a time service keeps this machine's clock right, and how wrong it may be at most, in seconds.

    None where the kernel does not say (another system, a container that refuses to be asked).
    """
    state = ctypes.create_string_buffer(256)  # struct timex, modes 0: nothing is changed
    try:
        said = ctypes.CDLL(None, use_errno=True).adjtimex(state)
    except (OSError, AttributeError):
        return None
    if said < 0:
        return None
    most, _, status = struct.unpack_from("@lli", state.raw, struct.calcsize("@Ill"))
    return not status & _UNSYNCHRONISED, most / 1e6
