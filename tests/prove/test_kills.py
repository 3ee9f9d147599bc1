"""kill -9 at every step, in small: the same launches as `make prove`, and the same bars."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.prove import kills
from tests.prove.__main__ import judged


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    if request.param == "postgresql":
        request.getfixturevalue("postgres")  # left out, or failed, as everywhere
    return str(request.param)


def quiet(_: str) -> None:
    pass


def test_whatever_is_killed_when_nothing_goes_twice_and_nothing_is_lost(
    database: str, tmp_path: Path
) -> None:
    total = kills.on(tmp_path / "lives", database, 7, 20270309, quiet, kills.killed)
    assert (total.cycles >= 7, dict(total.wrong)) == (True, {})
    assert len(total.hit) > 4, "the kills all fell into the same few steps"


@pytest.mark.parametrize(("way", "what"), [("retry", "duplicates"), ("mark", "lost")])
def test_a_sender_that_does_not_think_of_crashes_is_found_out(way: str, what: str, tmp_path: Path) -> None:
    total = kills.on(
        tmp_path / way, "sqlite", 2, 1, quiet, kills.naively,
        module="tests.prove.naive", more=("--way", way),
    )  # fmt: skip
    assert total.wrong[what] > 0


def test_a_figure_that_is_missing_breaks_its_bar_as_one_that_is_wrong_does() -> None:
    good = {"duplicates": 0, "lost": 0, "kills_ok": True}
    assert judged("kills", good, full=False) == []
    assert judged("kills", {**good, "lost": 1}, full=False) == ["lost is 1, and should be 0"]
    assert judged("kills", {"duplicates": 0, "lost": 0}, full=False)
    assert judged("kills", good, full=True)
