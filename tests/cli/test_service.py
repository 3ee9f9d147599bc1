"""service: units that systemd accepts, for any path, with every secret, and nothing overwritten."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from launch.desk import Said, launchday, small

from scheduler.app import read_directory
from scheduler.services.unit import Wanted, quoted, units

NOTIFY = """
notify:
  email: {server: mail.example, from: l@x.example, user: l, password: "cred:smtp"}
"""


def workspace(root: Path) -> Path:
    small(root)
    accounts = (root / "accounts.yaml").read_text("utf-8")
    accounts = accounts.replace('"env:DORSET_X"', '"cred:dorset-x"')
    (root / "accounts.yaml").write_text(accounts + NOTIFY, "utf-8")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace whose path has all that is special in a unit."""
    path = tmp_path / 'the "100%" $HOME; campaign'
    path.mkdir()
    return workspace(path)


def install(root: Path, *more: str) -> Said:
    config = str(root.parent / "config")
    return launchday(root, "service", "--user", "--install", *more, XDG_CONFIG_HOME=config)


def test_the_unit_has_watchdog_credentials_and_hardening(root: Path) -> None:
    said = launchday(root, "service", "--run-as", "launchday")
    lines = said.out.splitlines()
    assert said.code == 0
    for line in (
        "Type=notify",
        "NotifyAccess=main",
        "WatchdogSec=120",
        "Restart=on-failure",
        "KillMode=mixed",
        "UMask=0077",
        "User=launchday",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "PrivateTmp=yes",
        "SystemCallFilter=@system-service",
        "LoadCredential=dorset-x:/etc/credstore/launchday/dorset-x",
        "LoadCredential=smtp:/etc/credstore/launchday/smtp",
    ):
        assert line in lines
    assert "env:CHARITY_X" in said.err
    assert "--live" not in said.out


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
@pytest.mark.parametrize("user", [False, True])
def test_systemd_itself_finds_nothing_wrong_with_them(root: Path, user: bool, tmp_path: Path) -> None:
    (root / ".launchday").mkdir()
    wanted = Wanted(
        "launchday",
        root,
        read_directory(root),
        ["--org", "dorset"],
        user=user,
        run_as="daemon",
        credentials="/etc/credstore/launchday",
        writable=[root / ".launchday"],
    )
    folder = tmp_path / "units"
    folder.mkdir()
    for name, text in units(wanted, timer=True).items():
        (folder / name).write_text(text, "utf-8")
    command = ["systemd-analyze", "verify", "--man=no", *(["--user"] if user else [])]
    done = subprocess.run(
        [*command, *map(str, sorted(folder.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    ours = [line for line in done.stderr.splitlines() if "launchday" in line]
    assert ours == []
    if not user:
        assert done.returncode == 0


def test_what_is_special_to_systemd_means_itself() -> None:
    assert quoted("/srv/launch") == "/srv/launch"
    assert quoted('/srv/the "100%" one', command=True) == '"/srv/the \\"100%%\\" one"'
    assert quoted("/srv/$HOME", command=True) == "/srv/$$HOME"
    assert quoted("a\\b c") == '"a\\\\b c"'


def test_installing_writes_them_once_and_says_the_next_commands(root: Path) -> None:
    first = install(root, "--timer")
    folder = root.parent / "config/systemd/user"
    names = ["launchday-watch.service", "launchday-watch.timer", "launchday.service"]
    assert sorted(p.name for p in folder.iterdir()) == names
    assert "systemctl --user enable --now launchday.service launchday-watch.timer" in first.err
    again = install(root, "--timer")
    assert (again.code, again.out) == (0, "")
    assert again.err.count("is there already, just so.") == 3


def test_what_is_there_and_says_something_else_is_never_overwritten(root: Path) -> None:
    assert install(root).code == 0
    unit = root.parent / "config/systemd/user/launchday.service"
    unit.write_text("mine\n", "utf-8")
    refused = install(root, "--timer")
    assert refused.code == 2
    assert "nothing was written" in refused.err
    assert unit.read_text("utf-8") == "mine\n"
    assert sorted(p.name for p in unit.parent.iterdir()) == ["launchday.service"]
    assert install(root, "--name", "other").code == 0


def test_live_has_to_be_said_twice_here_too(root: Path) -> None:
    assert launchday(root, "service", "--live").code == 2
    accounts = (root / "accounts.yaml").read_text("utf-8")
    (root / "accounts.yaml").write_text(accounts.replace("mode: simulation", "mode: live"), "utf-8")
    assert " run --live\n" in launchday(root, "service", "--live").out
    assert " run\n" in launchday(root, "service").out


def test_a_name_that_could_lead_elsewhere_is_refused(root: Path) -> None:
    assert launchday(root, "service", "--name", "../../x").code == 2


def test_what_was_printed_for_live_is_not_installed_as_a_simulation(root: Path) -> None:
    said = launchday(root, "service", "--user", "--org", "dorset")
    assert "the same command with --install" in said.err


def test_a_unit_for_a_user_that_does_not_exist_is_not_installed(root: Path) -> None:
    said = install(root, "--run-as", "no-such-user")
    assert said.code == 2
    assert "there is no user 'no-such-user' on this machine" in said.err
