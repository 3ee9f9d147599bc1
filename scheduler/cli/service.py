"""service: the unit under which systemd runs the daemon, and the timer of its observer."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scheduler.cli import session, show
from scheduler.errors import UsageError

if TYPE_CHECKING:
    from scheduler.services.unit import Wanted

SYSTEM = Path("/etc/systemd/system")


@click.command()
@click.option("--live", is_flag=True, help="Publish for real (accounts.yaml must say mode: live too).")
@click.option("--org", default="", help="Only this organisation's accounts.")
@click.option("--timer", is_flag=True, help="The observer (doctor --watch) and its timer, too.")
@click.option("--user", is_flag=True, help="For your own systemd instead of the machine's.")
@click.option("--run-as", default="", metavar="USER", help="Whose processes; else the workspace's owner.")
@click.option("--name", default="launchday", show_default=True, help="What the units are called.")
@click.option("--credentials", default="", metavar="FOLDER", help="Where the files of cred: secrets lie.")
@click.option("--install", "put", is_flag=True, help="Write the units; nothing is overwritten.")
@click.pass_context
def service(
    ctx: click.Context,
    live: bool,
    org: str,
    timer: bool,
    user: bool,
    run_as: str,
    name: str,
    credentials: str,
    put: bool,
) -> int:
    """Print the systemd unit of the daemon, or install it and say the next commands."""
    from scheduler.app import read_directory
    from scheduler.cli.choosing import known
    from scheduler.services.unit import Wanted, install, units

    root = session.root_of(ctx).resolve()
    directory = read_directory(root)
    if live and directory.mode != "live":
        raise UsageError("--live needs mode: live in accounts.yaml too", help="change it there first")
    if org:
        known(org, set(directory.organisations), "an organisation")
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise UsageError(f"'{name}' cannot be the name of a unit", help="letters, digits, - and _")
    if put and run_as and not _exists(run_as):
        raise UsageError(f"there is no user '{run_as}' on this machine", help="make one, or name another")
    wanted = Wanted(
        name,
        root,
        directory,
        [*(["--live"] if live else []), *(["--org", org] if org else [])],
        user,
        run_as or _owner(root),
        credentials.rstrip("/") or ("%h/.config/launchday/credentials" if user else f"/etc/credstore/{name}"),
        [root / ".launchday"],
    )
    files = units(wanted, timer=timer)
    if not put:
        for file, text in files.items():
            click.echo(f"# {file}\n{text}")
    else:
        (root / ".launchday").mkdir(mode=0o700, exist_ok=True)  # the unit may write there and nowhere else
        written, there = install(_folder(user), files)
        for path in written:
            click.echo(str(path))
        for path in there:
            show.say(f"{path} is there already, just so.")
    _advise(wanted, list(files), put=put)
    return 0


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _owner(root: Path) -> str:
    uid = root.stat().st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _folder(user: bool) -> Path:
    if not user:
        return SYSTEM
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd/user"


def _advise(wanted: Wanted, files: list[str], *, put: bool) -> None:
    """What the unit needs besides, and the next commands."""
    from scheduler.services.unit import credentials, elsewhere

    control = "systemctl --user" if wanted.user else "sudo systemctl"
    for name in credentials(wanted.directory):
        show.say(f"secret: put it into {wanted.credentials}/{name} (chmod 600)")
    if lost := elsewhere(wanted.directory):
        show.say(
            f"A unit has no environment and no keyring of yours: {', '.join(lost[:6])}"
            f"{' …' if len(lost) > 6 else ''} cannot be read by it. Write cred:NAME in accounts.yaml instead."
        )
    if "LAUNCHDAY_DATABASE_URL" in os.environ:
        show.say(f"LAUNCHDAY_DATABASE_URL is not in the unit: {control} edit {files[0]}, Environment=…")
    if any(wanted.root.is_relative_to(folder) for folder in ("/tmp", "/var/tmp")):  # noqa: S108 - as named
        show.say("The workspace lies in a folder for temporary files, which the unit does not see: move it.")
    if wanted.run_as == "root" and not wanted.user:
        show.say("The daemon would run as root, which it never needs: give --run-as USER.")
    if not put:
        show.say("Next: the same command with --install")
        return
    show.say(f"Next: {control} daemon-reload")
    start = [files[0], *[f for f in files if f.endswith(".timer")]]
    show.say(f"Next: {control} enable --now {' '.join(start)}")
    show.say(f"Then: {control} status {files[0]}; launchday status")
