"""An answer that comes before the question is none: the connection is not used, and nothing is sent on it."""

from __future__ import annotations

import socket
import time
from contextlib import closing

from scheduler.transport.http import Transport
from scheduler.transport.volley import Volley

from .hostile import AUTHORITY, LOOPBACK, HostileServer, Serve, answering, ok
from .wave import Start, fire, outcome, shot


def speaking_first(server: HostileServer, connection: socket.socket) -> None:
    connection.sendall(ok(b'{"id":"1"}'))
    server.struck.release()
    server.read(connection)


def test_a_server_that_answers_before_it_was_asked_is_sent_nothing(start: Start, serve: Serve) -> None:
    early, good = serve(speaking_first), serve(answering(ok()))
    volley = start([shot("early", early.url), shot("good", good.url)])
    assert early.struck.acquire(timeout=10)
    fired = fire(volley, "early", "good")
    assert fired.not_sent["early"].code == "spoke_first"
    assert not early.requests
    assert set(fired.started) == {"good"}


def test_session_tickets_are_no_answer(serve: Serve) -> None:
    good = serve(answering(ok()), certificate=LOOPBACK)
    with (
        closing(Transport(ca=str(AUTHORITY))) as transport,
        closing(Volley(transport, [shot("a", good.url)])) as volley,
    ):
        assert volley.connect(time.time() + 30) == {}
        assert good.accepted.acquire(timeout=10)
        assert set(fire(volley, "a").started) == {"a"}
        assert getattr(outcome(volley), "status", None) == 200
