"""An auditor's question is one command; a finding is exit 9."""

import json
from pathlib import Path

from launch.desk import launchday

from cli.story import Story


def test_9_what_was_missed_is_a_finding(desk: Path) -> None:
    assert launchday(desk, "queue", "--yes").code == 0
    assert launchday(desk, "audit", "late").code == 0
    assert launchday(desk, "run", "--once", "--launch-in", "2s").code == 6
    said = launchday(desk, "audit", "late", "--json")
    assert said.code == 9
    answer = json.loads(said.out)
    assert answer["schema"] == "launchday.audit/1"
    assert answer["items"]
    assert all("unapproved" in found["said"] for found in answer["items"])


def test_a_launch_that_went_well_leaves_nothing_to_find(story: Story) -> None:
    for question in ("differences", "own-work", "during-holds", "late", "unknown"):
        assert launchday(story.root, "audit", question).code == 0


def test_questions_are_listed_and_unknown_ones_refused(desk: Path) -> None:
    listed = launchday(desk, "audit")
    assert listed.code == 0
    assert "own-work" in listed.out
    assert launchday(desk, "audit", "nothing").code == 2
