"""hold, release, cancel: what people stop, let go and take out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from scheduler.cli import session, show
from scheduler.cli.choosing import Choice, choosing, organisations, scopes, scoping
from scheduler.cli.show import as_option, json_option, yes_option
from scheduler.errors import UsageError

if TYPE_CHECKING:
    from datetime import timedelta

    from scheduler.app import App
    from scheduler.evidence.entry import Actor


@click.command()
@scoping
@click.option("--note", default="", help="Why (required).")
@as_option
@json_option
@click.pass_context
def hold(
    ctx: click.Context,
    scope: str,
    note: str,
    actor: str,
    as_json: bool,
) -> int:
    """Stop what waits, now. Needs no running daemon; answers when it is known what had left."""
    from scheduler.services.hold import hold as stop
    from scheduler.services.hold import may_hold

    with session.opened(ctx, forgiving=True) as app:
        who = session.who(app, actor, must_be_known=True)
        may_hold(app.directory, who)
        patience = app.timing.reply_within.total_seconds() + 2
        held = [stop(app.db, app.clock, who, one, note, patience=patience) for one in scopes(app, scope)]
        waiting = [d for h in held for d in h.waiting]
        out = [d for h in held for d in h.out]
        doubt = [d for h in held for d in h.in_doubt]
        if as_json:
            show.document(
                "hold",
                items=[{"scope": h.hold.scope, "hold": h.hold.id} for h in held],
                held=[d.name for d in waiting],
                already_out=[d.name for d in out],
                in_doubt=[d.name for d in doubt],
            )
            return 0
        click.echo(
            f"Held {len(waiting)} that waited ({scope}). Already out: {len(out)}. In doubt: {len(doubt)}."
        )
        for name, found in (("already out", out), ("in doubt", doubt)):
            for d in found[-40:]:
                show.say(f"  {name}: {d.name}  {d.url}")
        show.say(
            f"Nothing of it goes out until: launchday release {'--all' if scope == 'all' else _flag(scope)}"
        )
    return 0


def _flag(scope: str) -> str:
    kind, _, name = scope.partition(":")
    return f"--{kind} {name}"


@click.command()
@scoping
@click.option(
    "--safe-mode", is_flag=True, help="End safe mode, once all that was due before it was looked for."
)
@click.option("--resume", is_flag=True, help="Send what was due meanwhile, where its window is still open.")
@click.option("--note", default="", help="Why, for the log.")
@as_option
@yes_option
@json_option
@click.pass_context
def release(
    ctx: click.Context,
    scope: str,
    resume: bool,
    note: str,
    actor: str,
    yes: bool,
    as_json: bool,
) -> int:
    """End a hold. What was due meanwhile is missed, unless --resume and its window is open.

    Safe mode begins where the database is older than what was done with it (a restored backup, a file that
    was put back). End it when you know which holds, rejections and cancellations of the lost span have to
    be given again; until then nothing is sent. It does not end while a delivery is still being looked for.
    """
    from scheduler.services.hold import may_hold
    from scheduler.services.hold import release as end

    with session.opened(ctx, forgiving=True) as app:
        who = session.who(app, actor, must_be_known=True)
        may_hold(app.directory, who)
        question = "End safe mode?" if scope == "safe_mode:" else f"Release {scope}?"
        if not show.confirm(question, yes=yes):
            return 0
        soon = app.timing.soon + app.timing.arm_lead
        if scope == "safe_mode:":
            return _end_safe_mode(app, who, note, resume=resume, soon=soon, as_json=as_json)
        done = [
            end(app.db, app.clock, who, one, note, resume=resume, soon=soon) for one in scopes(app, scope)
        ]
        missed = [d.name for r in done for d in r.missed]
        resumed = [d.name for r in done for d in r.resumed]
        if as_json:
            show.document(
                "release",
                items=[{"scope": h.scope} for r in done for h in r.holds],
                missed=missed,
                resumed=resumed,
            )
        show.say(f"Released {scope}. {len(missed)} were due meanwhile and are missed; {len(resumed)} go now.")
        if missed:
            show.say("Next: launchday move WAVE --to LATER, then approve again")
    return 0


def _end_safe_mode(app: App, who: Actor, note: str, *, resume: bool, soon: timedelta, as_json: bool) -> int:
    from scheduler.services import safe

    if not note.strip():
        raise UsageError(
            "ending safe mode needs its reason, for the log", help='give --note "…": what you made sure of'
        )
    done = safe.end(
        app.db, app.clock, who, note, resume=resume, soon=soon, reply_within=app.timing.reply_within
    )
    missed, resumed = [d.name for d in done.missed], [d.name for d in done.resumed]
    if as_json:
        show.document("release", items=[{"scope": "safe_mode"}], missed=missed, resumed=resumed)
    show.say(f"Safe mode is over. {len(missed)} were due meanwhile and are missed; {len(resumed)} go now.")
    show.say("Next: launchday plan, then launchday status")
    return 0


@click.command()
@choosing
@click.option("--note", default="", help="Why, for the log.")
@as_option
@yes_option
@json_option
@click.pass_context
def cancel(
    ctx: click.Context,
    choice: Choice,
    note: str,
    actor: str,
    yes: bool,
    as_json: bool,
) -> int:
    """Take deliveries out for good, before they are published."""
    from scheduler.services.hold import cancel as take_out

    with session.opened(ctx, forgiving=True) as app:
        who = session.who(app, actor, must_be_known=True)
        choice.must_narrow()
        wanted = choice.of(app)
        if not show.confirm(f"Cancel {len(wanted)} deliveries for good?", yes=yes):
            return 0
        done = take_out(app.db, app.clock, who, wanted, note)
        stayed = [d for d in wanted if d.id not in {c.id for c in done}]
        named = _posts_that_name(app, choice.org, [d.id for d in done]) if choice.org else []
        if as_json:
            show.document(
                "cancel",
                items=[{"delivery": d.name} for d in done],
                stayed=[{"delivery": d.name, "state": str(d.state)} for d in stayed],
                posts_that_name_it=named,
            )
        show.say(f"Cancelled {len(done)} deliveries.")
        for d in stayed:
            show.say(f"  stays: {d.name} is {d.state}")
        if named:
            show.say(
                f"These still name {choice.org}: {', '.join(named)}. Look whether their words must change."
            )
    return 0 if done or not wanted else 1


def _posts_that_name(app: App, org: str, gone: Sequence[str]) -> list[str]:
    """Deliveries of others whose words name the organisation."""
    names = [app.directory.organisations[o].name.casefold() for o in organisations(app, org)]
    left = [d for d in Choice().of(app) if d.id not in gone]
    return [d.name for d in left if any(n in d.content.text.casefold() for n in names)]
