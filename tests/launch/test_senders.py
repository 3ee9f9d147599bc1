"""One wave and its sender: never early, and no platform's trouble costs the accounts of another."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from launch.desk import LAUNCH, ORGANISATIONS, first_arrival, posts, until
from launch.stage import Stage, stage
from scheduler.domain.content import instant
from scheduler.services import clock as clocks

ALL = [f"{o}/{p}" for o in ORGANISATIONS for p in ("x", "mastodon")]
ONCE = ["accepted"]


@pytest.mark.parametrize("until_then", [timedelta(milliseconds=-200), timedelta(milliseconds=300)])
def test_a_sender_whose_gate_waits_for_the_write_lock_sends_nothing_before_t0_and_then_all_once(
    tmp_path: Path, until_then: timedelta
) -> None:
    with stage(tmp_path, 6) as here, closing(sqlite3.connect(here.app.folder / "launchday.db")) as other:
        other.isolation_level = None
        other.execute("begin immediate")
        sender = here.sender()
        until(lambda: here.app.clock.now() > LAUNCH + until_then)
        other.execute("rollback")
        with sender:
            _, said = sender.communicate(timeout=200)
        assert sender.returncode == 0, said
        assert first_arrival(tmp_path) >= LAUNCH
        assert sorted(p.account for p in posts(tmp_path)) == sorted(ALL)
        assert {name: here.attempts(name) for name in ALL} == dict.fromkeys(ALL, ONCE)


def test_an_overdue_sender_that_is_called_early_leaves_the_wave_to_its_own_sender(tmp_path: Path) -> None:
    with stage(tmp_path, 60) as here:
        here.send("--overdue")
        assert posts(tmp_path) == []
        assert {name: here.attempts(name) for name in ALL} == {name: [] for name in ALL}
        assert here.deferred() == {}
        clocks.move_to(here.app.db, here.app.clock, LAUNCH)
        here.send("--overdue")
        assert {name: here.attempts(name) for name in ALL} == dict.fromkeys(ALL, ONCE)
        assert first_arrival(tmp_path) >= LAUNCH


def test_a_platform_that_is_never_ready_does_not_cost_the_other_accounts_their_connections(
    tmp_path: Path,
) -> None:
    """It answers 202 for ever. Were it waited for until T0, the others would have no connection then."""
    slow = {"fault": "not_processed", "account": "dorset/mastodon", "times": -1}
    others = [name for name in ALL if name != "dorset/mastodon"]
    with stage(tmp_path, 9, [{**slow, "step": "media"}, {**slow, "step": "poll"}]) as here:
        here.send()
        assert {name: here.attempts(name) for name in others} == dict.fromkeys(others, ONCE)
        assert list(here.deferred()) == ["dorset/mastodon"]
        (given_up,) = here.entries("publish.deferred")
        assert given_up["at"] < instant(LAUNCH)  # not waited for when the others have to go
        assert (here.get("dorset/mastodon").state, here.attempts("dorset/mastodon")) == ("scheduled", [])
        assert here.get("dorset/mastodon").reason.startswith("not ready: ")
        assert first_arrival(tmp_path) >= LAUNCH


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Arming meets a 429 that asks for twenty minutes, a refused token and a server that errs."""
    rules = [
        {"fault": "throttle", "account": "dorset/mastodon", "step": "media", "retry_after_s": 1200},
        {"fault": "refuse", "account": "charity/x", "step": "look", "code": 401},
        {"fault": "http_5xx_before", "account": "wiltshire/mastodon", "step": "look", "status": 503},
    ]
    with stage(tmp_path_factory.mktemp("troubled"), 14, [{**r, "times": -1} for r in rules]) as here:
        here.send()
        yield here


def test_a_429_while_arming_that_asks_for_longer_than_the_window_is_missed_at_once_and_not_asked_again(
    troubled: Stage,
) -> None:
    assert troubled.platforms.fired()[0] == 1
    waits = troubled.get("dorset/mastodon")
    assert (waits.state, waits.fire_at > waits.not_after) == ("missed", True)
    assert "its next try would come after its window closed: not ready: throttled" in waits.reason
    assert troubled.deferred()["dorset/mastodon"] == "throttled"


def test_a_refused_token_is_not_tried_again_within_the_wave_and_holds_its_account(troubled: Stage) -> None:
    assert troubled.platforms.fired()[1] == 1
    assert troubled.held() == ["account:charity/x"]
    assert troubled.get("charity/x").state == "scheduled"


def test_a_server_that_errs_while_arming_is_asked_again_less_and_less_often(troubled: Stage) -> None:
    """Pauses of 1, 2, 4 s: in the eleven seconds of arming four tries, and not one a second."""
    assert 2 <= troubled.platforms.fired()[2] <= 5


def test_the_accounts_without_trouble_go_once_and_at_their_time(troubled: Stage) -> None:
    others = ["dorset/x", "wiltshire/x", "charity/mastodon"]
    assert {name: troubled.attempts(name) for name in others} == dict.fromkeys(others, ONCE)
    assert sorted(p.account for p in posts(troubled.root)) == sorted(others)
    assert first_arrival(troubled.root) >= LAUNCH
    assert sorted(troubled.deferred()) == ["charity/x", "dorset/mastodon", "wiltshire/mastodon"]
