"""The restricted transport: pinned to one host, no redirects, no environment, no second try."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scheduler.errors import NotReady, NotSent, OutcomeUnknown, PublishError, UsageError
from scheduler.transport.connect import Timeouts
from scheduler.transport.http import Transport

from .hostile import (
    HostileServer,
    Serve,
    answering,
    ok,
    resetting_after_request,
    stalling,
)
from .wave import TOKEN, failure, post


def test_a_reply_comes_back_with_its_status_headers_and_body(transport: Transport, serve: Serve) -> None:
    server = serve(answering(ok(b'{"id":"7"}', b"X-RateLimit-Remaining: 3")))
    reply = transport.http(server.url, TOKEN).send(post(server))
    assert (reply.status, reply.json(), reply.headers["x-ratelimit-remaining"]) == (200, {"id": "7"}, "3")
    assert b"\r\nAuthorization: Bearer " + TOKEN.encode() in server.requests[0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
def test_any_status_is_a_reply_for_the_publisher_to_read(
    transport: Transport, serve: Serve, status: int
) -> None:
    server = serve(answering(b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}" % status))
    assert transport.http(server.url, TOKEN).send(post(server)).status == status
    assert len(server.requests) == 1


def test_each_request_has_a_connection_of_its_own(transport: Transport, serve: Serve) -> None:
    server = serve(answering(ok()))
    http = transport.http(server.url, TOKEN)
    for _ in range(3):
        http.send(post(server))
    assert [server.accepted.acquire(blocking=False) for _ in range(4)] == [True, True, True, False]


def test_a_redirect_is_a_reply_and_carries_nothing_to_the_other_host(
    transport: Transport, serve: Serve
) -> None:
    other = serve(answering(ok()))
    location = f"Location: {other.url}/steal".encode()
    for status in (301, 302, 303, 307, 308):
        server = serve(answering(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n%s\r\n\r\n" % (status, location)))
        assert transport.http(server.url, TOKEN).send(post(server)).status == status
    assert not other.accepted.acquire(blocking=False)


def test_another_host_is_refused_and_never_contacted(transport: Transport, serve: Serve) -> None:
    home, other = serve(answering(ok())), serve(answering(ok()))
    error = failure(transport, post(other), home.url)
    assert isinstance(error, NotSent)
    assert error.code == "foreign_host"
    assert not other.accepted.acquire(blocking=False)


def test_another_host_may_be_asked_without_the_token(transport: Transport, serve: Serve) -> None:
    home, other = serve(answering(ok())), serve(answering(ok()))
    assert transport.http(home.url, TOKEN).send(post(other), authorise=False).status == 200
    assert TOKEN.encode() not in other.requests[0]
    assert b"authorization" not in other.requests[0].lower()


def test_netrc_and_proxies_of_the_environment_are_ignored(
    transport: Transport, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login thief password stolen\n")
    (tmp_path / ".netrc").chmod(0o600)
    trap, server = serve(answering(ok())), serve(answering(ok()))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, trap.url)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    transport.http(server.url, TOKEN).send(post(server))
    assert b"\r\nAuthorization: Bearer " + TOKEN.encode() in server.requests[0]
    assert b"Basic" not in server.requests[0]
    assert not trap.accepted.acquire(blocking=False)


def test_a_server_that_echoes_the_token_cannot_bring_it_into_the_log(
    transport: Transport, serve: Serve
) -> None:
    def echo(server: HostileServer, connection: socket.socket) -> None:
        connection.sendall(ok(server.read(connection), b"X-Echo: " + TOKEN.encode()))

    server = serve(echo)
    reply = transport.http(server.url, TOKEN).send(post(server))
    assert b"Authorization: Bearer [token]" in reply.body
    assert TOKEN not in repr(reply)


def test_the_transport_of_an_account_does_not_show_its_token(transport: Transport) -> None:
    http = transport.http("https://mastodon.example", TOKEN)
    assert TOKEN not in repr(http) + str(http)
    assert "mastodon.example" in repr(http)


def test_a_token_that_cannot_be_a_header_is_not_shown(transport: Transport, serve: Serve) -> None:
    server = serve(answering(ok()))
    with pytest.raises(NotSent) as refused:
        transport.http(server.url, TOKEN + "\n").send(post(server))
    assert TOKEN not in repr(refused.value)


def test_after_the_deadline_nothing_is_sent(transport: Transport, serve: Serve) -> None:
    server = serve(answering(ok()))
    with pytest.raises(NotSent, match="deadline"):
        transport.http(server.url, TOKEN, deadline=time.time() - 1).send(post(server))
    assert not server.accepted.acquire(blocking=False)


def test_the_deadline_cuts_a_request_short(transport: Transport, serve: Serve) -> None:
    server = serve(stalling)
    with pytest.raises(OutcomeUnknown, match="timeout"):
        transport.http(server.url, TOKEN, deadline=time.time() + 0.3).send(post(server))


def test_the_deadline_is_in_the_clock_of_the_transport(serve: Serve) -> None:
    server = serve(answering(ok()))
    shifted = Transport(now=lambda: time.time() + 1e6)
    assert shifted.http(server.url, TOKEN, deadline=time.time() + 1e6 + 60).send(post(server)).status == 200
    with pytest.raises(NotSent, match="deadline"):
        shifted.http(server.url, TOKEN, deadline=time.time() + 60).send(post(server))


def test_waiting_ends_with_not_ready_at_the_deadline(transport: Transport) -> None:
    http = transport.http("https://a.example", deadline=time.time() + 0.05)
    with pytest.raises(NotReady, match="deadline"):
        http.wait(3600)
    with pytest.raises(NotReady):
        http.wait(0)


def test_waiting_without_a_deadline_returns(transport: Transport) -> None:
    transport.http("https://a.example").wait(0.001)


def test_closing_the_transport_ends_all_waiting(transport: Transport) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(transport.http("https://a.example").wait, 3600)
        transport.close()
        with pytest.raises(NotReady):
            waiting.result(10)


def test_many_threads_may_share_a_transport(transport: Transport, serve: Serve) -> None:
    server = serve(answering(ok()))
    http = transport.http(server.url, TOKEN)
    with ThreadPoolExecutor(16) as threads:
        statuses = [r.status for r in threads.map(http.send, [post(server)] * 64)]
    assert statuses == [200] * 64
    assert len(server.requests) == 64


def test_no_file_stays_open_whatever_happened(serve: Serve) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transport = Transport(timeouts=Timeouts(total=0.2))
        servers = [serve(b) for b in (answering(ok()), answering(b""), resetting_after_request, stalling)]
        before = len(os.listdir("/proc/self/fd"))
        for server in servers:
            with contextlib.suppress(PublishError):
                transport.http(server.url, TOKEN).send(post(server))
            server.release.set()
            assert server.struck.acquire(timeout=10)
        transport.close()
        assert len(os.listdir("/proc/self/fd")) <= before


def test_a_proxy_or_an_authority_that_cannot_be_used_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="http://"):
        Transport(proxy="socks5://127.0.0.1:1")
    with pytest.raises(UsageError, match="cannot be read"):
        Transport(ca=str(tmp_path / "missing.pem"))
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(UsageError, match="cannot be read"):
        Transport(ca=str(tmp_path / "empty.pem"))
