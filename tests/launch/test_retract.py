"""retract from the command line: without a daemon one worker is started, it looks, and says what is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from launch.desk import Said, approve, launchday, must, posts, queued, states, stop_platforms
from scheduler.app import open_app
from scheduler.publishers.simulated import process


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = queued(tmp_path_factory.mktemp("retract"))
    approve(root, "dorset", "charity", "wiltshire")
    assert launchday(root, "run", "--once", "--launch-in", "15s").code == 0
    yield root
    stop_platforms(root)


@pytest.fixture(scope="module")
def retracted(out: Path) -> Said:
    """One platform keeps what it is told to remove, and answers 404."""
    app = open_app(out, "simulation", environ={})
    app.close()
    keeps = {"fault": "refuse", "code": 404, "platform": "mastodon", "account": "dorset/mastodon"}
    running = process.start(app.folder / "platforms", [{**keeps, "step": "retract", "times": -1}])
    try:
        return launchday(out, "retract", "--post", "launch", "--as", "p.shah", "--yes", "--note", "Wrong")
    finally:
        running.stop()


def test_what_is_removed_and_what_remains_is_said_with_exit_6(out: Path, retracted: Said) -> None:
    assert retracted.code == 6, retracted.err
    assert "removed   charity/x  charity/x/launch" in retracted.out
    assert "REMAINS   dorset/mastodon" in retracted.out
    live = {p.account for p in posts(out) if not p.deleted}
    assert live == {"dorset/mastodon"}


def test_only_what_is_gone_counts_as_retracted(out: Path, retracted: Said) -> None:
    found = states(out, "launch")
    assert found.pop("dorset/mastodon/launch") == "asking"
    assert set(found.values()) == {"retracted"}


def test_once_it_is_gone_the_same_command_says_so(out: Path, retracted: Said) -> None:
    again = launchday(out, "resolve", "dorset/mastodon/launch", "--retract", "--as", "p.shah", "--yes")
    assert again.code == 0, again.err
    assert not [p for p in posts(out) if not p.deleted]
    assert must(out, "log", "verify").code == 0
