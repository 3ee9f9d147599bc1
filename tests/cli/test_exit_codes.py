"""Every exit code of product.md, reached. (6, 7 and 8 as a launch leaves them: tests/launch.)"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from launch.desk import environment, inside, launchday, must, small

from scheduler.cli.session import os_user
from scheduler.publishers.simulated import ledger, process
from scheduler.store import lock


def test_0_done(waiting: Path) -> None:
    assert launchday(waiting, "list").code == 0


def test_1_a_damaged_database_is_a_failure_in_plain_words(desk: Path) -> None:
    must(desk, "queue", "--yes")
    (desk / ".launchday/simulation/launchday.db").write_bytes(b"no database at all" * 400)
    said = launchday(desk, "status")
    assert said.code == 1
    assert "database" in said.err
    assert "= help:" in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("status", "--jsn"), "Did you mean '--json'?"),
        (("list", "nowhere/x/launch"), "is not a delivery or a post that is queued"),
        (("list", "--org", "dorst"), "did you mean 'dorset'?"),
        (("list", "--campaign", "nix"), "'nix' is not a campaign"),
        (("plan", "--campaign", "nix"), "no campaign 'nix'"),
        (("status", "--campaign", "nix"), "'nix' is not a campaign"),
        (("watch", "--campaign", "nix"), "'nix' is not a campaign"),
        (("timeline", "--campaign", "nix"), "'nix' is not a campaign"),
        (("log", "--campaign", "nix"), "'nix' is not a campaign"),
        (("log", "--since", "whenever"), "--since 'whenever'"),
        (("run", "--launch-in", "soon"), "--launch-in 'soon'"),
        (("run", "--live"), "--live needs mode: live in accounts.yaml too"),
        (("run", "--org", "nix"), "'nix' is not an organisation"),
        (("hold", "--all", "--as", "j.doyle"), "a hold needs its reason"),
        (("hold", "--as", "j.doyle", "--note", "x"), "exactly one of --all"),
        (("release", "--all", "--as", "j.doyle", "--yes"), "held now: nothing"),
        (("release", "--all", "--as", "j.doyle"), "give --yes to go ahead"),
        (("reject", "launch", "--as", "j.doyle"), "a rejection needs its reason"),
        (("cancel", "--as", "j.doyle", "--yes"), "say which deliveries"),
        (("move", "launch", "--to", "tomorrow", "--as", "j.doyle", "--yes"), "'tomorrow' is not a time"),
        (("approve", "--as", "nobody"), "'nobody' is nobody in accounts.yaml"),
        (("release", "--safe-mode", "--as", "j.doyle"), "End safe mode?"),
        (("release", "--safe-mode", "--all", "--as", "j.doyle"), "launchday release --all"),
        (("resolve", "dorset/x/launch", "--as", "j.doyle"), "say what became of it: --published URL"),
        (("restore", "nowhere.db"), "nowhere.db does not exist"),
        (("queue", "--no-input"), "give --yes to go ahead"),
    ],
)
def test_2_usage(desk: Path, waiting: Path, arguments: tuple[str, ...], words: str) -> None:
    said = inside(desk if arguments[0] == "queue" else waiting, *arguments)
    assert said.code == 2, said
    assert words in said.err


def test_2_a_folder_that_is_no_workspace_is_told_where_to_go(tmp_path: Path) -> None:
    said = launchday(tmp_path, "status")
    assert said.code == 2
    assert "launchday init" in said.err


@pytest.mark.parametrize("command", ["check", "plan", "queue", "rehearse", "preview"])
def test_3_wrong_files_are_named_with_their_place(desk: Path, command: str) -> None:
    post = desk / "posts/spring/01-launch.md"
    post.write_text(post.read_text("utf-8").replace("aim:", "iam:"), "utf-8")
    said = inside(desk, command, *(["--yes"] if command == "queue" else []))
    assert said.code == 3
    assert "posts/spring/01-launch.md:4:1" in said.out + said.err


HOUR = timedelta(hours=1)
LIVE_ACCOUNTS = """\
mode: live
zone: Etc/UTC
organisations:
  dorset:
    name: Dorset
    area: Dorset
    accounts:
      mastodon: {{handle: "@dorset@localhost", server: "{server}", token: "env:NOBODY_SETS_THIS"}}
people:
  j.doyle: {{name: Jo Doyle, org: dorset, roles: [author, approver], os_user: jdoyle}}
  me: {{name: Me, org: dorset, roles: [{role}], os_user: "{user}"}}
"""
LIVE_CAMPAIGN = """\
name: Spring
launch: {launch}
embargo: {embargo}
window: 10m
to: everyone
platforms: [mastodon]
link: "https://www.example.org/"
hashtags: ["#Spring"]
aims:
  help: People know where help is.
approval: {{each_org: 1, not_author: false, close: {launch}}}
"""


def _live(root: Path, server: str, role: str = "approver") -> Path:
    """`mode: live`, one account on a loopback server; its post has been due for less than a minute."""
    small(root)
    (root / "posts/spring/02-later.md").unlink()
    (root / "accounts.yaml").write_text(
        LIVE_ACCOUNTS.format(server=server, user=os_user(), role=role), "utf-8"
    )
    now = datetime.now(UTC)
    shown = [f"{at:%a} {at.day} {at:%B %Y %H:%M}" for at in (now + HOUR, now - HOUR, now)]
    campaign = LIVE_CAMPAIGN.format(launch=shown[0], embargo=shown[1])
    (root / "posts/spring/campaign.yaml").write_text(campaign, "utf-8")
    post = root / "posts/spring/01-launch.md"
    post.write_text(post.read_text("utf-8").replace("at: launch", f"at: {shown[2]}"), "utf-8")
    must(root, "queue", "--yes")
    return root


def test_4_run_live_without_its_secrets_sends_nothing_and_names_them(tmp_path: Path) -> None:
    platforms = process.start(tmp_path / "platforms", tied=True)
    try:
        root = _live(tmp_path / "live", platforms.servers["mastodon"])
        must(root, "approve")
        said = launchday(root, "run", "--live", "--once")
    finally:
        platforms.stop()
    assert said.code == 4, said
    assert "dorset/mastodon" in said.err
    assert "NOBODY_SETS_THIS" in said.err
    assert "launchday doctor" in said.err
    assert ledger.arrivals(tmp_path / "platforms") == []
    # doctor knows too, one line for each, and says how to mend it.
    examined = launchday(root, "doctor", "--json")
    assert examined.code == 7, "a needed daemon that does not run weighs more than a secret"
    assert any(i["what"] == "secrets" and i["level"] == "bad" and i["fix"] for i in examined.json["items"])


def test_5_who_acts_in_live_is_the_kernels_word_and_no_variable_and_no_option(tmp_path: Path) -> None:
    root = _live(tmp_path / "live", "http://127.0.0.1:9", role="author")
    said = launchday(root, "approve", LOGNAME="jdoyle", USER="jdoyle", USERNAME="jdoyle")
    assert said.code == 5
    assert launchday(root, "reject", "launch", "--note", "no", LOGNAME="jdoyle").code == 5
    acting_as = launchday(root, "approve", "--as", "j.doyle")
    assert acting_as.code == 2
    assert "--as works in simulation only" in acting_as.err


def test_5_an_approval_that_is_not_ones_to_give_is_refused(waiting: Path) -> None:
    for person, words in (("a.hart", "not_author is on"), ("p.shah", "does not speak for dorset")):
        said = launchday(waiting, "approve", "--org", "dorset", "--as", person)
        assert said.code == 5
        assert words in said.err


def test_7_status_of_a_workspace_whose_daemon_is_needed_and_does_not_run(waiting: Path) -> None:
    said = launchday(waiting, "status")
    assert said.code == 7
    assert "DAEMON STOPPED" in said.out


def test_8_a_missing_entry_of_the_log_comes_before_everything_else(desk: Path) -> None:
    must(desk, "queue", "--yes")
    with sqlite3.connect(desk / ".launchday/simulation/launchday.db") as database:
        database.execute("delete from entries where seq = 5")
    database.close()
    said = launchday(desk, "log", "verify")
    assert said.code == 8
    assert "entry 5 is missing" in said.err
    # The daemon does not run either, and approvals lack: 8 comes first.
    assert launchday(desk, "doctor").code == 8


def test_10_plan_with_exit_code_says_whether_something_would_change(desk: Path) -> None:
    assert launchday(desk, "plan").code == 0
    assert launchday(desk, "plan", "--exit-code").code == 10
    must(desk, "queue", "--yes")
    assert launchday(desk, "plan", "--exit-code").code == 0


@pytest.mark.parametrize(
    ("file", "command"), [("simulation/daemon.lock", "run"), ("rehearsal.lock", "rehearse")]
)
def test_75_somebody_else_is_at_it(desk: Path, file: str, command: str) -> None:
    with lock.Lock(desk / ".launchday" / file, "somebody"):
        said = launchday(desk, command)
    assert said.code == 75
    assert "already (process " in said.err
    assert "kill " in said.err


def test_130_ctrl_c_at_a_question_or_in_the_middle(desk: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "scheduler", "-C", str(desk), "rehearse"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment(),
        # A test run started in the background ignores SIGINT, and its children would inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread here
    )
    assert child.stderr is not None
    assert "SIMULATION" in child.stderr.readline()
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Interrupted." in said
    assert "Traceback" not in said
    assert process.running(desk / ".launchday/rehearsal/platforms") is None
