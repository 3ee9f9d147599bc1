"""A publisher that misbehaves in a real launch: the accounts of the other platform go out all the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launch.desk import LAUNCH, ORGANISATIONS, REPOSITORY, first_arrival, posts, until
from launch.stage import stage

# Mastodon's publisher, spoilt in every process that is a sender: as a bad release of a package would be.
SPOILT = """
import sys

if "scheduler.sender" in sys.orig_argv:
    from pathlib import Path

    from scheduler.publishers.mastodon import Mastodon
    from tests.workers.toys import deeds

    deed = deeds(Path({folder!r}))[{deed!r}]
    setattr(Mastodon, {method!r}, lambda *_: deed())
"""
X = [f"{o}/x" for o in ORGANISATIONS]
MASTODON = [f"{o}/mastodon" for o in ORGANISATIONS]
ONCE = ["accepted"]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("spoilt")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(made), str(REPOSITORY))))
    yield made
    # Nothing that a publisher started outlives its sender.
    pids = [int(p.name.removeprefix("pid-")) for p in made.glob("pid-*")]
    until(lambda: not any(Path(f"/proc/{p}").exists() for p in pids))


def spoil(folder: Path, deed: str, method: str) -> None:
    (folder / "sitecustomize.py").write_text(SPOILT.format(folder=str(folder), deed=deed, method=method))


@pytest.mark.parametrize("deed", ["runs_away", "eats_memory", "forks_without_end"])
def test_one_that_misbehaves_while_arming_costs_only_its_own_accounts(
    tmp_path: Path, folder: Path, deed: str
) -> None:
    spoil(folder, deed, "prepare")
    with stage(tmp_path, 9) as here:
        here.send()
        assert {name: here.attempts(name) for name in X} == dict.fromkeys(X, ONCE), here.deferred()
        assert {here.get(name).state for name in MASTODON} == {"scheduled"}
        assert {here.get(name).reason.partition(": ")[0] for name in MASTODON} == {"not ready"}
        assert sorted(p.account for p in posts(tmp_path)) == sorted(X)
        assert first_arrival(tmp_path) >= LAUNCH


@pytest.mark.parametrize("deed", ["hangs", "kills_its_parent"])
def test_one_that_misbehaves_on_the_reply_leaves_its_own_accounts_to_be_looked_for(
    tmp_path: Path, folder: Path, deed: str
) -> None:
    """They are out: a look finds them once the publisher is mended, and nothing is sent twice."""
    spoil(folder, deed, "receipt")
    with stage(tmp_path, 9) as here:
        here.send()
        assert {name: here.attempts(name) for name in X} == dict.fromkeys(X, ONCE), here.deferred()
        assert {here.get(name).state for name in MASTODON} == {"unconfirmed"}
        (folder / "sitecustomize.py").unlink()
        until(lambda: here.app.clock.now() > LAUNCH)
        here.look()
        assert {here.get(name).state for name in X + MASTODON} == {"published"}
        assert sorted(p.account for p in posts(tmp_path)) == sorted(X + MASTODON)
