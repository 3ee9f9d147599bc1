"""The volley: nothing before T0, nothing after a stop, nothing twice."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import time

import pytest

from scheduler.domain.publisher import Reply, Request
from scheduler.transport.http import Transport
from scheduler.transport.volley import Fired, Shot, Volley

from .hostile import (
    Serve,
    answering,
    not_reading,
    ok,
    stalling,
)
from .wave import TOKEN, Start, fire, outcome, shot


def test_everybody_is_answered_and_every_token_goes_to_its_own_account(start: Start, serve: Serve) -> None:
    server = serve(answering(ok()))
    ids = [f"force{n}/mastodon" for n in range(60)]
    volley = start(
        [
            Shot(i, Request("POST", f"{server.url}/{i}"), server.url, f"token-of-{i.split('/')[0]}")
            for i in ids
        ]
    )
    fired = fire(volley, *ids)
    assert list(fired.started) == ids
    assert set(fired.ended) == set(ids)
    assert (fired.held, fired.not_sent) == (False, {})
    answers = dict(volley.replies(30))
    assert {i: a.status for i, a in answers.items() if isinstance(a, Reply)} == dict.fromkeys(ids, 200)
    for request in server.requests:
        force = request.split(b"/")[1]
        assert b"Bearer token-of-" + force + b"\r\n" in request


def test_nothing_is_written_before_t0_by_the_clock_given(start: Start, serve: Serve) -> None:
    server = serve(answering(ok()))
    volley = start([shot(str(n), server.url) for n in range(20)])
    shift = 86_400 * 365.0
    read: list[float] = []

    def clock() -> float:
        read.append(time.time() + shift)
        return read[-1]

    at = time.time() + shift + 0.2
    fired = volley.fire([str(n) for n in range(20)], at, now=clock, last_look=lambda: server.requests == [])
    assert not fired.held
    assert fired.first is not None
    assert fired.last is not None
    assert at <= fired.first <= fired.last
    assert all(fired.started[i] <= fired.ended[i] for i in fired.started)
    assert set(fired.started.values()) <= set(read)


def test_a_clock_that_jumps_forward_is_noticed_although_t0_seemed_an_hour_away(
    start: Start, serve: Serve
) -> None:
    volley = start([shot("a", serve(answering(ok())).url)])
    reads: list[float] = []

    def clock() -> float:
        reads.append(time.time() + (3600 if len(reads) > 3 else 0))
        return reads[-1]

    fired = volley.fire(["a"], time.time() + 3600, now=clock, last_look=lambda: True)
    assert set(fired.ended) == {"a"}


def test_the_last_look_is_taken_before_t0_and_stops_everything(start: Start, serve: Serve) -> None:
    server = serve(answering(ok()))
    volley = start([shot("a", server.url), shot("b", server.url)])
    looked: list[float] = []

    def stop() -> bool:
        looked.append(time.time())
        return False

    at = time.time() + 0.05
    assert volley.fire(["a", "b"], at, now=time.time, last_look=stop) == Fired(held=True)
    assert len(looked) == 1
    assert looked[0] < at
    assert list(volley.replies(0.01)) == []
    volley.close()
    server.stop_accepting_and_wait()
    assert server.requests == []


def test_a_last_look_that_fails_writes_nothing(start: Start, serve: Serve) -> None:
    server = serve(answering(ok()))
    volley = start([shot("a", server.url)])

    def broken() -> bool:
        raise RuntimeError("database is gone")

    with pytest.raises(RuntimeError, match="gone"):
        volley.fire(["a"], time.time(), now=time.time, last_look=broken)
    assert gc.isenabled()
    volley.close()
    server.stop_accepting_and_wait()
    assert server.requests == []


def test_the_collector_rests_during_the_burst_and_only_then(start: Start, serve: Serve) -> None:
    server = serve(answering(ok()))
    volley = start([shot("a", server.url)])
    states: list[bool] = []
    volley.fire(
        ["a"],
        time.time(),
        now=time.time,
        last_look=lambda: True,
        after_each=lambda _: states.append(gc.isenabled()),
    )
    assert (states, gc.isenabled()) == ([False], True)


def test_after_each_counts_the_requests_begun(start: Start, serve: Serve) -> None:
    server = serve(answering(ok()))
    volley = start([shot(i, server.url) for i in "abc"])
    counts: list[int] = []
    volley.fire("abc", time.time(), now=time.time, last_look=lambda: True, after_each=counts.append)
    assert counts == [1, 2, 3]


def test_a_clock_set_back_over_t0_in_the_burst_stops_the_rest(start: Start, serve: Serve) -> None:
    server = serve(answering(ok()))
    volley = start([shot(i, server.url) for i in "abc"])
    back = [0.0]

    def step_back(count: int) -> None:
        back[0] = 3600.0

    fired = volley.fire(
        "abc", time.time(), now=lambda: time.time() - back[0], last_look=lambda: True, after_each=step_back
    )
    assert set(fired.started) == {"a"}
    assert {i: e.code for i, e in fired.not_sent.items()} == {"b": "clock_stepped", "c": "clock_stepped"}


def test_a_clock_set_back_after_the_last_look_sends_nothing_on_an_old_look(
    start: Start, serve: Serve
) -> None:
    server = serve(answering(ok()))
    volley = start([shot(i, server.url) for i in "ab"])
    back = [0.0]

    def look() -> bool:
        back[0] = 3600.0
        return True

    fired = volley.fire("ab", time.time() + 0.05, now=lambda: time.time() - back[0], last_look=look)
    assert fired.started == {}
    assert {i: e.code for i, e in fired.not_sent.items()} == {"a": "clock_stepped", "b": "clock_stepped"}


def test_only_the_ids_asked_for_are_fired(start: Start, serve: Serve) -> None:
    server = serve(answering(ok()))
    volley = start([shot("a", server.url), shot("b", server.url)])
    assert set(fire(volley, "b").started) == {"b"}
    assert set(dict(volley.replies(30))) == {"b"}
    assert len(server.requests) == 1


def test_an_id_is_never_fired_twice(start: Start, serve: Serve) -> None:
    server = serve(answering(ok()))
    volley = start([shot("a", server.url)])
    fire(volley, "a")
    again = fire(volley, "a")
    assert (again.started, again.not_sent["a"].code) == ({}, "no_connection")
    assert volley.connect(time.time() + 5) == {}
    assert fire(volley, "a").not_sent["a"].code == "no_connection"
    assert isinstance(outcome(volley), Reply)
    assert volley.connect(time.time() + 5) == {}
    assert fire(volley, "a").not_sent["a"].code == "no_connection"
    assert len(server.requests) == 1


def test_two_shots_with_one_id_are_refused(transport: Transport) -> None:
    with pytest.raises(ValueError, match="same id"):
        Volley(transport, [shot("a", "https://a.example"), shot("a", "https://a.example")])


def test_a_shot_that_cannot_be_sent_costs_only_itself(transport: Transport, serve: Serve) -> None:
    server, other = serve(answering(ok())), serve(answering(ok()))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refused = f"http://127.0.0.1:{listener.getsockname()[1]}"
    stranger = Shot("stranger", Request("POST", f"{other.url}/"), server.url, TOKEN)
    injected = Shot("injected", Request("POST", server.url, (("X", "a\r\nb"),)), server.url, TOKEN)
    volley = Volley(transport, [shot("good", server.url), stranger, injected, shot("refused", refused)])
    failed = volley.connect(time.time() + 30)
    assert {i: e.code for i, e in failed.items()} == {
        "stranger": "foreign_host",
        "injected": "unsendable",
        "refused": "connect_refused",
    }
    assert TOKEN not in repr(failed)
    fired = fire(volley, "good", "stranger", "injected", "refused")
    assert set(fired.started) == {"good"}
    assert set(fired.not_sent) == {"stranger", "injected", "refused"}
    assert fired.not_sent == failed  # the reason is the one that connecting gave
    assert isinstance(outcome(volley, "good"), Reply)
    assert not other.accepted.acquire(blocking=False)
    volley.close()


def test_a_server_that_does_not_answer_the_handshake_holds_up_only_itself(
    transport: Transport, serve: Serve
) -> None:
    silent, good = serve(not_reading), serve(answering(ok()))
    url = silent.url.replace("http://", "https://")
    volley = Volley(transport, [*[shot(f"s{n}", url) for n in range(80)], shot("good", good.url)])
    failed = volley.connect(time.time() + 0.5)
    assert {e.code for e in failed.values()} == {"connect_timeout"}
    assert set(failed) == {f"s{n}" for n in range(80)}
    volley.close()


def test_closing_twice_leaves_no_file_open(transport: Transport, serve: Serve) -> None:
    server = serve(stalling)
    before = len(os.listdir("/proc/self/fd"))
    volley = Volley(transport, [shot(str(n), server.url) for n in range(20)])
    volley.connect(time.time() + 30)
    fire(volley, *map(str, range(10)))
    volley.close()
    volley.close()
    server.release.set()
    for _ in range(20):
        assert server.struck.acquire(timeout=10)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_shot_and_a_volley_do_not_show_the_token(transport: Transport) -> None:
    one = shot("a", "https://a.example")
    assert TOKEN not in repr(one) + repr(Volley(transport, [one]))


def test_too_few_open_files_are_said_before_anything_is_opened() -> None:
    code = """
import resource
from scheduler.errors import LaunchdayError
from scheduler.transport.room import make_room
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 1000))
make_room(500)
assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 756
try:
    make_room(5000)
except LaunchdayError as error:
    print(error.message, "|", error.help)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "5000 deliveries" in said
    assert "allows 1000" in said
    assert "LimitNOFILE" in said
