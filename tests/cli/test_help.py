"""Help: quick, and for every command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from launch.desk import environment, launchday

from scheduler.cli.main import COMMANDS, SECTIONS, cli

HEAVY = {"sqlmodel", "sqlalchemy", "requests", "apscheduler", "rich", "ruamel", "jinja2", "PIL", "alembic"}


def _imported(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "scheduler", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    return {m.partition(".")[0] for m in re.findall(r"^import time:.*\|\s+(\S+)$", done.stderr, re.MULTILINE)}


def test_help_loads_neither_database_nor_http_nor_waker_nor_anything_heavy() -> None:
    found = _imported("--help")
    assert "click" in found
    assert found & HEAVY == set()


def test_a_mistyped_command_loads_nothing_heavy_either() -> None:
    assert _imported("stauts") & HEAVY == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_a_line_about_itself(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    section, _, line = COMMANDS[name]
    assert section in SECTIONS
    assert line.endswith((".", "…", "it."))
    assert cli.main([name, "-h"], standalone_mode=False, prog_name="launchday") == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: launchday {name} ")
    assert "-h, --help" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_says_what_it_does(name: str) -> None:
    command = cli.get_command(None, name)  # type: ignore[arg-type]
    for parameter in command.params:
        if parameter.param_type_name == "option" and not parameter.hidden:
            assert parameter.help, f"{name} {parameter.opts[0]}"


def test_help_lists_every_command_with_its_line(tmp_path: Path) -> None:
    said = launchday(tmp_path, "--help").out
    for name, (_, _, line) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line[:20])}", said, re.MULTILINE), name


def test_a_mistyped_command_is_answered_with_the_nearest(tmp_path: Path) -> None:
    said = launchday(tmp_path, "stauts")
    assert said.code == 2
    assert "Did you mean 'status'?" in said.err


def test_launchday_alone_shows_the_help(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scheduler"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert done.returncode == 2
    assert "Usage: launchday" in done.stderr
    assert "rehearse" in done.stderr
