"""doctor --watch sees what no daemon can say of itself, and tells people: once, and when it is over."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from launch.desk import (
    Said,
    daemon,
    environment,
    inside,
    must,
    queued,
    runs,
    stop_platforms,
    until,
)
from scheduler.app import open_app
from scheduler.observer import Observer
from scheduler.services.tell import tell
from tests.mailbox import Mailbox

NOTIFY = """
notify:
  to: [j.doyle]
  email: {{server: 127.0.0.1, port: {port}, tls: none, from: launchday@dorset.example}}
"""


@pytest.fixture
def box() -> Iterator[Mailbox]:
    made = Mailbox()
    yield made
    made.stop()


@pytest.fixture
def root(tmp_path: Path, box: Mailbox) -> Iterator[Path]:
    made = queued(tmp_path)
    accounts = (made / "accounts.yaml").read_text("utf-8")
    accounts = accounts.replace("os_user: jdoyle}", "os_user: jdoyle, email: j.doyle@dorset.example}")
    (made / "accounts.yaml").write_text(accounts + NOTIFY.format(port=box.port), "utf-8")
    yield made
    stop_platforms(made)


def look(root: Path) -> Said:
    """What `doctor --watch --once` does, in this process, which is quicker."""
    lines: list[str] = []
    code = Observer(root, "simulation", lines.append, {}).round()
    return Said(code, "", "\n".join(lines))


def subjects(box: Mailbox) -> list[str]:
    return [str(k.letter["Subject"]) for k in box.kept]


DOWN = "SIMULATION [Launchday] the daemon does not run"


def test_a_daemon_that_was_killed_is_told_once_and_again_when_it_is_back(root: Path, box: Mailbox) -> None:
    with daemon(root) as child:
        until(lambda: runs(root) and (root / ".launchday/simulation/daemon.json").exists())
        child.kill()
        child.wait()
    first = look(root)
    assert first.code == 7
    assert (
        "wrong       The daemon does not run (it was killed or crashed), and 6 deliveries are due"
        in first.err
    )
    assert subjects(box) == [DOWN]
    assert box.kept[0].to == "j.doyle@dorset.example"
    assert look(root).code == 7
    assert subjects(box) == [DOWN]
    with daemon(root) as child:
        until(lambda: runs(root))
        back = look(root)
        assert back.code == 0
        child.send_signal(signal.SIGTERM)
        child.wait()
    assert subjects(box) == [DOWN, "SIMULATION [Launchday] OVER: the daemon does not run"]
    assert "launchday ack" not in box.kept[0].letter.get_content()


def test_a_daemon_that_stands_still_is_seen_though_it_holds_its_lock(root: Path, box: Mailbox) -> None:
    with daemon(root) as child:
        until(lambda: runs(root) and (root / ".launchday/simulation/daemon.json").exists())
        os.kill(child.pid, signal.SIGSTOP)
        beat = root / ".launchday/simulation/daemon.json"
        text = beat.read_text("utf-8")
        at = text.partition('"at": "')[2][:24]
        beat.write_text(text.replace(at, "2020-01-01T00:00:00.000Z"), "utf-8")
        seen = look(root)
        os.kill(child.pid, signal.SIGCONT)
        child.send_signal(signal.SIGTERM)
        child.wait()
    assert seen.code == 7
    assert "The daemon stands still: it has said nothing since 2020-01-01" in seen.err
    assert subjects(box) == ["SIMULATION [Launchday] the daemon stands still"]


def test_with_the_database_damaged_people_are_told_all_the_same(root: Path, box: Mailbox) -> None:
    path = root / ".launchday/simulation/launchday.db"
    for tail in ("-wal", "-shm"):
        path.with_name(path.name + tail).unlink(missing_ok=True)
    path.write_bytes(b"this is no database at all " * 400)
    seen = look(root)
    assert seen.code == 7
    assert "wrong       The database cannot be used: " in seen.err
    assert sorted(subjects(box)) == [
        "SIMULATION [Launchday] the daemon does not run",
        "SIMULATION [Launchday] the database",
    ]
    assert look(root).code == 7
    assert len(box.kept) == 2


def test_with_nowhere_to_write_people_are_told_all_the_same(root: Path, box: Mailbox) -> None:
    for name in ("observer.lock", "observer.json"):
        (root / ".launchday/simulation" / name).mkdir()  # what cannot be opened for writing by anybody
    lines: list[str] = []
    observer = Observer(root, "simulation", lines.append, {})
    assert observer.round() == 7
    assert subjects(box) == [DOWN]
    observer.round()
    assert subjects(box) == [DOWN]  # it knows itself what it has told, as long as it stays


def test_with_the_database_locked_people_are_told_all_the_same(root: Path, box: Mailbox) -> None:
    path = root / ".launchday/simulation/launchday.db"
    with sqlite3.connect(path, isolation_level=None) as conn:
        conn.execute("pragma locking_mode=exclusive")
        conn.execute("begin exclusive")
        conn.execute("update control set stop_epoch = stop_epoch")
        seen = look(root)
        conn.execute("rollback")
    conn.close()
    assert seen.code == 7
    assert "The database cannot be used: " in seen.err
    assert "SIMULATION [Launchday] the database" in subjects(box)


def test_a_mail_server_that_is_down_is_asked_again_at_the_next_look(root: Path, box: Mailbox) -> None:
    box.fault = "refused"
    refused = look(root)
    assert (
        "not told    SIMULATION [Launchday] the daemon does not run: e-mail j.doyle the mail" in refused.err
    )
    box.fault = "ok"
    assert look(root).code == 7
    assert subjects(box) == [DOWN]


def test_where_no_daemon_would_the_observer_tells_what_waits_to_be_told(root: Path, box: Mailbox) -> None:
    app = open_app(root, "simulation", environ={})
    with app.db.write() as conn:
        before = app.clock.now() - timedelta(minutes=1)
        tell(conn, before, "held", "dorset/x", "Its token was refused.", organisation="dorset")
    app.close()
    assert "told        SIMULATION [Launchday] held · dorset/x" in look(root).err
    assert len(box.kept) == 2


def test_nothing_waits_and_no_daemon_runs_is_alright(root: Path, box: Mailbox) -> None:
    must(root, "cancel", "--campaign", "spring", "--as", "j.doyle", "--yes")
    assert look(root).code == 0
    assert box.kept == []


def test_while_accounts_yaml_is_wrong_the_last_good_one_says_whom_to_tell(root: Path, box: Mailbox) -> None:
    with daemon(root) as child:
        until(lambda: (root / ".launchday/simulation/accounts/accounts.yaml").exists() and runs(root))
        child.kill()
        child.wait()
    (root / "accounts.yaml").write_text("organisatons: {}\n", "utf-8")
    assert look(root).code == 7
    assert subjects(box) == [DOWN]


def test_it_stays_until_it_is_asked_to_leave_and_two_never_watch_at_once(root: Path, box: Mailbox) -> None:
    command = [sys.executable, "-m", "scheduler", "-C", str(root), "doctor", "--watch", "--every", "1s"]
    talk = root / "observer.txt"
    with talk.open("wb") as out:
        child = subprocess.Popen(command, stdout=out, stderr=out, env=environment())
    until(lambda: b"told " in talk.read_bytes())
    child.send_signal(signal.SIGTERM)
    assert child.wait() == 7
    assert subjects(box) == [DOWN]
    assert b"Traceback" not in talk.read_bytes()


@pytest.mark.parametrize("arguments", [("--once",), ("--watch", "--json"), ("--watch", "--every", "soon")])
def test_what_cannot_be_is_a_usage_error(root: Path, arguments: tuple[str, ...]) -> None:
    assert inside(root, "doctor", *arguments).code == 2


def test_systemd_hears_of_the_daemon_that_it_is_ready_alive_and_stopping(root: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify.sock"))
        sock.settimeout(60)
        spoken = {"NOTIFY_SOCKET": str(tmp_path / "notify.sock"), "WATCHDOG_USEC": "3000000"}
        with daemon(root, **spoken) as child:
            heard = [sock.recv(1000).decode() for _ in range(3)]
            child.send_signal(signal.SIGTERM)
            while not heard[-1].startswith("STOPPING=1"):
                heard.append(sock.recv(1000).decode())
            assert child.wait() == 0
    assert "READY=1\nSTATUS=publishes what is approved and due" in heard
    assert heard.count("WATCHDOG=1") >= 2
