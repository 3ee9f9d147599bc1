"""What the tests of the transport share: a transport, and hostile servers that end with the test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# `tests.cutproxy` and `tests.bench` are found from the root, also where pytest is started bare.
sys.path.insert(0, str(Path(__file__).parents[2]))

from scheduler.transport.http import Transport

from .hostile import Behaviour, HostileServer, Serve


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
