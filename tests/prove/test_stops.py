"""A sender that is stopped over its time dies instead of sending late: `make prove` in small."""

from __future__ import annotations

from pathlib import Path

from tests.prove import stops


def quiet(_: str) -> None:
    pass


def test_a_sender_that_was_stopped_over_its_time_sends_nothing_late_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    total = stops.on(tmp_path / "fenced", "sqlite", 6, 20270309, quiet)
    assert (total.stops >= 6, total.late, dict(total.wrong)) == (True, 0, {})


def test_without_its_fence_it_sends_late(tmp_path: Path) -> None:
    assert stops.on(tmp_path / "bare", "sqlite", 2, 20270309, quiet, fence=False).late > 0
