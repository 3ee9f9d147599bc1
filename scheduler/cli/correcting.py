"""queue --corrects: the new words of a post's file in the place of what is out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scheduler.cli import session, show
from scheduler.cli.choosing import Choice
from scheduler.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from scheduler.app import App


def queue_correction(
    ctx: click.Context,
    name: str,
    campaign: str,
    at: str,
    actor: str,
    *,
    retract_first: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Queue the correction of one delivery; the old post stays, unless a person retracts it."""
    from scheduler.domain.content import instant
    from scheduler.domain.when import show as show_time
    from scheduler.services.correct import correct

    with session.opened(ctx) as app:
        who = session.who(app, actor)
        found = Choice((name,), campaign).of(app)
        if len(found) != 1:
            names = ", ".join(d.name for d in found[:6])
            raise UsageError("a correction is of one delivery", help=f"name one of: {names}")
        (old,) = found
        workspace, wanted = session.wants(app, old.campaign)
        base = old.name.partition("/correction")[0]
        new = [(c, r) for c, rs in wanted for r in rs if r.name == base]
        if not new:
            raise UsageError(f"no file asks for {base} any more", help="launchday plan")
        due = _due(app, at)
        shown = show_time(due, app.directory.zone)
        if not show.confirm(f"Queue a correction of {old.name} for {shown}?", yes=yes):
            return 0
        ((campaign_of, rendered),) = new
        pictures = session.pictures(workspace, campaign_of, [rendered])
        made = correct(app.db, app.clock, who, old, rendered, pictures, due=due, retract_first=retract_first)
        if as_json:
            item = {"delivery": made.name, "corrects": old.name, "due": instant(made.due)}
            show.document("queue", items=[{"change": "add", **item, "retract_first": retract_first}])
        show.say(f"Queued by {who.id}: {made.name}, due {shown}. It has its own approvals.")
        if retract_first:
            show.say(f"It waits until {old.name} is removed. Next: launchday retract {old.name}")
        show.say(f"Next: launchday approve {made.name}")
    return 0


def _due(app: App, at: str) -> datetime:
    """The time that was asked for, or half an hour from now, at a whole minute."""
    from datetime import timedelta
    from zoneinfo import ZoneInfo

    from scheduler.domain.times import parse
    from scheduler.domain.wrong_time import WrongTime

    if not at:
        return (app.clock.now() + timedelta(minutes=31)).replace(second=0, microsecond=0)
    try:
        return parse(at, ZoneInfo(app.directory.zone)).due
    except WrongTime as wrong:
        raise UsageError(f"--at '{at}': {wrong.message}", help=wrong.help) from None
