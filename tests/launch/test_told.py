"""A launch that leaves one organisation behind: its people are told by the daemon, by name, and answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launch.desk import Said, approve, launchday, must, queued, stop_platforms
from tests.mailbox import Kept, Mailbox


@dataclass
class Story:
    """`run --once` with wiltshire's approval missing, a mailbox on loopback, and what people did then."""

    root: Path
    run: Said
    letters: list[Kept]
    listed: Said
    status: Said
    stranger: Said
    acknowledged: Said
    after: Said


NOTIFY = """
notify:
  to: [j.doyle]
  email: {{server: 127.0.0.1, port: {port}, tls: none, from: launchday@dorset.example}}
"""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    root = queued(tmp_path_factory.mktemp("told"))
    box = Mailbox()
    accounts = (root / "accounts.yaml").read_text("utf-8")
    accounts = accounts.replace("os_user: wreed}", "os_user: wreed, email: w.reed@wiltshire.example}")
    (root / "accounts.yaml").write_text(accounts + NOTIFY.format(port=box.port), "utf-8")
    approve(root, "dorset", "charity")
    run = launchday(root, "run", "--once", "--launch-in", "9s")
    listed = must(root, "notices")
    story = Story(
        root=root,
        run=run,
        letters=list(box.kept),
        listed=listed,
        status=launchday(root, "status"),
        stranger=launchday(root, "ack", "--all"),
        acknowledged=launchday(
            root, "ack", "wiltshire/x/launch", "--as", "w.reed", "--note", "Calling round"
        ),
        after=must(root, "notices", "--all", "--json"),
    )
    yield story
    stop_platforms(root)
    box.stop()


def test_the_approver_of_the_organisation_left_behind_is_told_why_in_one_letter(story: Story) -> None:
    assert story.run.code == 6
    (kept,) = story.letters
    assert (kept.to, kept.letter["Subject"]) == (
        "w.reed@wiltshire.example",
        "SIMULATION [Launchday] 2 × missed · The wiltshire organisation",
    )
    text = kept.letter.get_content()
    for name in ("wiltshire/mastodon/launch", "wiltshire/x/launch"):
        assert f"- {name} was missed and is certainly not out: " in text
    assert "Come and see us" not in kept.raw.decode()


def test_the_daemon_says_whom_it_told(story: Story) -> None:
    told = [line for line in story.run.err.splitlines() if line.startswith("told ")]
    assert told == ["told        SIMULATION [Launchday] 2 × missed · The wiltshire organisation: told w.reed"]


def test_status_names_open_notices(story: Story) -> None:
    assert "notices: 2 told and not acknowledged, 0 not told yet: launchday notices" in story.status.out


def test_notices_lists_each_with_whom_it_reached(story: Story) -> None:
    head, *rows = [line.split("\t") for line in story.listed.out.splitlines()]
    assert head == ["notice", "since", "state", "topic", "told", "what about it"]
    assert [row[2:5] for row in rows] == [["told", "missed", "w.reed"]] * 2


def test_a_stranger_acknowledges_nothing(story: Story) -> None:
    assert story.stranger.code == 5
    assert "nobody in accounts.yaml" in story.stranger.err


def test_an_acknowledgement_is_kept_with_its_person(story: Story) -> None:
    assert story.acknowledged.code == 0
    assert story.acknowledged.err == "Acknowledged 1 notice as w.reed.\n"
    rows = {row["about"]: row for row in json.loads(story.after.out)["items"]}
    assert rows["wiltshire/x/launch"]["acknowledged_by"] == "w.reed"
    assert rows["wiltshire/mastodon/launch"]["state"] == "told"


def test_the_log_has_one_entry_for_the_message_and_one_for_the_answer(story: Story) -> None:
    said = must(story.root, "log", "--type", "notice", "--json")
    entries = json.loads(said.out)["items"]
    assert [e["type"] for e in entries] == ["notice.told", "notice.acknowledged"]
    assert "wiltshire.example" not in said.out
