"""init makes a workspace that passes check, and never overwrites."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from scheduler.errors import UsageError
from scheduler.files.starter import make_workspace
from scheduler.publishers import registry
from scheduler.services.check import check


def launchday(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scheduler", *args],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )


def test_the_new_workspace_passes_check_without_a_warning(tmp_path: Path) -> None:
    make_workspace(tmp_path, date(2027, 1, 4), "jo")
    report = check(tmp_path, registry.load(registry.installed()), datetime(2027, 1, 4, tzinfo=UTC))
    assert report.problems == ()
    assert report.campaigns[0].deliveries == 4


def test_every_day_of_the_year_gives_a_launch_that_can_be_read(tmp_path: Path) -> None:
    for day in range(0, 366, 5):
        today = date.fromordinal(date(2027, 1, 1).toordinal() + day)
        root = tmp_path / str(day)
        make_workspace(root, today, "jo")
        assert check(root, {}, datetime(today.year, today.month, today.day, tzinfo=UTC)).problems == ()


def test_nothing_is_written_where_anything_exists(tmp_path: Path) -> None:
    (tmp_path / "accounts.yaml").write_text("mine")
    with pytest.raises(UsageError, match="nothing was written"):
        make_workspace(tmp_path, date(2027, 1, 4), "jo")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["accounts.yaml"]


def test_the_command_says_what_comes_next(tmp_path: Path) -> None:
    made = launchday("init", str(tmp_path / "new"))
    assert made.returncode == 0
    assert "check" in made.stderr
    assert launchday("-C", str(tmp_path / "new"), "check").returncode == 0
    assert launchday("init", str(tmp_path / "new")).returncode == 2
