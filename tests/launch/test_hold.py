"""One launch in which people stop things at the last second: held, released, late, unapproved."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from launch.desk import (
    LAUNCH,
    OUT,
    Said,
    approve,
    daemon,
    first_arrival,
    launchday,
    must,
    now,
    poised,
    posts,
    queued,
    runs,
    states,
    stop_platforms,
    until,
)


@dataclass
class Story:
    """What each command said, by name, and the states at three moments."""

    root: Path
    said: dict[str, Said] = field(default_factory=dict)
    at_t0: dict[str, str] = field(default_factory=dict)
    out_at_t0: int = -1
    after: dict[str, str] = field(default_factory=dict)
    daemon_code: int | None = None


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Dorset and the charity are approved and held at T0 − 1 s; Wiltshire is never approved."""
    root = queued(tmp_path_factory.mktemp("held"))
    approve(root, "dorset", "charity")
    told = Story(root)
    with daemon(root, "--launch-in", "24s") as child:
        until(lambda: runs(root) and now(root) > LAUNCH - timedelta(seconds=30))
        told.said["second daemon"] = launchday(root, "run")
        told.said["status before"] = launchday(root, "status")
        words = ("hold", "--org", "held", "--as", "w.reed", "--note", "An incident", "--json")
        with poised(root, "stops", *words) as hold:
            until(lambda: now(root) > LAUNCH - timedelta(seconds=1.1))
            told.said["hold"] = hold()
        until(lambda: states(root)["wiltshire/x/launch"] == "missed")
        until(lambda: now(root) > LAUNCH + timedelta(seconds=2))
        told.at_t0, told.out_at_t0 = states(root), len(posts(root))
        told.said["late"] = launchday(root, "approve", "wiltshire/x/launch", "--as", "w.reed")
        told.said["resume"] = launchday(
            root, "release", "--org", "dorset", "--resume", "--as", "p.shah", "--yes"
        )
        until(lambda: {states(root)["dorset/x/launch"], states(root)["dorset/mastodon/launch"]} <= set(OUT))
        told.said["release"] = launchday(
            root, "release", "--org", "charity", "--as", "p.shah", "--yes", "--json"
        )
        told.after = states(root)
        told.said["status after"] = launchday(root, "status", "--json")
        child.send_signal(signal.SIGTERM)
        told.daemon_code = child.wait()
    told.said["status stopped"] = launchday(root, "status")
    told.said["once"] = launchday(root, "run", "--once")
    yield told
    stop_platforms(root)


def test_a_second_daemon_leaves_with_75_and_names_the_first(story: Story) -> None:
    assert story.said["second daemon"].code == 75
    assert "a daemon runs on this database already (process " in story.said["second daemon"].err


def test_status_says_5_while_the_next_wave_lacks_an_approval(story: Story) -> None:
    assert story.said["status before"].code == 5
    assert "lack an approval" in story.said["status before"].out


def test_a_hold_placed_a_second_before_t0_holds(story: Story) -> None:
    held = story.said["hold"]
    assert held.code == 0
    assert sorted(held.json["held"]) == sorted(
        f"{org}/{platform}/{post}"
        for org in ("dorset", "charity")
        for platform in ("x", "mastodon")
        for post in ("launch", "later")
    )
    assert held.json["already_out"] == held.json["in_doubt"] == []
    log = must(story.root, "log", "--type", "hold.started", "--json").json["items"]
    assert all(entry["at"] < "2027-03-09T07:00:00" for entry in log), "the machine was too slow for this test"
    assert story.out_at_t0 == 0
    assert story.at_t0["dorset/x/launch"] == story.at_t0["charity/x/launch"] == "scheduled"


def test_what_is_unapproved_at_t0_is_missed_and_a_late_approval_does_not_publish_it(story: Story) -> None:
    assert story.said["late"].code == 5
    assert story.after["wiltshire/x/launch"] == story.after["wiltshire/mastodon/launch"] == "missed"
    assert not [p for p in posts(story.root) if p.account.startswith("wiltshire")]


def test_release_with_resume_sends_within_the_window(story: Story) -> None:
    assert story.said["resume"].code == 0
    assert {story.after["dorset/x/launch"], story.after["dorset/mastodon/launch"]} <= set(OUT)
    assert first_arrival(story.root) > LAUNCH


def test_release_without_resume_makes_what_was_due_missed(story: Story) -> None:
    assert sorted(story.said["release"].json["missed"]) == ["charity/mastodon/launch", "charity/x/launch"]
    assert story.after["charity/x/launch"] == story.after["charity/mastodon/launch"] == "missed"
    assert len(posts(story.root)) == 2


def test_status_says_6_for_what_was_missed_though_an_approval_lacks_too(story: Story) -> None:
    said = story.said["status after"]
    assert said.code == 6
    counts = dict(said.json["counts"])
    assert sum(counts.pop(state, 0) for state in OUT) == 2
    assert counts == {"missed": 4, "scheduled": 6}
    assert said.json["daemon"]["running"]


def test_sigterm_ends_the_daemon_cleanly(story: Story) -> None:
    assert story.daemon_code == 0
    assert "it was stopped" in story.said["status stopped"].out


def test_a_stopped_daemon_says_7_though_something_was_missed_and_an_approval_lacks(story: Story) -> None:
    assert story.said["status stopped"].code == 7


def test_run_once_says_6_where_something_that_was_due_is_not_out(story: Story) -> None:
    assert story.said["once"].code == 6
    assert "2 published, 4 not out, of 6 due by now." in story.said["once"].out


def test_a_log_that_was_edited_by_hand_does_not_verify_and_says_8_before_7(story: Story) -> None:
    must(story.root, "log", "verify")
    with sqlite3.connect(story.root / ".launchday/simulation/launchday.db") as database:
        (before,) = database.execute("select leaf from entries where seq = 3").fetchone()
        other = bytes(before).replace(b"spring", b"autumn")
        database.execute("update entries set leaf = ? where seq = 3", (other,))
    database.close()
    found = launchday(story.root, "log", "verify")
    assert found.code == 8
    assert "entry 3" in found.err
    assert launchday(story.root, "doctor", "--json").code == 8
    assert launchday(story.root, "status").code == 7
