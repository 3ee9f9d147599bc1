"""The ways to send one wave that are compared. Each prepares, picks T0, sends, reads, and returns T0."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import requests
from requests.adapters import HTTPAdapter

from scheduler import sender
from scheduler.domain.content import parse_instant
from scheduler.domain.delivery import State
from scheduler.domain.publisher import Prepared, Reply, Request
from scheduler.evidence.entry import ulid
from scheduler.publishers.mastodon import Mastodon
from scheduler.services.ground import Ground
from scheduler.services.mishap import Mishap
from scheduler.store import lock, log, outbox
from scheduler.transport.http import Transport
from scheduler.transport.room import make_room
from scheduler.transport.volley import Shot, Volley
from scheduler.transport.wire import serialise
from scheduler.workers.nursery import Nursery
from scheduler.workers.worker import work
from tests.bench import campaign

_LEAD = 0.1  # seconds from ready to T0
_GRACE = 0.02  # seconds of silence before the server answers a burst


@dataclass(frozen=True, slots=True)
class Wave:
    """What a method sends: one request per account. `ready` is called when everything is prepared.

    Whatever arrives before `ready` returns (warming up, say) is not counted; what arrives later
    counts, even before T0. `ready` takes the seconds of silence after which the server answers:
    0 where the method needs a reply before it sends the next request.
    """

    base_url: str
    requests: Sequence[Request]
    token: str
    ready: Callable[[float], None]


class Sent(NamedTuple):
    """T0 (unix seconds), and how many seconds it took until the last reply was read (or recorded)."""

    at: float
    took: float


Method = Callable[[Wave], Sent]
"""Sends the wave, reads every reply. Raises where a reply is missing."""


def wave(base_url: str, accounts: int, ready: Callable[[float], None]) -> Wave:
    """The requests of the campaign: a Mastodon status of about 400 bytes of JSON with its key."""
    publisher, known = Mastodon(), campaign.directory(accounts, base_url)
    made = [
        publisher.request(Prepared(campaign.content(one), one, {"user": "1", "media": []}), f"{number:032x}")
        for number, one in enumerate(known.accounts)
    ]
    return Wave(base_url, made, campaign.TOKEN, ready)


def raw(wave: Wave) -> Sent:
    """The limit: pre-opened sockets, ready bytes, one loop at T0."""
    address = ("127.0.0.1", int(wave.base_url.rpartition(":")[2]))
    make_room(len(wave.requests))
    data = [serialise(request, wave.token) for request in wave.requests]
    socks = [socket.create_connection(address) for _ in data]
    pairs = list(zip(socks, data, strict=True))
    wave.ready(_GRACE)
    at = time.time() + _LEAD
    time.sleep(_LEAD - 0.002)
    while time.time() < at:
        pass
    for sock, piece in pairs:
        sock.send(piece)
    _read_all(socks)
    return Sent(at, time.time() - at)


def volley(wave: Wave) -> Sent:
    """Ours: what the sender does, from Shot to replies."""
    transport = Transport()
    shots = [Shot(str(n), request, wave.base_url, wave.token) for n, request in enumerate(wave.requests)]
    ours = Volley(transport, shots)
    try:
        failed = ours.connect(time.time() + 60)
        assert not failed, failed
        wave.ready(_GRACE)
        at = time.time() + _LEAD
        fired = ours.fire([shot.id for shot in shots], at, now=time.time, last_look=lambda: True)
        assert len(fired.ended) == len(shots), fired.not_sent
        answers = dict(ours.replies(60))
        assert all(isinstance(a, Reply) and a.status == 200 for a in answers.values())
        assert len(answers) == len(shots)
    finally:
        ours.close()
        transport.close()
    return Sent(at, time.time() - at)


def pool(wave: Wave) -> Sent:
    """The same at its best: one session, warm connections, nothing read from the environment."""
    with requests.Session() as session, ThreadPoolExecutor(64) as threads:
        session.trust_env = False
        session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=64))
        session.headers["Authorization"] = f"Bearer {wave.token}"

        def send(request: Request) -> int:
            return session.post(
                request.url, data=request.body, headers=dict(request.headers), timeout=60
            ).status_code

        list(threads.map(send, wave.requests[:64]))  # opens the connections
        wave.ready(0.0)
        at = time.time() + _LEAD
        time.sleep(max(0.0, at - time.time()))
        assert set(threads.map(send, wave.requests)) == {200}
    return Sent(at, time.time() - at)


def plain(wave: Wave) -> Sent:
    """A plain pool of 64: each thread with a stock session, warm."""
    mine, headers = threading.local(), {"Authorization": f"Bearer {wave.token}"}
    with ThreadPoolExecutor(64) as threads:

        def send(request: Request) -> int:
            if not hasattr(mine, "session"):
                mine.session = requests.Session()
            session: requests.Session = mine.session
            fields = {**dict(request.headers), **headers}
            return session.post(request.url, data=request.body, headers=fields, timeout=60).status_code

        list(threads.map(send, wave.requests[:64]))
        wave.ready(0.0)
        at = time.time()
        assert set(threads.map(send, wave.requests)) == {200}
        return Sent(at, time.time() - at)


class Protocol:
    """The whole protocol: the sender's own launch, with gate, log, last look and settling on a real disk.

    It takes as long as from the beginning of the gate to the last outcome that is committed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, wave: Wave) -> Sent:
        """Send the wave as a sender does once it has armed it."""
        opened = partial(campaign.opened, self._folder, len(wave.requests), wave.base_url)
        with Nursery(work) as nursery, opened() as app:
            ready = campaign.armed(app)
            span = app.timing.connecting(len(ready)) + timedelta(seconds=0.2)
            reach, number = app.reach(nursery), ulid(app.clock.wall())
            volley = Volley(reach.transport, [a.shot for a in ready])
            wave.ready(_GRACE)
            app.clock.offset = campaign.LAUNCH - span - app.clock.wall()
            try:
                with lock.Lock(app.folder / "senders" / f"{number}.lock", "this sender runs"):
                    what = sender.Wave(number, campaign.LAUNCH, ready, (), Ground())
                    assert sender.launch(app, reach, volley, what, Mishap()) == 0
                ended = app.clock.now()
            finally:
                volley.close()
                reach.close()
            with app.db.read() as conn:
                assert outbox.counts(conn) == {State.PUBLISHED: len(ready)}
                (first,) = outbox.attempts_of(conn, [ready[0].delivery.id])[ready[0].delivery.id]
                log.verify(conn)
            took = ended - parse_instant(first.intent_at)
            return Sent((campaign.LAUNCH - app.clock.offset).timestamp(), took.total_seconds())


def _read_all(socks: Sequence[socket.socket]) -> None:
    """Read every connection to its end and close it."""
    poll = select.poll()
    left = {sock.fileno(): sock for sock in socks}
    for sock in socks:
        poll.register(sock, select.POLLIN)
    while left:
        for number, _ in poll.poll(60_000):
            if not left[number].recv(65536):
                poll.unregister(number)
                left.pop(number).close()


METHODS: dict[str, Method] = {"raw": raw, "volley": volley, "pool": pool, "plain": plain}
