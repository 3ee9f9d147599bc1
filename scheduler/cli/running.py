"""run, status: the background process and how it is doing."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import click

from scheduler.cli import session, show
from scheduler.cli.choosing import campaign_known, known
from scheduler.cli.show import json_option, quiet_option
from scheduler.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from scheduler.app import App


@click.command()
@click.option("--live", is_flag=True, help="Publish for real (accounts.yaml must say mode: live too).")
@click.option("--once", is_flag=True, help="Do what is due now, then leave (for cron and timers).")
@click.option("--org", default="", help="Only this organisation's accounts.")
@click.option(
    "--launch-in", default="", metavar="SPAN", help="Simulation only: let the launch come after 30s, 5m …"
)
@click.option("--campaign", default="", help="The campaign whose launch --launch-in means.")
@click.option("--crash-after", type=int, default=0, hidden=True)
@quiet_option
@click.pass_context
def run(
    ctx: click.Context,
    live: bool,
    once: bool,
    org: str,
    launch_in: str,
    campaign: str,
    crash_after: int,
    quiet: bool,
) -> int:
    """Publish what is approved and due. A simulation, unless mode: live and --live."""
    from scheduler.cli.notices import NO_CHANNEL
    from scheduler.daemon import Daemon
    from scheduler.errors import TryLater
    from scheduler.store import lock

    mode = _mode(ctx, live)
    with session.opened(ctx, mode=mode) as app:
        if org:
            known(org, set(app.directory.organisations), "an organisation")
        if crash_after and mode == "live":
            raise UsageError("--crash-after rehearses a power failure", help="leave it out")
        session.banner(app, quiet=quiet)
        _say_safe_mode(app)
        # Whoever waits for a launch that was asked for waits for it; cron takes what is nearly due.
        until = app.clock.now() + app.timing.arm_lead
        if running := lock.holder(app.folder / "daemon.lock"):
            # Said before anything is changed: a refused start must not move a running simulation's clock.
            raise TryLater(
                f"a daemon runs on this database already (process {running})",
                help=f"watch it: launchday watch; or end it: kill {running}",
            )
        if launch_in:
            until = max(until, _move_clock(app, launch_in, campaign))
        _say_waves(app, quiet)
        lacking = _secrets(app, org, until, once=once) if mode == "live" else {}
        if mode == "live" and not app.directory.has_channel:
            show.say(f"{'notify':12}{NO_CHANNEL}")
        daemon = Daemon(app, lambda line: show.say(line, quiet=quiet), org, crash_after)
        daemon.run(once_until=until if once else None)
        return _after(app, until, org, lacking) if once else 0


def _secrets(app: App, org: str, until: datetime, *, once: bool) -> dict[str, str]:
    """Say which secrets cannot be read. The others go out all the same, so only nothing at all is refused."""
    from scheduler.cli.secrets import unreadable
    from scheduler.domain.delivery import State
    from scheduler.errors import SecretError
    from scheduler.store import outbox

    lacking = unreadable(app, org, until)
    for account, why in lacking.items():
        show.say(f"secret      {account}: {why}")
    with app.db.read() as conn:
        due = outbox.find(conn, states=[State.SCHEDULED], until=until, organisation=org)
    if once and due and all(d.account in lacking for d in due):
        raise SecretError(
            f"nothing was sent: none of the {len(due)} deliveries that are due has a secret that can be read",
            help="put the secrets in place, then give the command again; launchday doctor lists them",
        )
    return lacking


def _mode(ctx: click.Context, live: bool) -> str:
    from scheduler.app import read_directory

    if not live:
        return ctx.obj.mode or "simulation"
    if ctx.obj.mode:
        raise UsageError(f"--live and --{ctx.obj.mode} exclude each other", help="leave one out")
    if read_directory(session.root_of(ctx)).mode != "live":
        raise UsageError(
            "--live needs mode: live in accounts.yaml too", help="change it there when this is for real"
        )
    return "live"


def _move_clock(app: App, text: str, campaign: str) -> datetime:
    from scheduler.domain.times import duration
    from scheduler.domain.wrong_time import WrongTime
    from scheduler.files.workspace import load
    from scheduler.services.clock import launch_in

    try:
        delay = duration(text)
    except WrongTime as wrong:
        raise UsageError(f"--launch-in '{text}': {wrong}", help=wrong.help) from None
    workspace, _ = load(app.root, platforms=app.publishers())
    launches = [c for c in workspace.campaigns if campaign in ("", c.slug)]
    if len(launches) != 1:
        names = ", ".join(c.slug for c in workspace.campaigns) or "none"
        raise UsageError("--launch-in needs one campaign", help=f"say --campaign; there is: {names}")
    launch_in(app.db, app.clock, launches[0].launch, delay)
    return launches[0].launch


def _say_safe_mode(app: App) -> None:
    from scheduler.services.safe import TO_END
    from scheduler.store import desk

    with app.db.read() as conn:
        stop = desk.safe_mode(conn)
    if stop:
        show.say(f"SAFE MODE   nothing is sent: {stop.reason}")
        show.say(f"            What was due is looked for. A person ends it: {TO_END}")


def _say_waves(app: App, quiet: bool) -> None:
    from scheduler.cli.board import countdown
    from scheduler.domain.when import show as show_time
    from scheduler.store import outbox

    with app.db.read() as conn:
        waves = outbox.waves(conn)
    for at, n in waves[:3]:
        when = f"{show_time(at, app.directory.zone)}, {countdown(at, app.clock.now())}"
        show.say(f"wave        {n} deliveries {when}", quiet=quiet)
    if not waves:
        show.say("Nothing waits. Next, in another terminal: launchday queue", quiet=quiet)
    else:
        show.say("Watch it in another terminal: launchday watch. Stop with Ctrl-C.", quiet=quiet)


def _after(app: App, until: datetime, org: str, lacking: Collection[str] = ()) -> int:
    """Exit code of --once: 6 where something that was due is not out, 4 where only secrets were lacking."""
    from scheduler.domain.delivery import OUT, State
    from scheduler.store import outbox

    with app.db.read() as conn:
        due = [
            d
            for d in outbox.find(conn, organisation=org)
            if d.due <= until and d.state is not State.CANCELLED
        ]
    out = sum(d.state in OUT for d in due)
    bad = [d for d in due if d.state not in OUT]
    click.echo(f"{out} published, {len(bad)} not out, of {len(due)} due by now.")
    for d in bad[:20]:
        show.say(f"  {d.state}: {d.name}: {d.reason}")
    if any(not (d.account in lacking and d.state is State.SCHEDULED) for d in bad):
        return 6
    return 4 if bad else 0


def daemon_said(app: App) -> tuple[str, bool]:
    """A sentence on the daemon, and whether it runs."""
    from datetime import UTC, datetime

    from scheduler.domain.content import parse_instant
    from scheduler.domain.when import show_span
    from scheduler.store import beat, lock

    pid = lock.holder(app.folder / "daemon.lock")
    if pid is not None:
        return f"daemon runs (process {pid})", True
    last: dict[str, Any] = dict(beat.read(app.folder))
    if not last:
        return "DAEMON STOPPED: it has not run here yet", False
    ago: timedelta = datetime.now(UTC) - parse_instant(str(last["at"]))
    how = "it was stopped" if last.get("stopped") else "no goodbye: killed or crashed"
    return f"DAEMON STOPPED {show_span(ago)} ago ({how})", False


@click.command()
@click.option("--campaign", default="", help="Only this campaign.")
@json_option
@click.pass_context
def status(ctx: click.Context, campaign: str, as_json: bool) -> int:
    """Answer 'is it alright?' in one screen."""
    from scheduler.services.status import status as look

    with session.opened(ctx, forgiving=True) as app:
        campaign_known(app, campaign)
        said, alive = daemon_said(app)
        found = look(app.db, app.clock, app.approvers, campaign)
        code = found.exit_code(daemon_alive=alive)
        if as_json:
            show.document(
                "status",
                items=found.items(app.directory),
                counts=found.counts,
                daemon={"running": alive, "said": said},
                notices=[{"notice": n.id, "topic": n.topic, "about": n.about} for n in found.notices],
                holds=[{"scope": h.scope, "by": h.person, "reason": h.reason} for h in found.holds],
                mode=app.mode,
                safe_mode=found.safe_mode.reason if found.safe_mode else "",
                next=found.next_step(daemon_alive=alive),
            )
            return code
        session.banner(app)
        click.echo(said)
        for line in found.lines(app.directory):
            show.put(line)
        show.say(f"Next: {found.next_step(daemon_alive=alive)}")
    return code
