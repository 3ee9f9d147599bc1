"""rehearse: the launch as it will be, against simulated platforms on loopback."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from scheduler.cli import session, show
from scheduler.cli.show import json_option, quiet_option
from scheduler.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from scheduler.app import App
    from scheduler.domain.campaign import Campaign, Rendered, Workspace


@click.command()
@click.argument("campaign", default="")
@click.option("--faults", is_flag=True, help="Let the platforms misbehave (lost replies, 429, 5xx, resets).")
@click.option("--crash", is_flag=True, help="Kill daemon and sender in mid-launch, then start again.")
@click.option(
    "--lead", type=click.FloatRange(10, 600), default=None, help="Seconds until T0 (default: enough)."
)
@json_option
@quiet_option
@click.pass_context
def rehearse(
    ctx: click.Context,
    campaign: str,
    faults: bool,
    crash: bool,
    lead: float | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Queue, approve and launch CAMPAIGN against simulated platforms, and say what happened."""
    from scheduler.domain.delivery import OUT
    from scheduler.rehearsal import Rehearsal
    from scheduler.services.board import board

    root = session.root_of(ctx)
    workspace, one, rendered = _files(root, campaign)
    silent = quiet or as_json
    show.say("SIMULATION. Nothing here can reach a real account.", quiet=silent)
    rehearsal = Rehearsal(
        root,
        one,
        rendered,
        session.pictures(workspace, one, rendered),
        dict(os.environ),
        faults=faults,
        crash=crash,
        lead=lead or 0.0,
        say=lambda line: show.say(line, quiet=silent and not crash),
    )
    _headline(rehearsal.t0, one, rendered, silent)
    live: Any = nullcontext()
    if show.on_terminal() and not silent:
        from rich.live import Live

        live = Live(console=show.console(), refresh_per_second=8)
        with live:
            rehearsal.watch = lambda app: _redraw(app, live, one.slug, rehearsal.t0)
            result = rehearsal.run()
    else:
        result = rehearsal.run()
    ok = result["published"] == result["deliveries"] and not (result["duplicates"] or result["lost"])
    code = 0 if ok else 6
    with session.opened(ctx, mode="rehearsal") as app:
        if as_json:
            show.document("rehearse", **result)
            return code
        found = board(app.db, app.clock, one.slug, rehearsal.t0)
        if found and not show.on_terminal():
            from scheduler.cli import board as drawing

            show.console(width=140).print(
                drawing.draw(found, app.directory, app.clock.now(), mode="simulation")
            )
        _log(app, [d.name for d in found.deliveries if d.state in OUT] if found else [])
        _figures(app, result, quiet)
    return code


def _files(root: Path, slug: str) -> tuple[Workspace, Campaign, tuple[Rendered, ...]]:
    """The campaign to rehearse, its files checked. Needs no database."""
    from datetime import UTC, datetime

    from scheduler.app import read_directory
    from scheduler.errors import FilesWrong
    from scheduler.files.render import render
    from scheduler.files.workspace import load
    from scheduler.publishers import registry
    from scheduler.services.check import check

    publishers = registry.load({a.platform for a in read_directory(root).accounts})
    report = check(root, publishers, datetime.now(UTC), campaign=slug)
    if report.errors:
        raise FilesWrong(report.problems)
    workspace, _ = load(root, platforms=publishers)
    names = [c.slug for c in workspace.campaigns]
    if not slug and len(names) != 1:
        raise UsageError(
            "say which campaign", help=f"there is: {', '.join(names) or 'none; launchday init makes one'}"
        )
    one = next(c for c in workspace.campaigns if slug in ("", c.slug))
    return workspace, one, render(workspace, one)


def _headline(t0: Any, one: Campaign, rendered: tuple[Rendered, ...], quiet: bool) -> None:
    wave = [r for r in rendered if r.plan.due == t0]
    organisations = len({r.account.organisation for r in wave})
    platforms = list(dict.fromkeys(r.account.platform for r in wave))
    show.say(
        f"  campaign   {one.slug}   {organisations} organisations × {len(platforms)} platforms, "
        f"{len({r.account.id for r in wave})} accounts, {len(wave)} deliveries in the launch wave",
        quiet=quiet,
    )
    show.say(f"  platforms  pretend {', '.join(platforms)} on 127.0.0.1", quiet=quiet)


def _redraw(app: App, live: Any, campaign: str, t0: Any) -> None:
    from scheduler.cli.board import draw
    from scheduler.services.board import board

    found = board(app.db, app.clock, campaign, t0)
    if found:
        live.update(draw(found, app.directory, app.clock.now(), mode="simulation"))


def _log(app: App, names: list[str]) -> None:
    """What the posting log says of every delivery that went out."""
    from scheduler.store import log

    with app.db.read() as conn:
        entries = [
            e
            for e in log.read(conn, type="publish")
            if e.body["type"] in ("publish.accepted", "publish.reconciled") and "receipt" in e.body
        ]
        total = log.count(conn)
    rows = [
        [str(e.seq), e.body["at"], e.body["delivery"], e.body["receipt"]["url"]]
        for e in entries
        if e.body["delivery"] in names
    ]
    click.echo(f"\nposting log: {total} entries; these say what went out:")
    show.table(["#", "at", "delivery", "receipt"], rows)


def _figures(app: App, result: dict[str, Any], quiet: bool) -> None:
    asked = f"   {result['asking']} ask a person" if result["asking"] else ""
    click.echo(
        f"\n{result['published']} published   {result['failed']} failed   "
        f"{result['unconfirmed']} unconfirmed{asked}   spread {(result['spread_ms'] or 0) / 1000:.3f} s   "
        f"duplicates {result['duplicates']}   lost {result['lost']}"
    )
    show.say("Counted from the platforms' own ledger. Look closer: launchday --rehearsal log", quiet=quiet)
    show.say(
        "Next: launchday check · launchday preview launch · launchday plan · launchday queue", quiet=quiet
    )
