"""notices, ack: what people were told, and their word that they have seen to it."""

from __future__ import annotations

import json
from typing import Any

import click

from scheduler.cli import session, show
from scheduler.cli.show import as_option, json_option
from scheduler.errors import UsageError

COLUMNS = {
    "notice": lambda r: r["notice"],
    "since": lambda r: r["at_shown"],
    "state": lambda r: r["state"],
    "topic": lambda r: r["topic"],
    "told": lambda r: r["told_shown"],
    "what about it": lambda r: r["said"],
}


def item(row: Any, zone: str) -> dict[str, Any]:
    """One notice for tables and for --json."""
    from scheduler.domain.content import parse_instant
    from scheduler.domain.when import show as show_time

    tries = [dict(zip(("at", "channel", "person", "outcome"), t, strict=True)) for t in json.loads(row.told)]
    reached = [t for t in tries if t["outcome"] in ("accepted", "simulated")]
    names = ", ".join(dict.fromkeys(t["person"] or t["channel"] for t in reached))
    simulated = " (simulated)" if reached and all(t["outcome"] == "simulated" for t in reached) else ""
    return {
        "notice": row.id,
        "message": row.message,
        "at": row.at,
        "at_shown": show_time(parse_instant(row.at), zone),
        "state": row.state,
        "topic": row.topic,
        "severity": row.severity,
        "organisation": row.organisation,
        "about": row.about,
        "said": row.said,
        "told": tries,
        "told_shown": f"{names}{simulated}" if names else (tries[-1]["outcome"] if tries else "nobody yet"),
        "escalations": row.level,
        "next_at": row.next_at,
        "acknowledged_by": row.acknowledged_by,
        "acknowledged_at": row.acknowledged_at,
    }


@click.command()
@click.option("--all", "every", is_flag=True, help="Those that are acknowledged or closed, too.")
@json_option
@click.pass_context
def notices(ctx: click.Context, every: bool, as_json: bool) -> int:
    """List what people were told, or have still to be told."""
    from scheduler.store import notices as rows

    with session.opened(ctx, forgiving=True) as app:
        states = ("waiting", "told", "acknowledged", "closed") if every else rows.OPEN
        with app.db.read() as conn:
            found = [item(row, app.directory.zone) for row in rows.find(conn, states=states)]
        show.items("notices", found, COLUMNS, as_json=as_json, mode=app.mode)
        if as_json:
            return 0
        if not app.directory.has_channel:
            show.say(NO_CHANNEL)
        if any(r["state"] in rows.OPEN for r in found):
            show.say("Next: see to it, then launchday ack NOTICE (or what it is about, or --all)")
        elif not found:
            show.say("No notice is open.")
    return 0


NO_CHANNEL = "Nobody can be told by itself: no channel is set. Add notify: to accounts.yaml."


@click.command()
@click.argument("names", nargs=-1, metavar="[NOTICE]…")
@click.option("--all", "every", is_flag=True, help="Every open notice.")
@click.option("--note", default="", help="What you have done, for the log.")
@as_option
@json_option
@click.pass_context
def ack(ctx: click.Context, names: tuple[str, ...], every: bool, note: str, actor: str, as_json: bool) -> int:
    """Say that you have seen to a notice, so that nobody else is called.

    NOTICE is a notice, a message, or what it is about: a delivery, an account.
    """
    from scheduler.services.notify import acknowledge

    if every == bool(names):
        raise UsageError("say which notices, or --all", help="launchday notices lists them")
    with session.opened(ctx, forgiving=True) as app:
        who = session.who(app, actor, must_be_known=True)
        done = acknowledge(app.db, app.clock, who, names, note, every=every)
        if as_json:
            show.document("ack", items=[{"notice": r.id, "about": r.about} for r in done])
            return 0
        show.say(f"Acknowledged {len(done)} notice{'' if len(done) == 1 else 's'} as {who.id}.")
    return 0
