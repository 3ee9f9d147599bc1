"""doctor: is everything in place? One fix per line. With --watch: the independent observer of a launch."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import click

from scheduler.cli import session, show
from scheduler.cli.show import json_option
from scheduler.errors import UsageError


@click.command()
@click.option("--watch", is_flag=True, help="Stay, look again and again, and tell people what is wrong.")
@click.option("--once", is_flag=True, help="With --watch: look once and leave (for cron and timers).")
@click.option("--every", default="1m", show_default=True, metavar="SPAN", help="With --watch: how often.")
@json_option
@click.pass_context
def doctor(ctx: click.Context, watch: bool, once: bool, every: str, as_json: bool) -> int:
    """Check clock, disk, database, log, secrets and daemon; one fix per line.

    With --watch it is the independent observer: it needs neither the daemon nor the database, and tells
    people by the channels of accounts.yaml, once for each thing that is wrong and again when it is over.
    """
    if watch:
        return _watch(ctx, every, once=once, as_json=as_json)
    if once:
        raise UsageError("--once belongs to --watch", help="launchday doctor --watch --once")
    from scheduler.cli.running import daemon_said
    from scheduler.domain.delivery import IN_DOUBT, State
    from scheduler.services import secret
    from scheduler.services.doctor import examine, telling
    from scheduler.store import outbox

    with session.opened(ctx) as app:
        with app.db.read() as conn:
            counts = outbox.counts(conn)
        needed = any(counts.get(s) for s in {State.SCHEDULED, *IN_DOUBT})
        live = app.mode == "live"

        def read(reference: str) -> str:
            return secret.read(reference, root=app.root, environ=app.environ)

        found = list(
            examine(
                app.db,
                app.folder,
                app.directory.accounts,
                lambda account: read(account.secret),
                live=live,
                daemon=daemon_said(app),
                needed=bool(needed),
                readings=app.clocks(),
            )
        )
        found += telling(app.db, app.directory, app.clock.now(), read, live=live)
    if as_json:
        rows = [{"level": f.level, "what": f.what, "said": f.said, "fix": f.fix} for f in found]
        show.document("doctor", items=rows)
    else:
        for f in found:
            fix = f"   fix: {f.fix}" if f.fix else ""
            show.put(f"{f.level:4}  {f.what:12} {f.said}{fix}")
    bad = [f.code for f in found if f.level == "bad"]
    # Where several apply: 8, then 7, then the others.
    return next((code for code in (8, 7, 4, 1) if code in bad), 0)


def _watch(ctx: click.Context, every: str, *, once: bool, as_json: bool) -> int:
    """Look until SIGTERM or SIGINT, or once; the exit code of the last look."""
    from scheduler.app import last_good, read_directory
    from scheduler.domain.times import duration
    from scheduler.domain.wrong_time import WrongTime
    from scheduler.errors import FilesWrong
    from scheduler.observer import Observer

    if as_json:
        raise UsageError("--watch prints lines, not one object", help="leave --json out")
    try:
        pause = duration(every)
    except WrongTime as wrong:
        raise UsageError(f"--every '{every}': {wrong}", help=wrong.help) from None
    root = session.root_of(ctx)
    try:
        mode: Any = ctx.obj.mode or read_directory(root).mode
    except FilesWrong:
        kept = last_good(root, None)
        if kept is None:
            raise
        mode = read_directory(kept).mode
    observer = Observer(root, mode, show.say, os.environ)
    stopping = threading.Event()
    before = [(n, signal.signal(n, lambda *_: stopping.set())) for n in (signal.SIGTERM, signal.SIGINT)]
    try:
        while True:
            code = observer.round()
            if once or stopping.wait(max(1.0, pause.total_seconds())):
                return code
    finally:
        for number, handler in before:
            signal.signal(number, handler)
