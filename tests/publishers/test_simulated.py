"""The four publishers against the simulated platforms, over the real transport."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scheduler.domain.publisher import OpensSession, Receipt
from scheduler.errors import OutcomeUnknown
from scheduler.publishers.registry import load
from scheduler.publishers.simulated import ledger, process
from scheduler.transport.http import Transport
from tests.cutproxy import CutProxy

from .samples import KEY, WORDS, account, content, media, outgoing

PLATFORMS = ("bluesky", "facebook", "mastodon", "x")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulated")


@pytest.fixture(scope="module")
def servers(folder: Path) -> Iterator[dict[str, str]]:
    running = process.start(folder)
    yield dict(running.servers)
    running.stop()


@pytest.mark.parametrize("fault", ["pass", "cut", "drop"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_post_arrives_exactly_and_looking_tells_whether_it_did(
    platform: str, fault: str, folder: Path, servers: dict[str, str], transport: Transport
) -> None:
    publisher, url, words = load([platform])[platform], servers[platform], f"{WORDS} <&> “{fault}” 👨‍👩‍👧‍👦"
    token, mine, key = f"sim:dorset/{platform}", account(platform, url), f"{KEY}-{fault}"
    since = datetime.now(UTC) - timedelta(seconds=2)
    if isinstance(publisher, OpensSession):
        token = publisher.open_session(mine, token, transport.http(url))
    http = transport.http(url, token)
    made = content(platform, words, media=(media(), media("another")))
    prepared = publisher.prepare(outgoing(made), mine, http)
    assert publisher.find(prepared, key, since, http) is None

    request, receipt = publisher.request(prepared, key), None
    port = urlsplit(url).port
    assert port
    with CutProxy(("127.0.0.1", port), [fault]) as proxy:  # type: ignore[list-item]
        through = transport.http(proxy.url, token)
        moved = type(request)(
            request.method, request.url.replace(url, proxy.url), request.headers, request.body
        )
        try:
            receipt = publisher.receipt(prepared, through.send(moved))
        except OutcomeUnknown:
            assert fault != "pass"

    found = publisher.find(prepared, key, since, http)
    there = [e for e in ledger.read(folder) if e.platform == platform and e.text == words]
    assert len(there) == (0 if fault == "drop" else 1)
    assert [alt for e in there for _, alt in e.media] == [media().alt, "another"] * len(there)
    assert (found is not None) == bool(there)
    assert receipt is None or found == receipt
    assert found is None or (isinstance(found, Receipt) and "differs" not in found.extra)
