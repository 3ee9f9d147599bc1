"""What a worker does: load one platform's publisher and answer calls until its sender has gone."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from scheduler.domain.publisher import OpensSession, Publisher, ReadsBack, Retracts
from scheduler.errors import LaunchdayError
from scheduler.publishers import registry
from scheduler.services.calls import Read
from scheduler.services.reach import SIDE_BY_SIDE, Desk
from scheduler.transport.http import Transport
from scheduler.workers.nursery import Setup
from scheduler.workers.wire import answer_out, call_in, frame, take_frame

Load = Callable[[Collection[str]], Mapping[str, Publisher]]


def work(sock: socket.socket, setup: Setup, load: Load = registry.load) -> None:
    """Say what the publisher is, then answer; returns when the sender closes the socket."""
    transport = Transport(proxy=setup.proxy, ca=setup.ca, now=lambda: time.time() + setup.offset)
    try:
        publisher = load({setup.platform})[setup.platform]
    except KeyError:
        sock.sendall(frame({"trouble": "is not installed"}))
        return
    except LaunchdayError as error:
        sock.sendall(frame({"trouble": error.message[:500]}))
        return
    sock.sendall(
        frame(
            {
                "server": publisher.server,
                "capability": str(publisher.capability),
                "can": [p.__name__ for p in (OpensSession, ReadsBack, Retracts) if isinstance(publisher, p)],
            }
        )
    )
    _serve(sock, Desk(publisher, transport))


def _serve(sock: socket.socket, desk: Desk) -> None:
    speaking = threading.Lock()

    def answer(asked: list[dict[str, Any]]) -> None:
        given = []
        for one in asked:
            call = call_in(one)
            try:
                said = answer_out(desk.answer(call, one["secret"], one["deadline"]))
            except Exception as error:  # what it answered breaks when it is looked at
                said = answer_out(call.broke(f"broke: {type(error).__name__}"))
            given.append([one["id"], said])
        with speaking:
            sock.sendall(frame(given))

    buffer = bytearray()
    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="call") as pool:
        while piece := sock.recv(1 << 20):
            buffer += piece
            while (asked := take_frame(buffer)) is not None:
                # Replies are read together: that is pure and quick. The rest talks to the platform.
                if all(one["kind"] == Read.__name__.lower() for one in asked):
                    pool.submit(answer, asked)
                else:
                    for one in asked:
                        pool.submit(answer, [one])
