"""Every way a request of prepare or find can fail: certainly not sent, or unknown, never anything else."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from scheduler.domain.publisher import Request
from scheduler.errors import NotSent, OutcomeUnknown
from scheduler.transport.connect import Dialer, Opening, Timeouts, open_within
from scheduler.transport.http import Transport
from scheduler.transport.wire import Origin
from tests.cutproxy import CutProxy

from .hostile import (
    HostileServer,
    Serve,
    answering,
    not_reading,
    ok,
    resetting_after_request,
    stalling,
    trickling,
)
from .wave import TOKEN, failure, post


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_refused_connection_is_certainly_not_sent(transport: Transport) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    error = failure(transport, Request("POST", f"{url}/secret-path"), url)
    assert isinstance(error, NotSent)
    assert error.code == "connect_refused"
    assert "secret-path" not in str(error)


def test_a_name_that_does_not_exist_is_certainly_not_sent(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_such_name(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)  # a test asks no name server
    error = failure(transport, Request("POST", "https://no.example/x"), "https://no.example")
    assert isinstance(error, NotSent)
    assert error.code == "dns"


def test_a_name_that_is_never_resolved_does_not_outlast_the_deadline() -> None:
    entered, leave = threading.Event(), threading.Event()

    class StuckResolver(Dialer):
        def dial(self, origin: Origin, seconds: float) -> socket.socket:
            entered.set()
            leave.wait()
            return socket.create_connection((origin.host, origin.port))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        origin = Origin.of(f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(NotSent) as raised:
            open_within(StuckResolver(), origin, 0.05)
        assert raised.value.code == "connect_timeout"
        assert entered.is_set()
        leave.set()
        # The late connection is closed as soon as it exists: the peer sees its end.
        late, _ = listener.accept()
        with late:
            assert late.recv(1) == b""


def test_an_opening_given_up_before_its_turn_opens_nothing() -> None:
    opening, dialled = Opening(), []
    with pytest.raises(NotSent):
        opening.take(0)
    opening.run(lambda: dialled.append(1) or socket.socket())  # type: ignore[func-returns-value]
    assert dialled == []


def test_a_connection_that_ends_without_a_reply_is_unknown(transport: Transport, serve: Serve) -> None:
    server = serve(answering(b""))
    error = failure(transport, post(server), server.url)
    assert isinstance(error, OutcomeUnknown)
    assert error.code == "no_reply"


def test_a_reset_after_the_request_is_unknown(transport: Transport, serve: Serve) -> None:
    server = serve(resetting_after_request)
    error = failure(transport, post(server), server.url)
    assert isinstance(error, OutcomeUnknown)
    assert error.code == "connection_lost"


@pytest.mark.parametrize(
    "reply",
    [
        ok()[:9],
        ok()[:-1],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"not http\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
    ],
)
def test_a_reply_that_is_no_whole_reply_is_unknown(transport: Transport, serve: Serve, reply: bytes) -> None:
    server = serve(answering(reply))
    assert isinstance(failure(transport, post(server), server.url), OutcomeUnknown)


@pytest.mark.parametrize("behaviour", [stalling, trickling])
def test_the_total_time_holds_against_a_server_that_stalls_or_trickles(
    serve: Serve, behaviour: object
) -> None:
    server = serve(behaviour)  # type: ignore[arg-type]
    impatient = Transport(timeouts=Timeouts(total=0.3))
    error = failure(impatient, post(server), server.url)
    assert isinstance(error, OutcomeUnknown)
    assert error.code == "timeout"
    assert len(server.requests) == 1


def test_the_total_time_holds_against_a_server_that_does_not_read(serve: Serve) -> None:
    server = serve(not_reading)
    impatient = Transport(timeouts=Timeouts(total=0.3))
    error = failure(impatient, post(server, bytes(20 << 20)), server.url)
    assert isinstance(error, OutcomeUnknown)
    assert "could not be written whole" in error.detail


def test_a_large_upload_arrives_whole(transport: Transport, serve: Serve) -> None:
    server = serve(answering(ok()))
    body = os.urandom(5 << 20)
    assert transport.http(server.url, TOKEN).send(post(server, body)).status == 200
    assert server.requests[0].endswith(body)


def test_a_refusal_in_the_middle_of_an_upload_is_read(transport: Transport, serve: Serve) -> None:
    def refuse_early(server: HostileServer, connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")
        server.release.wait()

    server = serve(refuse_early)
    assert transport.http(server.url, TOKEN).send(post(server, bytes(20 << 20))).status == 413


@pytest.mark.parametrize("fault", ["drop", "reset", "cut", "half", "kill"])
def test_every_cut_of_the_proxy_is_unknown_and_the_server_knows_the_truth(
    transport: Transport, serve: Serve, fault: str
) -> None:
    server = serve(answering(ok()))
    with CutProxy(("127.0.0.1", server.port), always=fault) as proxy:  # type: ignore[arg-type]
        request = Request("POST", f"{proxy.url}/api/v1/statuses", (), b"{}")
        assert isinstance(failure(transport, request, proxy.url), OutcomeUnknown)
    assert len(server.requests) == (0 if fault in ("drop", "reset") else 1)
