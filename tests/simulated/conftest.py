"""One process of simulated platforms for all tests of this folder; each test has an account of its own."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scheduler.publishers.simulated import ledger, process
from simulated.client import Client

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Running]:
    running = process.start(tmp_path_factory.mktemp("platforms"), tied=True)
    yield running
    running.stop()
    assert (running.directory / "log.txt").read_text() == "", "the simulated platforms complained"


@pytest.fixture
def account() -> str:
    return f"org-{next(_NUMBERS)}/main"


@pytest.fixture
def faults(sim: process.Running) -> Iterator[Callable[..., None]]:
    def replace(*rules: dict[str, Any]) -> None:
        sim.faults(rules)

    yield replace
    sim.faults([])


@pytest.fixture
def entries(sim: process.Running, account: str) -> Callable[[], list[ledger.Entry]]:
    def live() -> list[ledger.Entry]:
        return [e for e in ledger.read(sim.directory) if e.account == account and not e.deleted]

    return live


@pytest.fixture
def mastodon(sim: process.Running, account: str) -> Client:
    return Client(sim.servers["mastodon"], f"sim:{account}")


@pytest.fixture
def x(sim: process.Running, account: str) -> Client:
    return Client(sim.servers["x"], f"sim:{account}")


@pytest.fixture
def facebook(sim: process.Running, account: str) -> Client:
    return Client(sim.servers["facebook"], f"sim:{account}")


@pytest.fixture
def bluesky(sim: process.Running, account: str) -> Client:
    """Logged in; the handle is the account's."""
    client = Client(sim.servers["bluesky"])
    client.handle = f"{account.replace('/', '.')}.example"  # type: ignore[attr-defined]
    login = {"identifier": client.handle, "password": f"sim:{account}"}  # type: ignore[attr-defined]
    session = client.post("/xrpc/com.atproto.server.createSession", login)
    client.token, client.did = session.body["accessJwt"], session.body["did"]  # type: ignore[attr-defined]
    return client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "platforms"
