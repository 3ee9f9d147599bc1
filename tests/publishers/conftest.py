"""What publishers' tests share: a transport, scripted servers, and the Bluesky PDS with its summary line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

# `tests.cutproxy` is found from the root, also where pytest is started bare.
sys.path.insert(0, str(Path(__file__).parents[2]))

from scheduler.transport.http import Transport

from .pds.server import NotHere, Pds, start
from .scripted import Answer, Scripted, Seen


@pytest.fixture
def transport() -> Iterator[Transport]:
    made = Transport()
    yield made
    made.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Seen], Answer]], Scripted]]:
    """Start a scripted server; it is stopped when the test ends."""
    with ExitStack() as stack:
        yield lambda answer: stack.enter_context(Scripted(answer))


@pytest.fixture(scope="session")
def pds() -> Iterator[Pds]:
    """A real Bluesky PDS, installed on first use; skips, and the summary says why, where it cannot be."""
    try:
        server = start()
    except NotHere as why:
        pytest.skip(f"bluesky pds: {why}")
    yield server
    server.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests ran against the real server, so that a machine without node shows it."""
    stats = terminalreporter.stats
    ran = [r for kind in ("passed", "failed") for r in stats.get(kind, []) if _pds(r) and r.when == "call"]
    missed = [r for r in stats.get("skipped", []) if _pds(r)]
    if ran:
        terminalreporter.write_line(f"bluesky pds: ran {len(ran)} test{'s' if len(ran) != 1 else ''}")
    elif missed:
        why = str(missed[0].longrepr[2]).removeprefix("Skipped: ").removeprefix("bluesky pds: ")
        terminalreporter.write_line(f"bluesky pds: not run: {why}")


def _pds(report: object) -> bool:
    return "pds" in getattr(report, "keywords", {})
