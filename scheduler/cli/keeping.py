"""backup, restore, upgrade: keeping the database."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scheduler.cli import session, show
from scheduler.cli.show import json_option, yes_option
from scheduler.errors import UsageError

if TYPE_CHECKING:
    from scheduler.services.clock import Clock

FILE = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@click.command()
@FILE
@json_option
@click.pass_context
def backup(ctx: click.Context, file: Path, as_json: bool) -> int:
    """Copy the database into FILE, for its owner only, and verify the copy. The daemon may run.

    FILE is one SQLite file, also of a PostgreSQL database; `launchday restore` puts it back into either. It
    holds the deliveries, approvals and the posting log, and no secret. It is never overwritten.
    """
    from scheduler.services.backup import backup as copy

    with session.opened(ctx, forgiving=True) as app:
        made = copy(app.db, app.clock, file)
        if as_json:
            show.document("backup", file=str(file), mode=made.mode, entries=made.entries)
        show.say(f"Copied to {file}: {made.entries} log entries, read back and whole ({made.mode}).")
    return 0


@click.command()
@FILE
@yes_option
@json_option
@click.pass_context
def restore(ctx: click.Context, file: Path, yes: bool, as_json: bool) -> int:
    """Put the backup FILE in the database's place. Refused while a daemon runs.

    The backup is verified first, and the database that it replaces is kept aside. Launchday is in SAFE MODE
    afterwards: nothing is sent, and everything that was due is looked for on its platform, as it may have
    been published after the backup was made. A person ends safe mode: launchday release --safe-mode.
    """
    from scheduler.services.backup import restore as put_back
    from scheduler.services.safe import TO_END

    mode, url, folder, clock, timing = _place(ctx)
    if not file.is_file():
        raise UsageError(f"{file} does not exist", help="name a file that launchday backup made")
    if not show.confirm(f"Replace the {mode} database with {file}?", yes=yes):
        return 0
    done = put_back(url, mode, folder, file, clock, timing.reply_within)
    if as_json:
        show.document("restore", mode=mode, entries=done.backup.entries, kept=done.aside, safe_mode=True)
    show.say(f"Restored {file}: {done.backup.entries} log entries, verified.")
    if done.aside:
        show.say(f"The database that it replaced is kept: {done.aside}")
    show.say(f"SAFE MODE: nothing is sent. Next: launchday run (it looks), launchday status, then {TO_END}")
    return 0


@click.command()
@json_option
@click.pass_context
def upgrade(ctx: click.Context, as_json: bool) -> int:
    """Bring an older Launchday's database up to date. Makes a backup first; refused while a daemon runs."""
    from scheduler.services.backup import upgrade as bring_up_to_date

    mode, url, folder, clock, _ = _place(ctx)
    was, kept = bring_up_to_date(url, mode, folder, clock.wall())
    if as_json:
        show.document("upgrade", mode=mode, was=was, backup=str(kept) if kept else "")
    if kept is None:
        show.say(f"The database is up to date (its tables are {was}).")
    else:
        show.say(f"Brought up to date from {was}. The backup made before: {kept}")
    return 0


def _place(ctx: click.Context) -> tuple[Any, str, Path, Clock, Any]:
    """Mode, address, state folder, clock and timing, without opening the database: it may be damaged."""
    from scheduler.app import database_url, read_directory, state_folder
    from scheduler.services.clock import Clock
    from scheduler.services.timing import LIVE, SIMULATION

    root = session.root_of(ctx)
    mode = ctx.obj.mode or read_directory(root).mode
    folder = state_folder(root, mode)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return (
        mode,
        database_url(folder, mode, os.environ),
        folder,
        Clock(),
        LIVE if mode == "live" else SIMULATION,
    )
