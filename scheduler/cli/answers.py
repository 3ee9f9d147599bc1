"""retract, resolve, retry: what people do about a delivery that went out, may have, or did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scheduler.cli import session, show
from scheduler.cli.choosing import Choice, choosing
from scheduler.cli.show import as_option, json_option, yes_option
from scheduler.errors import UsageError

if TYPE_CHECKING:
    from scheduler.app import App
    from scheduler.domain.delivery import Delivery


def _posts(n: int) -> str:
    return f"{n} post{'' if n == 1 else 's'}"


@click.command()
@choosing
@click.option("--note", default="", help="Why, for the log.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it is known what is gone.")
@as_option
@yes_option
@json_option
@click.pass_context
def retract(
    ctx: click.Context, choice: Choice, note: str, no_wait: bool, actor: str, yes: bool, as_json: bool
) -> int:
    """Remove what is published, on every account. No hold stops it; a look proves it."""
    from scheduler.cli.removing import wait_for
    from scheduler.services.hold import may_hold
    from scheduler.services.retract import mark

    with session.opened(ctx, forgiving=True) as app:
        who = session.who(app, actor, must_be_known=True)
        may_hold(app.directory, who)
        choice.must_narrow()
        wanted = choice.of(app)
        if not show.confirm(f"Remove {_posts(len(wanted))} from the platforms for good?", yes=yes):
            return 0
        marked = mark(app.db, app.clock, who, wanted, note)
        for d, why in marked.refused:
            show.say(f"  not asked for: {d.name}: {why}")
        if not marked.asked:
            raise UsageError("none of them is out", help="launchday list shows where they stand")
        show.say(f"The removal of {_posts(len(marked.asked))} is asked for, by {who.id}.")
        found = list(marked.asked) if no_wait else wait_for(app, marked.asked)
        return _say_removed(found, no_wait=no_wait, as_json=as_json)


def _say_removed(found: list[Delivery], *, no_wait: bool, as_json: bool) -> int:
    from scheduler.domain.delivery import State

    gone = [d for d in found if d.state is State.RETRACTED]
    left = [d for d in found if d not in gone]
    if as_json:
        rows = [{"delivery": d.name, "state": str(d.state), "url": d.url, "reason": d.reason} for d in found]
        show.document("retract", items=rows, removed=len(gone), remain=len(left))
    if no_wait:
        show.say("It goes on in the background while launchday run runs. Next: launchday status")
        return 0
    if not as_json:
        for d in gone:
            show.put(f"removed   {d.account}  {d.name}")
        for d in left:
            show.put(f"REMAINS   {d.account}  {d.name}  {d.url}  {d.state}: {d.reason}")
    show.say(f"{len(gone)} of {len(found)} are removed." + (f" {len(left)} are not." if left else ""))
    return 6 if left else 0


@click.command()
@click.argument("delivery")
@click.option("--published", "url", default="", metavar="URL", help="It is out; here is its address.")
@click.option("--not-published", is_flag=True, help="It is not out, and I looked.")
@click.option("--removed", is_flag=True, help="It was out and is removed, and I looked.")
@click.option("--retry", "again", is_flag=True, help="With --not-published: let it be tried again.")
@click.option("--retract", "remove", is_flag=True, help="Have it removed (as launchday retract).")
@click.option("--note", default="", help="How you know, for the log.")
@click.option("--no-wait", is_flag=True, help="With --retract: do not wait until it is gone.")
@as_option
@yes_option
@json_option
@click.pass_context
def resolve(
    ctx: click.Context,
    delivery: str,
    url: str,
    not_published: bool,
    removed: bool,
    again: bool,
    remove: bool,
    note: str,
    no_wait: bool,
    actor: str,
    yes: bool,
    as_json: bool,
) -> int:
    """Answer for a delivery that only a person can tell."""
    from scheduler.services.hold import may_hold
    from scheduler.services.resolve import resolve as answer

    if sum((bool(url), not_published, removed, remove)) != 1:
        raise UsageError(
            "say what became of it: --published URL, --not-published, --removed or --retract",
            help="look at the account first",
        )
    if again and not not_published:
        raise UsageError("--retry goes with --not-published", help="what is out is never sent again")
    with session.opened(ctx, forgiving=True) as app:
        who = session.who(app, actor, must_be_known=True)
        may_hold(app.directory, who)
        one = _question(Choice((delivery,)).of(app))
        if remove:
            choice = Choice((one.name,), one.campaign)
            return int(
                ctx.invoke(
                    retract.callback,  # type: ignore[arg-type]  # because click types callbacks loosely
                    **_as_options(choice),
                    note=note,
                    no_wait=no_wait,
                    actor=actor,
                    yes=yes,
                    as_json=as_json,
                )
            )
        if url:
            _must_be_its_own(app, one, url)
        if again:
            _must_be_allowed(app, one)
        after = answer(app.db, app.clock, who, one, url, note, removed=removed, settle=app.timing.settle)
        said = f"{one.name} is {after} by {who.id}'s word."
        if again:
            from scheduler.services.retry import retry as let

            let(app.db, app.clock, who, [one], note, soon=app.timing.soon)
            said = f"{one.name} is not out by {who.id}'s word, and goes through the gate again."
        if as_json:
            show.document(
                "resolve", item={"delivery": one.name, "state": "scheduled" if again else str(after)}
            )
        show.say(said)
        if not_published and not again:
            show.say("Next: launchday retry, launchday move WAVE --to LATER, or launchday cancel")
    return 0


def _as_options(choice: Choice) -> dict[str, object]:
    return {
        "deliveries": choice.deliveries,
        "campaign": choice.campaign,
        "org": choice.org,
        "platform": choice.platform,
        "post": choice.post,
    }


def _question(found: list[Delivery]) -> Delivery:
    """The one that is a question, where a name stands for several. Raises UsageError."""
    from scheduler.domain.delivery import State

    asking = [d for d in found if d.state is State.ASKING] or found
    if len(asking) > 1:
        names = ", ".join(d.name for d in asking[:6])
        raise UsageError("an answer is for one delivery", help=f"name one of: {names}")
    return asking[0]


def _must_be_its_own(app: App, one: Delivery, url: str) -> None:
    """Raise UsageError for an address that is not one of the account's."""
    from urllib.parse import urlsplit

    from scheduler.domain.account import Account
    from scheduler.services.resolve import is_of

    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    here = app.mode != "live" and host in ("127.0.0.1", "localhost", "::1")
    if not host or (parts.scheme != "https" and not here):
        raise UsageError("the address must begin with https://", help="copy it from the public page")
    account = app.directory.account(one.account) or Account(one.organisation, one.platform, one.platform, "")
    if not here and not is_of(url, account, app.publishers().get(one.platform)):
        raise UsageError(
            f"{host} is not where {one.account} has its posts",
            help=f"copy the address of the post from the account's own page on {one.platform}",
        )


def _must_be_allowed(app: App, one: Delivery) -> None:
    """Say that it cannot be tried again before the answer is recorded, not after. Raises UsageError."""
    if app.clock.now() + app.timing.soon > one.not_after:
        raise UsageError(
            f"the window of {one.name} has closed, so it cannot be tried again",
            help="say --not-published without --retry, then launchday move WAVE --to LATER",
        )


@click.command()
@choosing
@click.option("--note", default="", help="Why, for the log.")
@as_option
@yes_option
@json_option
@click.pass_context
def retry(ctx: click.Context, choice: Choice, note: str, actor: str, yes: bool, as_json: bool) -> int:
    """Let what failed or was missed go through the gate again, while its window is open."""
    from scheduler.domain.content import instant
    from scheduler.domain.delivery import State
    from scheduler.domain.when import show as show_time
    from scheduler.services.hold import may_hold
    from scheduler.services.retry import retry as let

    with session.opened(ctx, forgiving=True) as app:
        who = session.who(app, actor, must_be_known=True)
        may_hold(app.directory, who)
        choice.must_narrow()
        wanted = choice.of(app)
        if not choice.deliveries:
            wanted = [d for d in wanted if d.state in (State.FAILED, State.MISSED)]
        if not show.confirm(f"Try {len(wanted)} deliveries again?", yes=yes):
            return 0
        done = let(app.db, app.clock, who, wanted, note, soon=app.timing.soon)
        if as_json:
            show.document(
                "retry",
                items=[{"delivery": d.name, "at": instant(at)} for d, at in done.going],
                refused=[{"delivery": d.name, "why": why} for d, why in done.refused],
            )
        for d, at in done.going:
            show.say(f"  {d.name} goes through the gate again {show_time(at, app.directory.zone)}")
        for d, why in done.refused:
            show.say(f"  not tried again: {d.name}: {why}")
        n = len(done.going)
        show.say(
            f"{n} {'is' if n == 1 else 'are'} tried again. Approvals bind as before."
            if n
            else "Nothing is tried again."
        )
    return 0 if done.going else 1
