"""The ways to send one wave that are compared. Each prepares, picks T0, sends, reads, and returns T0."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import requests
from requests.adapters import HTTPAdapter

from scheduler.domain.publisher import Reply, Request
from scheduler.transport.http import Transport
from scheduler.transport.room import make_room
from scheduler.transport.volley import Shot, Volley
from scheduler.transport.wire import json_body, serialise

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


Method = Callable[[Wave], float]
"""Sends the wave, reads every reply, returns T0 (unix seconds). Raises where a reply is missing."""


def wave(base_url: str, accounts: int, ready: Callable[[float], None]) -> Wave:
    """Requests like Mastodon's: a status of about 400 bytes of JSON with its key."""
    words = "Worried about your own thoughts or behaviour, or someone else's? Stop It Now is there. "
    made = [
        Request(
            "POST",
            f"{base_url}/api/v1/statuses",
            (("Content-Type", "application/json"), ("Idempotency-Key", f"{number:032x}")),
            json_body({"status": (words * 4)[:330], "visibility": "public", "language": "en", "n": number}),
        )
        for number in range(accounts)
    ]
    return Wave(base_url, made, "bench-token-0123456789abcdef0123456789abcdef", ready)


def raw(wave: Wave) -> float:
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
    return at


def volley(wave: Wave) -> float:
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
    return at


def pool(wave: Wave) -> float:
    """What most schedulers do, at its best: requests with warm connections and 64 threads."""
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
    return at


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


METHODS: dict[str, Method] = {"raw": raw, "volley": volley, "pool": pool}
