"""The daemon among people: one organisation only, files broken under it, Ctrl-C, an embargo."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launch.desk import (
    LAUNCH,
    OUT,
    Said,
    approve,
    daemon,
    environment,
    first_arrival,
    launchday,
    must,
    posts,
    queued,
    runs,
    states,
    stop_platforms,
    until,
)
from scheduler.publishers.simulated import process


@dataclass
class Story:
    """`run --org dorset`, with accounts.yaml and a post broken once it runs."""

    root: Path
    talk: str
    held: Said
    early: subprocess.CompletedProcess[str]
    early_posts: int
    code: int


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    root = queued(tmp_path_factory.mktemp("org"))
    approve(root, "dorset", "charity", "wiltshire")
    right = (root / "accounts.yaml").read_text("utf-8")
    with daemon(root, "--org", "dorset", "--launch-in", "30s") as child:
        until(lambda: runs(root) and (root / ".launchday/simulation/platforms/ready.json").exists())
        (root / "posts/spring/01-launch.md").write_text("no front matter at all", "utf-8")
        held = launchday(
            root, "hold", "--org", "charity", "--as", "p.shah", "--note", "While files are broken"
        )
        early = _called_early(root)
        early_posts = len(posts(root))
        (root / "accounts.yaml").write_text(right.replace("organisations:", "organisatons:"), "utf-8")
        until(lambda: b"wave  " in (root / "daemon.txt").read_bytes().partition(b"accounts.yaml is wrong")[2])
        child.send_signal(signal.SIGINT)
        code = child.wait()
    (root / "accounts.yaml").write_text(right, "utf-8")
    talk = (root / "daemon.txt").read_text("utf-8")
    yield Story(root, talk, held, early, early_posts, code)
    stop_platforms(root)


def _called_early(root: Path) -> subprocess.CompletedProcess[str]:
    """A waker that calls too early: for everything due until noon, as soon as it is ready."""
    job = ["wave", "--overdue", "--at", "2027-03-09T12:00:00.000Z", "--org", "wiltshire"]
    return subprocess.run(
        [sys.executable, "-m", "scheduler.sender", *job, "--root", str(root), "--mode", "simulation"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )


def test_run_org_sends_only_that_organisation(story: Story) -> None:
    assert {p.account for p in posts(story.root)} == {"dorset/x", "dorset/mastodon"}
    found = states(story.root, "launch")
    assert {found["dorset/x/launch"], found["dorset/mastodon/launch"]} <= set(OUT)
    assert {s for d, s in found.items() if not d.startswith("dorset")} == {"scheduled"}


def test_a_hold_works_while_the_posts_are_broken(story: Story) -> None:
    assert story.held.code == 0, story.held.err
    assert "Held 4 that waited (org:charity)." in story.held.out


def test_a_daemon_launches_by_the_last_accounts_that_were_right_and_says_so(story: Story) -> None:
    assert "accounts.yaml is wrong, the last good one holds." in story.talk
    assert "launchday check" in story.talk
    assert "wave        2 of 2 published" in story.talk
    assert first_arrival(story.root) >= LAUNCH


def test_a_post_cannot_leave_before_its_embargo_even_when_a_waker_calls_early(story: Story) -> None:
    assert story.early.returncode == 0, story.early.stderr
    assert story.early_posts == 0
    assert not [p for p in posts(story.root) if p.account.startswith("wiltshire")]
    log = must(story.root, "log", "--org", "wiltshire", "--type", "publish", "--json").json["items"]
    assert log == []


def test_ctrl_c_ends_the_daemon_with_130(story: Story) -> None:
    assert story.code == 130
    assert "Interrupted." in story.talk


def test_simulated_platforms_that_were_killed_are_started_for_the_next_sender(tmp_path: Path) -> None:
    root = queued(tmp_path)
    approve(root, "dorset", "charity", "wiltshire")
    folder = root / ".launchday/simulation/platforms"
    with daemon(root, "--launch-in", "20s") as child:
        found = until(lambda: runs(root) and process.running(folder))
        found.kill()
        until(lambda: b"wave        6 of 6 published" in (root / "daemon.txt").read_bytes())
        assert process.running(folder).pid != found.pid
        child.send_signal(signal.SIGTERM)
        assert child.wait() == 0
    assert len(posts(root)) == 6
    assert process.running(folder) is None
