"""Through the proxy named in accounts.yaml: CONNECT, so that it sees neither token nor words."""

from __future__ import annotations

import base64
import select
import socket
import time

import pytest

from scheduler.domain.publisher import Reply, Request
from scheduler.errors import NotSent
from scheduler.transport.http import Transport
from scheduler.transport.volley import Shot, Volley

from .hostile import AUTHORITY, LOOPBACK, Behaviour, HostileServer, Serve, answering, ok


def forwarding(port: int, heads: list[bytes]) -> Behaviour:
    """A CONNECT proxy to a port of ours; remembers what it was asked."""

    def behave(server: HostileServer, connection: socket.socket) -> None:
        heads.append(server.read(connection))
        with socket.create_connection(("127.0.0.1", port)) as target:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            while True:
                for source in select.select([connection, target], [], [], 10)[0]:
                    data = source.recv(65536)
                    if not data:
                        return
                    (target if source is connection else connection).sendall(data)

    return behave


def test_requests_and_volleys_go_through_the_proxy_and_it_sees_no_secret(serve: Serve) -> None:
    heads: list[bytes] = []
    platform = serve(answering(ok()), certificate=LOOPBACK)
    proxy = serve(forwarding(platform.port, heads))
    transport = Transport(proxy=proxy.url.replace("://", "://force:pa%20ss@"), ca=str(AUTHORITY))
    request = Request("POST", f"{platform.url}/x", (), b"words")
    assert transport.http(platform.url, "canary-token-1").send(request).status == 200

    volley = Volley(transport, [Shot("a", request, platform.url, "canary-token-1")])
    assert volley.connect(time.time() + 30) == {}
    volley.fire(["a"], time.time(), now=time.time, last_look=lambda: True)
    assert [o.status for _, o in volley.replies(30) if isinstance(o, Reply)] == [200]
    volley.close()
    transport.close()

    assert len(heads) == len(platform.requests) == 2
    for head in heads:
        assert head.startswith(f"CONNECT 127.0.0.1:{platform.port} ".encode())
        assert base64.b64encode(b"force:pa ss") in head
        assert b"canary" not in head
        assert b"words" not in head


@pytest.mark.parametrize("reply", [b"HTTP/1.1 403 Forbidden\r\n\r\n", b""])
def test_a_proxy_that_refuses_is_certainly_not_sent_and_its_password_is_not_shown(
    serve: Serve, reply: bytes
) -> None:
    proxy = serve(answering(reply))
    transport = Transport(proxy=proxy.url.replace("://", "://force:canary-password@"), ca=str(AUTHORITY))
    with pytest.raises(NotSent) as refused:
        transport.http("https://127.0.0.1:9", "t").send(Request("POST", "https://127.0.0.1:9/"))
    assert "through the proxy" in str(refused.value)
    assert "canary" not in str(refused.value)
    transport.close()


def test_this_machine_is_reached_without_the_proxy(serve: Serve) -> None:
    server, trap = serve(answering(ok())), serve(answering(ok()))
    transport = Transport(proxy=trap.url)
    assert transport.http(server.url, "t").send(Request("GET", f"{server.url}/")).status == 200
    assert not trap.accepted.acquire(blocking=False)
    transport.close()
