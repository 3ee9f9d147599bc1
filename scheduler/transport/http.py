"""The restricted transport that publishers are given: one host, one token, one deadline.

Each request has a connection of its own (a reused keep-alive connection was reset on 7 of 30 POSTs
by one real server). Nothing is retried and no redirect is followed: a 3xx is a reply like any other
(a 307 once carried body and API key to another host). Writing and reading never block, so the total
deadline holds against a server that trickles (a `timeout=2` took 7.2 s).
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable
from functools import lru_cache

from scheduler.domain.publisher import Http, Reply, Request
from scheduler.errors import NotReady, NotSent, OutcomeUnknown
from scheduler.transport.connect import Dialer, Timeouts, open_within
from scheduler.transport.exchange import Exchange, died
from scheduler.transport.wire import Origin, serialise

_origin = lru_cache(maxsize=256)(Origin.of)  # a wave asks for each of its servers thousands of times


class Transport:
    """What all accounts of a process share: trusted certificates, proxy, timeouts, clock.

    `proxy` and `ca` are those of accounts.yaml ("" = none); `now` is the clock in which deadlines are
    given (unix seconds; a rehearsal shifts it). Threads may share it. Raises UsageError where proxy
    or ca cannot be used.
    """

    def __init__(
        self,
        *,
        proxy: str = "",
        ca: str = "",
        timeouts: Timeouts | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.dialer = Dialer(proxy, ca)
        self.timeouts = timeouts or Timeouts()
        self.now = now
        self.stopped = threading.Event()

    def http(
        self, base_url: str, token: str = "", *, deadline: float | None = None, public_only: bool = False
    ) -> Http:
        """The transport of one account, pinned to the scheme, host and port of `base_url`.

        `deadline`: unix seconds in `now`'s clock, after which nothing is sent and waiting ends with
        NotReady (None = only the timeouts hold). `public_only`: nothing is sent to an address of this
        machine or its network, whatever name led there. Raises NotSent for an address we refuse.
        """
        return _Pinned(self, _origin(base_url), token, deadline, public_only)

    def close(self) -> None:
        """End all waiting (NotReady) and forget the pools; harmless a second time."""
        self.stopped.set()
        self.dialer.close()


class _Pinned:
    """`Http` for one account. Never shows its token, not even in its repr."""

    __slots__ = ("_deadline", "_origin", "_public_only", "_token", "_transport")

    def __init__(
        self, transport: Transport, origin: Origin, token: str, deadline: float | None, public_only: bool
    ) -> None:
        self._public_only = public_only
        self._transport = transport
        self._origin = origin
        self._token = token
        self._deadline = deadline

    def __repr__(self) -> str:
        return f"<Http of {self._origin}>"

    def send(self, request: Request, *, authorise: bool = True) -> Reply:
        """Send on a fresh connection and read the whole reply, whatever its status.

        Another host than the account's own is refused unless `authorise=False`, and never gets the
        token. Raises NotSent (before the first byte) or OutcomeUnknown (anything after it).
        """
        origin = Origin.of(request.url)
        if authorise and origin != self._origin:
            raise NotSent("foreign_host", f"{origin} is not {self._origin}, where the token belongs")
        token = self._token if authorise else ""
        data = serialise(request, token)
        total = min(self._transport.timeouts.total, self._left())
        if total <= 0:
            raise NotSent("deadline", "the time for preparing is over")
        end = time.monotonic() + total
        sock = open_within(self._transport.dialer, origin, min(total, self._transport.timeouts.connect))
        # The token is scrubbed from a foreign host's reply too: it might know it from elsewhere.
        exchange = Exchange(sock, data, request.method, where=str(origin), token=self._token)
        try:
            if self._public_only:
                self._transport.dialer.must_be_public(sock, origin)
            return _converse(exchange, end)
        finally:
            exchange.close()

    def wait(self, seconds: float) -> None:
        """Wait before asking again. Raises NotReady where the deadline comes first."""
        left = self._left()
        stopped = self._transport.stopped.wait(max(0.0, min(seconds, left)))
        if stopped or seconds >= left:
            raise NotReady("deadline", f"{self._origin} was not ready in time")

    def _left(self) -> float:
        """Seconds until the deadline; infinite where there is none."""
        return float("inf") if self._deadline is None else self._deadline - self._transport.now()


def _converse(exchange: Exchange, end: float) -> Reply:
    """Write and read until the reply is whole; `end` in seconds of the monotonic clock."""
    poll = select.poll()
    if died([exchange.sock]):
        raise exchange.gone()
    while True:
        # Reading goes on while we write: a server may refuse a large picture half-way.
        poll.register(exchange.sock, select.POLLIN | (0 if exchange.written else select.POLLOUT))
        left = end - time.monotonic()
        if left <= 0:
            raise exchange.timed_out()
        ready = poll.poll(left * 1000)
        if ready and not exchange.written:
            exchange.push()
        # POLLOUT alone says nothing about reading, but asking is harmless on a non-blocking socket.
        outcome = exchange.pull() if ready else None
        if isinstance(outcome, OutcomeUnknown):
            raise outcome
        if outcome is not None:
            return outcome
