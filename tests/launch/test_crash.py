"""kill -9 in the middle of a launch: counted as doubt, looked for, never sent twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launch.desk import (
    LAUNCH,
    Said,
    approve,
    daemon,
    first_arrival,
    launchday,
    must,
    posts,
    queued,
    stop_platforms,
)


@dataclass
class Story:
    """A daemon and its sender killed after 3 of 6 requests; then status, and a run that recovers."""

    root: Path
    killed: int
    status: Said
    screen: Said
    recovery: Said


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    root = queued(tmp_path_factory.mktemp("killed"))
    approve(root, "dorset", "charity", "wiltshire")
    with daemon(root, "--launch-in", "8s", "--crash-after", "3") as child:
        killed = child.wait(timeout=60)
    status, screen = launchday(root, "status", "--json"), launchday(root, "status")
    yield Story(root, killed, status, screen, launchday(root, "run", "--once"))
    stop_platforms(root)


def test_after_kill_9_published_and_in_doubt_and_waiting_are_still_all_there_are(story: Story) -> None:
    assert story.killed == -9
    launch = [i for i in story.status.json["items"] if i["post"] == "launch"]
    counts = Counter(i["state"] for i in launch)
    out = counts["published"] + counts["verified"]
    assert out + counts["publishing"] + counts["unconfirmed"] == 6
    assert counts["publishing"] > 0


def test_status_says_7_and_how_many_are_in_doubt_and_what_to_do(story: Story) -> None:
    assert story.status.code == story.screen.code == 7
    assert "no goodbye: killed or crashed" in story.screen.out
    doubt = sum(i["state"] in ("publishing", "unconfirmed") for i in story.status.json["items"])
    assert f"{doubt} in doubt" in story.screen.out
    assert "Nothing is lost and nothing will be sent twice" in story.screen.out
    assert "Next: launchday run" in story.screen.err


def test_run_once_recovers_and_every_post_is_out_exactly_once(story: Story) -> None:
    assert story.recovery.code == 0, story.recovery.err
    assert "6 published, 0 not out, of 6 due by now." in story.recovery.out
    assert "recovery    " in story.recovery.err
    assert Counter(p.account for p in posts(story.root) if not p.deleted) == {
        f"{org}/{platform}": 1 for org in ("dorset", "charity", "wiltshire") for platform in ("x", "mastodon")
    }


def test_nothing_had_left_before_t0(story: Story) -> None:
    assert first_arrival(story.root) >= LAUNCH


def test_the_log_of_a_crash_and_its_recovery_verifies(story: Story) -> None:
    assert "6 published" in must(story.root, "log", "verify").out
    types = {e["type"] for e in must(story.root, "log", "--json").json["items"]}
    assert {"publish.attempted", "publish.unknown", "publish.reconciled"} <= types
