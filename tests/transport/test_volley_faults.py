"""Peers that misbehave in a volley: each costs only itself, and is unknown unless certainly not sent."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable

import pytest

from scheduler.domain.publisher import Reply
from scheduler.errors import OutcomeUnknown
from scheduler.transport.connect import Timeouts
from scheduler.transport.http import Transport
from scheduler.transport.volley import Volley
from tests.cutproxy import CutProxy

from .hostile import (
    Behaviour,
    HostileServer,
    Serve,
    answering,
    not_reading,
    ok,
    reset,
    resetting_after_request,
    stalling,
    trickling,
)
from .wave import TOKEN, Start, fire, outcome, shot


def leaving(how: Callable[[socket.socket], None]) -> Behaviour:
    def leave(server: HostileServer, connection: socket.socket) -> None:
        server.release.wait()
        how(connection)

    return leave


@pytest.mark.parametrize("how", [reset, socket.socket.close])
def test_a_connection_that_died_while_waiting_is_certainly_not_sent(
    start: Start, serve: Serve, how: Callable[[socket.socket], None]
) -> None:
    dying, good = serve(leaving(how)), serve(answering(ok()))
    volley = start([shot("dying", dying.url), shot("good", good.url)])
    dying.release.set()
    assert dying.struck.acquire(timeout=10)
    assert volley.dead() == ["dying"]
    fired = fire(volley, "dying", "good")
    assert fired.not_sent["dying"].code == "connection_died"
    assert set(fired.started) == {"good"}


def test_a_connection_that_died_while_waiting_is_opened_again_by_connect(start: Start, serve: Serve) -> None:
    def first_one_leaves(server: HostileServer, connection: socket.socket) -> None:
        if not server.release.is_set():
            server.release.wait()
        else:
            server.read(connection)
            connection.sendall(ok())

    server = serve(first_one_leaves)
    volley = start([shot("a", server.url)])
    assert server.accepted.acquire(timeout=10)
    server.release.set()
    assert server.struck.acquire(timeout=10)
    assert volley.connect(time.time() + 30) == {}
    assert volley.dead() == []
    fire(volley, "a")
    assert isinstance(outcome(volley), Reply)


def test_a_large_request_and_a_peer_that_never_reads_hold_up_nobody(serve: Serve) -> None:
    transport = Transport(timeouts=Timeouts(finish=0.2))
    full, good = serve(not_reading), serve(answering(ok()))
    body = os.urandom(2 << 20)
    shots = [shot("full", full.url, bytes(30 << 20)), shot("large", good.url, body), shot("small", good.url)]
    volley = Volley(transport, shots)
    assert volley.connect(time.time() + 30) == {}
    fired = fire(volley, "full", "large", "small")
    assert list(fired.started) == ["full", "large", "small"]
    assert set(fired.ended) == {"large", "small"}
    answers = dict(volley.replies(0.5))
    assert isinstance(answers["full"], OutcomeUnknown)
    assert "could not be written whole" in answers["full"].detail
    assert {a.status for a in answers.values() if isinstance(a, Reply)} == {200}
    assert any(request.endswith(body) for request in good.requests)
    volley.close()
    transport.close()


def test_a_server_that_breaks_off_a_large_request_is_unknown(start: Start, serve: Serve) -> None:
    def break_off(server: HostileServer, connection: socket.socket) -> None:
        connection.recv(1000)
        reset(connection)

    volley = start([shot("a", serve(break_off).url, bytes(30 << 20))])
    fired = fire(volley, "a")
    assert (set(fired.started), fired.ended, fired.not_sent) == ({"a"}, {}, {})
    assert isinstance(outcome(volley), OutcomeUnknown)


def test_a_refusal_in_the_middle_of_a_large_request_is_read(serve: Serve) -> None:
    def refuse_early(server: HostileServer, connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")
        server.release.wait()

    transport = Transport(timeouts=Timeouts(finish=0.1))
    volley = Volley(transport, [shot("a", serve(refuse_early).url, bytes(30 << 20))])
    volley.connect(time.time() + 30)
    fire(volley, "a")
    answer = outcome(volley)
    assert isinstance(answer, Reply)
    assert answer.status == 413
    volley.close()


BOMB = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(9 << 20)
UNKNOWN: dict[str, tuple[Behaviour, str]] = {
    "closed without a reply": (answering(b""), "no_reply"),
    "reset after the request": (resetting_after_request, "connection_lost"),
    "cut in the headers": (answering(ok()[:10]), "cut_reply"),
    "cut in the body": (answering(ok()[:-1]), "cut_reply"),
    "not HTTP": (answering(b"220 smtp ready\r\n\r\n"), "malformed_reply"),
    "too large": (answering(BOMB), "oversize_reply"),
    "stalled": (stalling, "timeout"),
    "trickling": (trickling, "timeout"),
}


@pytest.mark.parametrize(("behaviour", "code"), UNKNOWN.values(), ids=UNKNOWN.keys())
def test_whatever_is_wrong_after_the_first_byte_is_unknown_and_the_others_are_answered(
    start: Start, serve: Serve, behaviour: Behaviour, code: str
) -> None:
    bad, good = serve(behaviour), serve(answering(ok()))
    volley = start([shot("bad", bad.url), shot("good", good.url)])
    fire(volley, "bad", "good")
    answers = dict(volley.replies(0.5 if code == "timeout" else 30))
    assert isinstance(answers["good"], Reply)
    error = answers["bad"]
    assert isinstance(error, OutcomeUnknown)
    assert error.code == code
    assert TOKEN not in repr(error) + str(error.__dict__)
    assert len(bad.requests) == 1


def test_a_good_reply_is_not_lost_because_nobody_read_it_in_time(start: Start, serve: Serve) -> None:
    volley = start([shot("a", serve(answering(ok())).url)])
    fire(volley, "a")
    (exchange,) = volley._flying.values()
    assert select.select([exchange.sock], [], [], 10)[0]
    assert isinstance(outcome(volley, within=0), Reply)


def test_reading_may_be_broken_off_and_taken_up_again(start: Start, serve: Serve) -> None:
    server = serve(answering(ok()))
    volley = start([shot(i, server.url) for i in "abc"])
    fire(volley, *"abc")
    first = next(volley.replies(30))
    rest = dict(volley.replies(30))
    assert {first[0], *rest} == set("abc")
    assert len(rest) == 2


def test_a_body_that_is_no_json_is_still_a_reply(start: Start, serve: Serve) -> None:
    volley = start([shot("a", serve(answering(ok(b"<html>maintenance"))).url)])
    fire(volley, "a")
    answer = outcome(volley)
    assert isinstance(answer, Reply)
    assert (answer.status, answer.json()) == (200, {})


def test_a_redirect_carries_nothing_anywhere(start: Start, serve: Serve) -> None:
    other = serve(answering(ok()))
    location = f"HTTP/1.1 307 X\r\nLocation: {other.url}/\r\nContent-Length: 0\r\n\r\n".encode()
    volley = start([shot("a", serve(answering(location)).url)])
    fire(volley, "a")
    answer = outcome(volley)
    assert isinstance(answer, Reply)
    assert answer.status == 307
    assert not other.accepted.acquire(blocking=False)


@pytest.mark.parametrize("fault", ["drop", "reset", "cut", "half", "kill", "delay"])
def test_every_cut_of_the_proxy_is_unknown_and_the_server_knows_the_truth(
    start: Start, serve: Serve, fault: str
) -> None:
    server = serve(answering(ok()))
    with CutProxy(("127.0.0.1", server.port), always=fault) as proxy:  # type: ignore[arg-type]
        volley = start([shot("a", proxy.url)])
        fire(volley, "a")
        assert isinstance(outcome(volley, within=0.5 if fault == "delay" else 30), OutcomeUnknown)
    assert len(server.requests) == (0 if fault in ("drop", "reset") else 1)
