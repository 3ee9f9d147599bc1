"""The volley: everything ready beforehand, every first byte right after T0, replies afterwards.

One thread writes. Nothing is logged, stored or allocated at length between the last look and the
last byte. Connections are opened shortly before, held unused, and used once.
"""

from __future__ import annotations

import gc
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from scheduler.domain.publisher import Reply, Request
from scheduler.errors import NotSent, PublishError
from scheduler.transport.connect import Opening
from scheduler.transport.exchange import FIRST_PIECE, WOULD_BLOCK, Exchange, died, spoke
from scheduler.transport.http import Transport
from scheduler.transport.room import make_room
from scheduler.transport.wire import Origin, serialise

_PEEK = 0.015  # seconds before `at`: which connections have died
_LOOK = 0.005  # seconds before `at`: the last look
_SPIN = 0.002  # seconds before `at`: no more sleeping, the kernel wakes us too late
_STALE = 0.25  # seconds that a last look is good for
_NAP = 0.25  # seconds at most in one sleep, so that a stepped clock is noticed


@dataclass(frozen=True, slots=True)
class Shot:
    """One delivery's publishing request. `token` is never shown."""

    id: str
    request: Request = field(repr=False)
    base_url: str
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Fired:
    """What was written. Times are in the clock that `fire` was given (unix seconds).

    `held`: the last look said stop, not one byte was written. `started` and `ended`: when the first
    write of an id began, and when its last byte was handed over (absent: not all of it was; it is
    among the replies as a timeout or a lost connection). `not_sent`: not one byte of these was
    handed over. Every id fired is in exactly one of `started` and `not_sent`, unless held.
    """

    held: bool
    started: Mapping[str, float] = field(default_factory=dict)
    ended: Mapping[str, float] = field(default_factory=dict)
    not_sent: Mapping[str, NotSent] = field(default_factory=dict)

    @property
    def first(self) -> float | None:
        """When the first write began."""
        return min(self.started.values(), default=None)

    @property
    def last(self) -> float | None:
        """When the last byte was handed over."""
        return max(self.ended.values(), default=None)


class Volley:
    """The deliveries of one wave, from ready bytes to replies: connect, fire, replies, close.

    A shot that cannot be put into bytes costs that shot: `connect` reports it as NotSent.
    """

    def __init__(self, transport: Transport, shots: Sequence[Shot]) -> None:
        self._transport = transport
        self._shots = {shot.id: shot for shot in shots}
        if len(self._shots) != len(shots):
            raise ValueError("two shots of one volley have the same id")
        self._data: dict[str, bytes] = {}
        self._origins: dict[str, Origin] = {}
        self._unsendable: dict[str, NotSent] = {}
        self._ready: dict[str, Exchange] = {}
        self._flying: dict[str, Exchange] = {}
        self._fired: set[str] = set()  # never again, whatever became of them
        for shot in shots:
            try:
                self._origins[shot.id] = _pinned(shot)
                self._data[shot.id] = serialise(shot.request, shot.token)
            except NotSent as error:
                self._unsendable[shot.id] = error
        self._failed = dict(self._unsendable)

    def connect(self, by: float) -> dict[str, NotSent]:
        """Open what is not open, and again what has died since; until `by` (the transport's clock).

        Returns the ids that have no connection, each with its reason; one that was fired is not opened
        again. Raises LaunchdayError where the system allows too few open files.
        """
        for shot_id in self.dead():
            self._ready.pop(shot_id).close()
        todo = [i for i in self._data if i not in self._ready and i not in self._fired]
        make_room(len(self._data))
        openings = {shot_id: Opening() for shot_id in todo}
        self._open(openings, by)
        failed = dict(self._unsendable)
        for shot_id, opening in openings.items():
            try:
                sock = opening.take(by - self._transport.now())
            except NotSent as error:
                failed[shot_id] = error
                continue
            shot = self._shots[shot_id]
            self._ready[shot_id] = Exchange(
                sock,
                self._data[shot_id],
                shot.request.method,
                where=str(self._origins[shot_id]),
                token=shot.token,
            )
        self._failed = failed
        return dict(failed)

    def _open(self, openings: Mapping[str, Opening], by: float) -> None:
        """Start threads, each server its own: one that does not answer holds up only itself."""
        queues: dict[Origin, deque[str]] = {}
        for shot_id in openings:
            queues.setdefault(self._origins[shot_id], deque()).append(shot_id)
        dialer, limit, now = self._transport.dialer, self._transport.timeouts.connect, self._transport.now

        def work(origin: Origin, queue: deque[str]) -> None:
            while queue:
                try:
                    opening = openings[queue.popleft()]
                except IndexError:
                    return  # another thread took the last one
                opening.run(lambda: dialer.dial(origin, min(limit, by - now())))

        share = max(2, 64 // max(1, len(queues)))
        for origin, queue in queues.items():
            for _ in range(min(share, len(queue))):
                with suppress(RuntimeError):  # no more threads: those that run do the work of all
                    threading.Thread(target=work, args=(origin, queue), daemon=True, name="connect").start()

    def dead(self) -> list[str]:
        """Ids whose connection has been closed or reset by the peer while it waited. Cheap."""
        gone = died(exchange.sock for exchange in self._ready.values())
        return [i for i, exchange in self._ready.items() if exchange.sock.fileno() in gone]

    def fire(
        self,
        ids: Sequence[str],
        at: float,
        *,
        now: Callable[[], float],
        last_look: Callable[[], bool],
        after_each: Callable[[int], None] | None = None,
    ) -> Fired:
        """Wait for `at`, look once more, and write every id's request; never before `at` by `now`.

        `last_look` is asked some 5 ms before `at`; False = stop, nothing is written. `after_each` is
        given the number of requests begun so far. Ids without a connection are `not_sent`. Returns
        once every byte is handed over, at most `timeouts.finish` seconds after the first pass.
        A crash before this returns leaves attempts open whose request may be out.
        """
        not_sent = {i: self._not_ready(i) for i in ids if i not in self._ready}
        not_sent |= {i: _spoke_first() for i in self._spoken() if i in ids}
        _sleep_until(at - _PEEK, now)
        dead = set(self.dead())
        not_sent |= {i: self._ready[i].gone() for i in ids if i in dead and i not in not_sent}
        burst = {i: self._ready[i] for i in ids if i not in not_sent}
        collecting = gc.isenabled()
        gc.disable()
        try:
            _sleep_until(at - _LOOK, now)
            if not last_look():
                return Fired(held=True)
            # From here on they count as fired, even if the burst is broken off by an exception.
            self._flying |= burst
            self._fired |= burst.keys()
            for shot_id in burst:
                del self._ready[shot_id]
            started, ended, failed = self._burst(burst, at, now, after_each)
        finally:
            if collecting:
                gc.enable()
        for shot_id in failed:
            self._flying.pop(shot_id).close()
            self._fired.discard(shot_id)
        self._finish([i for i in started if i not in ended], ended, now)
        return Fired(False, started, ended, not_sent | failed)

    def _spoken(self) -> list[str]:
        """Ids whose server has answered before it was asked; their connections are closed."""
        early = spoke(exchange.sock for exchange in self._ready.values())
        found = [i for i, exchange in self._ready.items() if exchange.sock.fileno() in early]
        for shot_id in found:
            self._ready.pop(shot_id).close()
        return found

    def _not_ready(self, shot_id: str) -> NotSent:
        return self._failed.get(shot_id) or NotSent("no_connection", "there was no connection at T0")

    @staticmethod
    def _burst(
        burst: Mapping[str, Exchange],
        at: float,
        now: Callable[[], float],
        after_each: Callable[[int], None] | None,
    ) -> tuple[dict[str, float], dict[str, float], dict[str, NotSent]]:
        """The first pass: one write per connection, in the order given."""
        started: dict[str, float] = {}
        ended: dict[str, float] = {}
        failed: dict[str, NotSent] = {}
        # Everything a write needs is looked up now: the loop below is what T0 waits for.
        ready = [(i, e, e.sock.send, e.data[:FIRST_PIECE], len(e.data)) for i, e in burst.items()]
        stale = time.monotonic() + _STALE
        while (left := at - now()) > 0:
            if left > _SPIN:
                time.sleep(min(left - _SPIN, _LOOK))
            if time.monotonic() > stale:  # set back: by the time T0 comes, the last look is an old one
                return {}, {}, {i: _stepped() for i in burst}
        for shot_id, exchange, send, piece, whole in ready:
            begun = now()
            if begun < at:  # the clock was set back in the middle of the burst
                failed[shot_id] = _stepped()
                continue
            try:
                sent = exchange.sent = send(piece)
            except WOULD_BLOCK:
                sent = 0  # TLS may have handed over a part of a record: it counts as begun
            except OSError:
                failed[shot_id] = exchange.gone()
                continue
            started[shot_id], exchange.begun = begun, True
            if sent == whole:
                ended[shot_id] = now()
            if after_each is not None:
                after_each(len(started))
        return started, ended, failed

    def _finish(self, rest: Sequence[str], ended: dict[str, float], now: Callable[[], float]) -> None:
        """Write what did not fit the socket buffers, all of them side by side."""
        end = time.monotonic() + self._transport.timeouts.finish
        with selectors.DefaultSelector() as selector:
            for shot_id in rest:
                selector.register(self._flying[shot_id].sock, selectors.EVENT_WRITE, shot_id)
            while selector.get_map() and (left := end - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    exchange = self._flying[key.data]
                    exchange.push()
                    if exchange.written:
                        selector.unregister(key.fileobj)
                        if not exchange.stuck:
                            ended[key.data] = now()
        # What could not be written by now must not leave later either: no more writing.
        for shot_id in rest:
            self._flying[shot_id].stuck = self._flying[shot_id].sent < len(self._data[shot_id])

    def replies(self, within: float) -> Iterator[tuple[str, Reply | PublishError]]:
        """Every started id once, as its reply comes; never blocks longer than `within` seconds.

        Values are a Reply or an OutcomeUnknown, which is also what those get that have not answered
        in time. Never raises.
        """
        end = time.monotonic() + within
        with selectors.DefaultSelector() as selector:
            for shot_id, exchange in self._flying.items():
                selector.register(exchange.sock, selectors.EVENT_READ, shot_id)
            late = False
            while self._flying and not late:
                left = end - time.monotonic()
                late = left <= 0  # a last sweep of what has arrived, then no more
                for key, _ in selector.select(max(0.0, left)):
                    outcome = self._flying[key.data].pull()
                    if outcome is not None:
                        selector.unregister(key.fileobj)
                        self._flying.pop(key.data).close()
                        yield key.data, outcome
        for shot_id in list(self._flying):
            exchange = self._flying.pop(shot_id)
            exchange.close()
            yield shot_id, exchange.timed_out()

    def close(self) -> None:
        """Close every connection; harmless a second time."""
        for exchange in (*self._ready.values(), *self._flying.values()):
            exchange.close()
        self._ready.clear()
        self._flying.clear()


def _pinned(shot: Shot) -> Origin:
    """Where the shot goes; its token must not reach another host than its account's."""
    origin, home = Origin.of(shot.request.url), Origin.of(shot.base_url)
    if origin != home:
        raise NotSent("foreign_host", f"{origin} is not {home}, where the token belongs")
    return origin


def _spoke_first() -> NotSent:
    return NotSent("spoke_first", "the server answered before it was asked anything")


def _stepped() -> NotSent:
    return NotSent("clock_stepped", "the clock went back over T0 after the last look")


def _sleep_until(instant: float, now: Callable[[], float]) -> None:
    while (left := instant - now()) > 0:
        time.sleep(min(left, _NAP))
