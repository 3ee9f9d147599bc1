"""Every code that can be raised is explained, and nothing is explained that cannot be raised."""

from __future__ import annotations

import re
from pathlib import Path

import scheduler
from scheduler.files.codes import explanations

HOUSE = Path(scheduler.__file__).parent


def used() -> set[str]:
    rooms = (HOUSE / room for room in ("domain", "files", "services"))
    texts = (path.read_text(encoding="utf-8") for room in rooms for path in room.glob("*.py"))
    return {code for text in texts for code in re.findall(r'"([EW][0-9]{3})"', text)}


def test_every_code_is_explained_and_every_explanation_has_its_code() -> None:
    assert set(explanations()) == used()


def test_no_heading_of_the_file_is_lost_in_reading_it() -> None:
    text = (HOUSE / "files/codes.md").read_text(encoding="utf-8")
    assert re.findall(r"^## ([EW][0-9]{3})", text, re.M) == list(explanations())


def test_each_has_a_wrong_and_a_right_example_that_differ() -> None:
    for explanation in explanations().values():
        assert explanation.why
        assert explanation.wrong != explanation.right
