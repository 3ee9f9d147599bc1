"""plan, queue, move: from files to deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from scheduler.cli import session, show
from scheduler.cli.choosing import Choice
from scheduler.cli.show import as_option, json_option, quiet_option, yes_option
from scheduler.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from scheduler.app import App
    from scheduler.domain.campaign import Campaign, Rendered, Workspace
    from scheduler.services.plan import Difference

SIGNS = {"add": "+", "change": "~", "withdraw": "-", "unchanged": "=", "kept": "!"}


@click.command()
@click.option("--campaign", default="", help="Only this campaign.")
@click.option("--exit-code", is_flag=True, help="Exit with 10 when something would change.")
@json_option
@click.pass_context
def plan(ctx: click.Context, campaign: str, exit_code: bool, as_json: bool) -> int:
    """Show what queueing would add, change and withdraw. Changes nothing."""
    with session.opened(ctx) as app:
        _, planned = _plan(app, campaign)
        differences = [(c, d) for c, _, ds in planned for d in ds]
        _show_plan(app, differences, as_json)
        _say_needs(app, [d for _, d in differences])
        changing = [d for _, d in differences if d.kind in ("add", "change", "withdraw")]
        if not as_json:
            show.say("Next: launchday queue" if changing else "Nothing to queue. Next: launchday list")
    return 10 if exit_code and changing else 0


@click.command()
@click.option("--campaign", default="", help="Only this campaign.")
@click.option("--corrects", default="", metavar="DELIVERY", help="Queue its new words as a correction of it.")
@click.option("--at", default="", metavar="TIME", help="With --corrects: when (half an hour from now).")
@click.option("--retract-first", is_flag=True, help="With --corrects: only once the old post is removed.")
@as_option
@yes_option
@json_option
@quiet_option
@click.option("--no-input", is_flag=True, help="Never ask a question.")
@click.pass_context
def queue(
    ctx: click.Context,
    campaign: str,
    corrects: str,
    at: str,
    retract_first: bool,
    actor: str,
    yes: bool,
    as_json: bool,
    quiet: bool,
    no_input: bool,
) -> int:
    """Render, freeze and store the deliveries. Nothing goes out until it is approved."""
    from scheduler.services.queue import queue as put

    if corrects:
        from scheduler.cli.correcting import queue_correction

        return queue_correction(
            ctx, corrects, campaign, at, actor, retract_first=retract_first, yes=yes, as_json=as_json
        )
    if at or retract_first:
        raise UsageError("--at and --retract-first go with --corrects DELIVERY", help="launchday move")
    with session.opened(ctx) as app:
        who = session.who(app, actor)
        workspace, planned = _plan(app, campaign)
        differences = [(c, d) for c, _, ds in planned for d in ds]
        changing = [d for _, d in differences if d.kind in ("add", "change", "withdraw")]
        past = [d for d in changing if d.past]
        if past and app.mode == "live":
            raise UsageError(
                f"{len(past)} deliveries would be queued after their time, the first is {past[0].name}",
                help="set a later time in the campaign, or take the posts out",
            )
        if not as_json:
            _show_plan(app, differences, False)
        if changing and not show.confirm(f"Queue {len(changing)} changes?", yes=yes, no_input=no_input):
            show.say("Nothing was queued.", quiet=quiet)
            return 0
        done = [0, 0, 0, 0]
        for one, rendered, ds in planned:
            result = put(app.db, app.clock, who, ds, session.pictures(workspace, one, rendered))
            done = [
                a + b
                for a, b in zip(
                    done, (result.added, result.changed, result.withdrawn, result.voided), strict=True
                )
            ]
        counts = dict(zip(("added", "changed", "withdrawn", "approvals_voided"), done, strict=True))
        if as_json:
            show.document("queue", items=[_item(app, c, d) for c, d in differences], **counts)
        if not changing:
            show.say("Nothing to queue: all is stored as the files say. Next: launchday list", quiet=quiet)
            return 0
        show.say(
            f"Queued by {who.id}: {done[0]} added, {done[1]} changed, {done[2]} withdrawn."
            + (f" {done[3]} approvals stopped counting." if done[3] else ""),
            quiet=quiet,
        )
        show.say("Nothing goes out until it is approved. Next: launchday approve", quiet=quiet)
    return 0


Planned = list[tuple["Campaign", "tuple[Rendered, ...]", "tuple[Difference, ...]"]]


def _plan(app: App, campaign: str) -> tuple[Workspace, Planned]:
    from scheduler.services.plan import plan as compare

    workspace, wanted = session.wants(app, campaign)
    planned: Planned = []
    beside: list[Rendered] = []
    for c, rendered in wanted:
        found = compare(app.db, c.slug, rendered, app.clock.now(), pacing=app.pacing(), beside=beside)
        beside += [d.rendered for d in found if d.kind in ("add", "change") and d.rendered]
        planned.append((c, rendered, found))
    return workspace, planned


def _item(app: App, campaign: Campaign, d: Difference) -> dict[str, Any]:
    from scheduler.domain.content import instant
    from scheduler.domain.when import show as show_time

    due = d.rendered.plan.due if d.rendered else (d.delivery.due if d.delivery else None)
    return {
        "change": d.kind,
        "delivery": d.name,
        "campaign": campaign.slug,
        "post": d.post,
        "due": instant(due) if due else "",
        "due_shown": show_time(due, app.directory.zone) if due else "",
        "why": list(d.why),
        "voids_approvals_of": list(d.voids),
    }


def _show_plan(app: App, differences: Sequence[tuple[Campaign, Difference]], as_json: bool) -> None:
    items = [_item(app, c, d) for c, d in differences]
    if as_json:
        counts = {kind: sum(i["change"] == kind for i in items) for kind in SIGNS}
        show.document("plan", items=items, counts=counts)
        return
    if not show.on_terminal():
        columns = ("change", "campaign", "delivery", "due", "why")
        show.table(
            columns, ([str(i[c]) if c != "why" else "; ".join(i["why"]) for c in columns] for i in items)
        )
        return
    _grouped(app, differences)


def _grouped(app: App, differences: Sequence[tuple[Campaign, Difference]]) -> None:
    """On a terminal: one row for each post and kind of change, platforms across."""
    from scheduler.domain.when import show as show_time

    platforms = list(dict.fromkeys(d.name.split("/")[1] for _, d in differences))
    groups: dict[tuple[str, str, str, datetime | None], list[Difference]] = {}
    for campaign, d in differences:
        if d.kind != "unchanged":
            due = d.rendered.plan.due if d.rendered else (d.delivery.due if d.delivery else None)
            groups.setdefault((campaign.slug, d.post, d.kind, due), []).append(d)
    rows = []
    for (_, post, kind, due), members in groups.items():
        per = [sum(m.name.split("/")[1] == p for m in members) for p in platforms]
        why = "; ".join(dict.fromkeys(w for m in members for w in m.why))
        when = show_time(due, app.directory.zone) if due else ""
        rows.append([SIGNS[kind], post, when, *(str(n or "") for n in per), str(len(members)), why])
    if rows:
        show.table(["", "post", f"when ({app.directory.zone})", *platforms, "total", "why"], rows)
    counts = {kind: sum(d.kind == kind for _, d in differences) for kind in SIGNS}
    show.say(
        f"{counts['add']} to add, {counts['change']} to change, {counts['withdraw']} to withdraw, "
        f"{counts['unchanged']} unchanged."
    )


def _say_needs(app: App, differences: Sequence[Difference]) -> None:
    from scheduler.domain.approval import describe, needs
    from scheduler.domain.when import show as show_time

    coming = [d.rendered for d in differences if d.rendered and d.kind in ("add", "change")]
    voids = {p for d in differences for p in d.voids}
    if voids:
        n = sum(bool(d.voids) for d in differences)
        show.say(f"Approvals of {n} deliveries by {', '.join(sorted(voids))} would stop counting.")
    if coming:
        wanted = dict.fromkeys(n for r in coming for n in needs(r.content, r.policy))
        names = list(dict.fromkeys(describe(n, app.directory) for n in wanted))
        first = min(r.plan.close for r in coming)
        show.say(
            f"Needs {len(names)}: {', '.join(names)}; the first by {show_time(first, app.directory.zone)}."
        )


@click.command()
@click.argument("wave")
@click.option("--to", "to", required=True, metavar="TIME", help="The new time, as in a post file.")
@click.option("--campaign", default="", help="Only this campaign.")
@click.option("--note", default="", help="Why, for the log.")
@as_option
@yes_option
@json_option
@click.pass_context
def move(
    ctx: click.Context, wave: str, to: str, campaign: str, note: str, actor: str, yes: bool, as_json: bool
) -> int:
    """Move WAVE (a post of it) to a later time. Its words stay approved; the time is asked again."""
    from zoneinfo import ZoneInfo

    from scheduler.domain.content import instant
    from scheduler.domain.times import parse
    from scheduler.domain.when import show as show_time
    from scheduler.domain.wrong_time import WrongTime
    from scheduler.services.move import move as shift

    with session.opened(ctx) as app:
        who = session.who(app, actor, must_be_known=True)
        named = Choice((wave,), campaign).of(app)
        every = Choice(campaign=campaign or named[0].campaign).of(app)
        instants = {d.due for d in named}
        mine = [d for d in every if d.due in instants]
        try:
            target = parse(to, ZoneInfo(app.directory.zone)).due
        except WrongTime as wrong:
            raise UsageError(f"--to '{to}': {wrong.message}", help=wrong.help) from None
        shown = show_time(target, app.directory.zone)
        if not show.confirm(f"Move {len(mine)} deliveries to {shown}?", yes=yes):
            return 0
        result = shift(app.db, app.clock, who, mine, target, note)
        if as_json:
            show.document(
                "move",
                items=[{"delivery": d.name, "to": instant(target)} for d in result.moved],
                refused=[{"delivery": d.name, "why": why} for d, why in result.refused],
                approvals_voided=result.voided,
            )
        show.say(
            f"Moved {len(result.moved)} deliveries to {shown}. {result.voided} approvals are asked again."
        )
        for one, why in result.refused:
            show.say(f"  not moved: {one.name}: {why}")
        show.say("The files still name the old time: change it there too. Next: launchday approve")
    return 0 if result.moved else 1
