"""watch: the launch board, live, with a hold one key away."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from scheduler.cli import session, show
from scheduler.cli.choosing import campaign_known
from scheduler.cli.show import as_option, json_option
from scheduler.errors import LaunchdayError

if TYPE_CHECKING:
    from scheduler.app import App

HINT = "keys: h hold everything · q leave"


@click.command()
@click.option("--campaign", default="", help="Only this campaign.")
@as_option
@json_option
@click.pass_context
def watch(ctx: click.Context, campaign: str, actor: str, as_json: bool) -> int:
    """Watch the launch board (keys: h hold, q leave). Piped: the board once, as TSV."""
    from scheduler.cli import board as drawing
    from scheduler.services.board import board

    with session.opened(ctx, forgiving=True) as app:
        campaign_known(app, campaign)
        found = board(app.db, app.clock, campaign)
        if found is None:
            show.say("Nothing is queued. Next: launchday queue")
            if as_json:
                show.document("watch", items=[])
            return 0
        if as_json:
            show.document("watch", items=drawing.items(found), counts=found.counts, mode=app.mode)
            return 0
        if not (show.on_terminal() and sys.stdin.isatty()):
            show.table(drawing.TSV_COLUMNS, drawing.tsv(found))
            return 0
        while _until_key(app, campaign) == "h":
            _hold(app, actor)
        return 0


def _until_key(app: App, campaign: str) -> str:
    """Redraw four times a second until h or q; the terminal is as it was afterwards."""
    from rich.live import Live

    from scheduler.cli.board import draw
    from scheduler.cli.keys import keys
    from scheduler.cli.running import daemon_said
    from scheduler.services.board import board

    with keys() as pressed, Live(console=show.console(), refresh_per_second=8) as live:
        while True:
            app.clock.follow(app.db)
            note = f"{HINT}   {daemon_said(app)[0]}{_safe_mode(app)}"
            if found := board(app.db, app.clock, campaign):
                live.update(draw(found, app.directory, app.clock.now(), mode=app.mode, note=note))
            key = pressed(0.25)
            if key in ("h", "q"):
                return key


def _safe_mode(app: App) -> str:
    from scheduler.store import desk

    with app.db.read() as conn:
        return "   SAFE MODE: nothing is sent" if desk.safe_mode(conn) else ""


def _hold(app: App, actor: str) -> None:
    """Hold everything, with a reason (Enter takes the one offered: there may be no time to type)."""
    from scheduler.services.hold import hold, may_hold

    try:
        who = session.who(app, actor, must_be_known=True)
        may_hold(app.directory, who)
        reason = click.prompt("Hold everything. Reason", default="held from the board", err=True)
        held = hold(app.db, app.clock, who, "all", reason)
    except click.Abort:
        show.say("Nothing was held.")
    except LaunchdayError as error:
        show.say(f"NOT HELD: {error.message}")
        show.say(f"  = help: {error.help}")
        click.pause("Press any key to go on watching.", err=True)
    else:
        show.say(
            f"Held {len(held.waiting)} that waited. Already out: {len(held.out)}. "
            f"In doubt: {len(held.in_doubt)}. It ends with: launchday release --all"
        )
