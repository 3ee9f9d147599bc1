"""What the tests of the transport share: a transport, and hostile servers that end with the test."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

# `tests.cutproxy` and `tests.bench` are found from the root, also where pytest is started bare.
sys.path.insert(0, str(Path(__file__).parents[2]))

from scheduler.transport.http import Transport
from scheduler.transport.volley import Shot, Volley

from .hostile import Behaviour, HostileServer, Serve
from .wave import Start


@pytest.fixture
def transport() -> Iterator[Transport]:
    made = Transport()
    yield made
    made.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with a behaviour; it is stopped when the test ends."""
    running: list[HostileServer] = []

    def start(behaviour: Behaviour, *, certificate: Path | None = None) -> HostileServer:
        running.append(HostileServer(behaviour, certificate=certificate))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def start(transport: Transport, serve: Serve) -> Iterator[Start]:
    """Make a volley and connect all of it. Asks for `serve`, to be closed before the servers wait."""
    made: list[Volley] = []

    def begin(shots: Sequence[Shot]) -> Volley:
        made.append(Volley(transport, shots))
        assert made[-1].connect(time.time() + 30) == {}
        return made[-1]

    yield begin
    for volley in made:
        volley.close()
