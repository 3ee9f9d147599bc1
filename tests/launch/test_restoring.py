"""backup, restore, safe mode and a damaged state folder, as commands in processes of their own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from launch.desk import (
    LAUNCH,
    OUT,
    approve,
    daemon,
    inside,
    launchday,
    must,
    posts,
    queued,
    states,
    stop_platforms,
    until,
)
from scheduler.app import open_app
from scheduler.services import clock as clocks

STATE = ".launchday/simulation"
THREE = ("dorset", "charity", "wiltshire")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield queued(tmp_path)
    stop_platforms(tmp_path)


def launched(root: Path) -> bool:
    return all(s in OUT for n, s in states(root).items() if n.endswith("/launch"))


def test_yesterdays_file_put_back_sends_nothing_twice(root: Path) -> None:
    approve(root, *THREE)
    app = open_app(root, "simulation", environ={})
    clocks.move_to(app.db, app.clock, LAUNCH - timedelta(seconds=6))
    app.close()
    place = root / STATE / "launchday.db"
    shutil.copy(place, root / "yesterday.db")
    with daemon(root) as child:
        until(lambda: launched(root))
        child.terminate()
        child.wait()
    shutil.copy(root / "yesterday.db", place)
    assert "SAFE MODE" in inside(root, "status").out
    release = ("release", "--safe-mode", "--yes", "--note", "nothing was held", "--as", "j.doyle")
    assert inside(root, *release).code == 75  # six are still being looked for
    with daemon(root):
        until(lambda: launched(root))
    must(root, *release)
    assert len(posts(root)) == 6
    must(root, "log", "verify")


def test_backup_and_restore_are_commands_and_a_daemon_keeps_restore_out(root: Path) -> None:
    file = str(root / "copy.db")
    must(root, "backup", file)
    assert inside(root, "backup", file).code == 1
    with daemon(root) as child:
        until((root / STATE / "daemon.json").exists)
        assert inside(root, "restore", file, "--yes").code == 75
        child.terminate()
        child.wait()
    said = must(root, "restore", file, "--yes", "--json").json
    assert said["safe_mode"] is True
    assert Path(said["kept"]).exists()
    assert must(root, "upgrade", "--json").json["backup"] == ""


def test_a_deleted_database_is_an_alarm_and_not_a_fresh_start(root: Path) -> None:
    (root / STATE / "launchday.db").unlink()
    said = inside(root, "status", "--json")
    assert said.code == 1  # neither is it alright, nor is queueing the next step
    assert "were written" in said.json["safe_mode"]
    assert said.json["next"].startswith("launchday run")
    assert "safe mode" in launchday(root, "doctor").out
    with daemon(root):
        until(lambda: "SAFE MODE   nothing is sent" in (root / "daemon.txt").read_text())
    must(root, "queue", "--yes", "--as", "a.hart")
    must(root, "release", "--safe-mode", "--yes", "--note", "I looked", "--as", "j.doyle")
    assert inside(root, "status", "--json").json["safe_mode"] == ""


def test_a_damaged_mark_is_an_alarm_in_words(root: Path) -> None:
    (root / STATE / "high-water").write_bytes(b"")
    assert "mark is damaged" in inside(root, "status", "--json").json["safe_mode"]


def test_a_damaged_database_is_refused_by_run_in_words_and_a_backup_replaces_it(root: Path) -> None:
    file = str(root / "copy.db")
    must(root, "backup", file)
    place = root / STATE / "launchday.db"
    with place.open("r+b") as damaged:
        damaged.seek(4096 * 4)
        damaged.write(b"\xa5" * (place.stat().st_size - 4096 * 4))
    said = launchday(root, "run", "--once")
    assert said.code == 1
    assert "damaged" in said.err
    must(root, "restore", file, "--yes")
    assert len(states(root)) == 12
