"""The cutting proxy does what its table says: tests of other parts rely on it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from scheduler.domain.publisher import Request
from scheduler.errors import OutcomeUnknown
from scheduler.transport.http import Transport
from tests.cutproxy import CutProxy

from .hostile import Serve, answering, ok


def test_each_connection_meets_the_next_fault_of_the_script(transport: Transport, serve: Serve) -> None:
    server = serve(answering(ok()))
    with CutProxy(("127.0.0.1", server.port), ["drop", "pass"], always="cut") as proxy:
        http, request = transport.http(proxy.url), Request("POST", f"{proxy.url}/x", (), b"{}")
        with pytest.raises(OutcomeUnknown):
            http.send(request)
        assert len(server.requests) == 0
        assert http.send(request).status == 200
        with pytest.raises(OutcomeUnknown):
            http.send(request)
        assert len(server.requests) == 2
        proxy.script("pass")
        assert http.send(request).status == 200
        assert proxy.seen == ["drop", "pass", "cut", "pass"]


def test_a_delayed_reply_comes_once_it_is_released(transport: Transport, serve: Serve) -> None:
    server = serve(answering(ok()))
    with CutProxy(("127.0.0.1", server.port), always="delay") as proxy, ThreadPoolExecutor(1) as threads:
        request = Request("POST", f"{proxy.url}/x", (), b"{}")
        waiting = threads.submit(transport.http(proxy.url).send, request)
        assert server.struck.acquire(timeout=10)  # the server has answered, the client does not know
        assert not waiting.done()
        proxy.release()
        assert waiting.result(30).status == 200
