"""Words that the tests of volley and transport share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest

from scheduler.domain.publisher import Reply, Request
from scheduler.errors import PublishError
from scheduler.transport.http import Transport
from scheduler.transport.volley import Fired, Shot, Volley

from .hostile import HostileServer

TOKEN = "canary-7f3a9c51d2e84b06"
Start = Callable[[Sequence[Shot]], Volley]


def shot(shot_id: str, url: str, body: bytes = b"{}") -> Shot:
    """A delivery to a server of ours."""
    return Shot(shot_id, Request("POST", f"{url}/api/v1/statuses", (), body), url, TOKEN)


def fire(volley: Volley, *ids: str) -> Fired:
    """Fire at once, nobody stops it."""
    return volley.fire(ids, time.time(), now=time.time, last_look=lambda: True)


def outcome(volley: Volley, shot_id: str = "a", within: float = 30) -> Reply | PublishError:
    """What became of one of them; the others are read too."""
    return dict(volley.replies(within))[shot_id]


def post(server: HostileServer, body: bytes = b"{}") -> Request:
    """A status for a server of ours."""
    return Request("POST", f"{server.url}/api/v1/statuses", (("Content-Type", "application/json"),), body)


def failure(transport: Transport, request: Request, base_url: str) -> PublishError:
    """How sending it fails; whatever is raised, it does not hold the token."""
    with pytest.raises(PublishError) as raised:
        transport.http(base_url, TOKEN).send(request)
    assert TOKEN not in repr(raised.value) + str(raised.value) + repr(raised.value.__dict__)
    return raised.value
