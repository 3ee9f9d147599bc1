"""TLS: only whom we trust, in certain knowledge that nothing was sent to anybody else."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator

import pytest

from scheduler.domain.publisher import Reply, Request
from scheduler.errors import NotSent, OutcomeUnknown
from scheduler.transport.http import Transport
from scheduler.transport.volley import Shot, Volley

from .hostile import (
    AUTHORITY,
    ELSEWHERE,
    LOOPBACK,
    HostileServer,
    Serve,
    answering,
    ok,
    reset,
    resetting_after_request,
    resetting_at_once,
)


@pytest.fixture
def trusting() -> Iterator[Transport]:
    made = Transport(ca=str(AUTHORITY))
    yield made
    made.close()


def send(transport: Transport, server: HostileServer, body: bytes = b"{}") -> Reply:
    return transport.http(server.url, "canary-token-1").send(Request("POST", f"{server.url}/x", (), body))


def test_a_private_authority_named_in_accounts_is_trusted(trusting: Transport, serve: Serve) -> None:
    assert send(trusting, serve(answering(ok()), certificate=LOOPBACK)).status == 200


def test_a_large_body_and_a_large_reply_pass_through_tls(trusting: Transport, serve: Serve) -> None:
    server = serve(answering(ok(b"y" * 3_000_000)), certificate=LOOPBACK)
    assert len(send(trusting, server, b"x" * 3_000_000).body) == 3_000_000
    assert server.requests[0].endswith(b"x" * 3_000_000)


def test_an_authority_we_do_not_know_gets_nothing(transport: Transport, serve: Serve) -> None:
    server = serve(answering(ok()), certificate=LOOPBACK)
    with pytest.raises(NotSent) as refused:
        send(transport, server)
    assert refused.value.code == "tls"
    assert "certificate" in refused.value.detail
    assert server.requests == []


def test_a_certificate_for_another_name_gets_nothing(trusting: Transport, serve: Serve) -> None:
    server = serve(answering(ok()), certificate=ELSEWHERE)
    with pytest.raises(NotSent, match="tls"):
        send(trusting, server)
    assert server.requests == []


def test_a_server_that_does_not_speak_tls_gets_nothing(trusting: Transport, serve: Serve) -> None:
    def plain(server: HostileServer, connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(ok())

    server = serve(plain)
    url = server.url.replace("http://", "https://")
    with pytest.raises(NotSent, match="tls"):
        trusting.http(url, "canary-token-1").send(Request("POST", f"{url}/x"))


def test_a_reset_in_the_handshake_is_certainly_not_sent(trusting: Transport, serve: Serve) -> None:
    server = serve(resetting_at_once)
    url = server.url.replace("http://", "https://")
    with pytest.raises(NotSent):
        trusting.http(url, "canary-token-1").send(Request("POST", f"{url}/x"))


def test_a_reset_after_the_request_is_unknown(trusting: Transport, serve: Serve) -> None:
    with pytest.raises(OutcomeUnknown):
        send(trusting, serve(resetting_after_request, certificate=LOOPBACK))


def shots(server: HostileServer, count: int) -> list[Shot]:
    request = Request("POST", f"{server.url}/x", (), b"{}")
    return [Shot(str(n), request, server.url, "canary-token-1") for n in range(count)]


def test_a_volley_over_tls_is_answered_and_counts_tickets_as_life(trusting: Transport, serve: Serve) -> None:
    server = serve(answering(ok()), certificate=LOOPBACK)
    volley = Volley(trusting, shots(server, 8))
    assert volley.connect(time.time() + 30) == {}
    # TLS 1.3 servers send session tickets unasked: wait until every socket is readable because of them.
    for exchange in volley._ready.values():
        assert select.select([exchange.sock], [], [], 10)[0]
    assert volley.dead() == []
    fired = volley.fire([str(n) for n in range(8)], time.time(), now=time.time, last_look=lambda: True)
    assert len(fired.ended) == 8
    outcomes = dict(volley.replies(30))
    assert {o.status for o in outcomes.values() if isinstance(o, Reply)} == {200}
    assert len(outcomes) == 8
    volley.close()


def test_a_volley_names_those_it_does_not_trust(transport: Transport, serve: Serve) -> None:
    server = serve(answering(ok()), certificate=LOOPBACK)
    volley = Volley(transport, shots(server, 3))
    failed = volley.connect(time.time() + 30)
    assert {i: e.code for i, e in failed.items()} == {"0": "tls", "1": "tls", "2": "tls"}
    volley.close()


def test_a_large_request_in_a_tls_volley_arrives_whole(trusting: Transport, serve: Serve) -> None:
    server = serve(answering(ok()), certificate=LOOPBACK)
    body = bytes(range(256)) * 8192
    volley = Volley(trusting, [Shot("big", Request("POST", f"{server.url}/x", (), body), server.url, "t")])
    volley.connect(time.time() + 30)
    assert set(volley.fire(["big"], time.time(), now=time.time, last_look=lambda: True).ended) == {"big"}
    assert [o.status for _, o in volley.replies(30) if isinstance(o, Reply)] == [200]
    assert server.requests[0].endswith(body)
    volley.close()


def test_a_tls_connection_reset_before_t0_is_certainly_not_sent(trusting: Transport, serve: Serve) -> None:
    def leave(server: HostileServer, connection: socket.socket) -> None:
        server.release.wait()
        reset(connection)

    server = serve(leave, certificate=LOOPBACK)
    volley = Volley(trusting, shots(server, 1))
    assert volley.connect(time.time() + 30) == {}
    server.release.set()
    assert server.struck.acquire(timeout=10)
    fired = volley.fire(["0"], time.time(), now=time.time, last_look=lambda: True)
    assert fired.not_sent["0"].code == "connection_died"
    assert fired.started == {}
    volley.close()
