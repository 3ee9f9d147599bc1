"""approve and reject: what people say of words and times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from scheduler.cli import session, show
from scheduler.cli.choosing import Choice, choosing
from scheduler.cli.show import as_option, json_option, quiet_option

if TYPE_CHECKING:
    from scheduler.domain.delivery import Delivery


@click.command()
@choosing
@click.option("--note", default="", help="What was checked, for the log.")
@as_option
@json_option
@quiet_option
@click.pass_context
def approve(
    ctx: click.Context,
    choice: Choice,
    note: str,
    actor: str,
    as_json: bool,
    quiet: bool,
) -> int:
    """Approve what is queued, bound to its exact bytes and its time. Without names: all that you may."""
    from scheduler.domain.approval import describe, may_meet
    from scheduler.domain.delivery import State
    from scheduler.errors import ApprovalError
    from scheduler.services.review import approve as give

    with session.opened(ctx) as app:
        who = session.who(app, actor, must_be_known=True)
        named = choice.narrowed
        wanted = [
            d
            for d in choice.of(app)
            if d.state is State.SCHEDULED and (named or may_meet(app.directory, who.id, d.needs))
        ]
        if not wanted:
            raise ApprovalError(
                "nothing that waits is yours to approve",
                help="launchday list shows what waits and whom it needs",
            )
        done = give(app.db, app.clock, app.directory, who, wanted, note)
        if as_json:
            show.document(
                "approve",
                items=[
                    {
                        "delivery": d.name,
                        "content_sha256": d.content_sha256,
                        "plan_sha256": d.plan_sha256,
                        "still_missing": [describe(n, app.directory) for n in done.still_missing[d.id]],
                    }
                    for d in done.given
                ],
                already=[d.name for d in done.already],
                refused=[{"delivery": d.name, "why": why} for d, why in done.refused],
            )
        else:
            click.echo(f"Approved {len(done.given)} deliveries." + _hashes(done.given))
        if done.already:
            show.say(f"{len(done.already)} needed nothing more from {who.id}.", quiet=quiet)
        for why in dict.fromkeys(why for _, why in done.refused):
            n = sum(w == why for _, w in done.refused)
            show.say(f"Not approved: {n} deliveries ({why}).", quiet=quiet)
        left = sorted({describe(n, app.directory) for ns in done.still_missing.values() for n in ns})
        if left:
            show.say(f"Still needed: {', '.join(left)}.", quiet=quiet)
        show.say("Next: launchday list" if left else "Next: launchday run", quiet=quiet)
    return 0


def _hashes(given: Sequence[Delivery]) -> str:
    """`launch: x 2d91197 facebook 3ea3f04`: the hashes an approval is bound to, by post."""
    posts: dict[str, list[str]] = {}
    for d in given:
        posts.setdefault(d.post, []).append(f"{d.account} {d.content_sha256[:7]}")
    return "".join(f"\n  {post}: {'  '.join(found)}" for post, found in posts.items())


@click.command()
@choosing
@click.option("--note", default="", help="Why (required).")
@as_option
@json_option
@click.pass_context
def reject(
    ctx: click.Context,
    choice: Choice,
    note: str,
    actor: str,
    as_json: bool,
) -> int:
    """Reject what is queued, with a reason. It does not go out with these words."""
    from scheduler.services.review import reject as refuse

    with session.opened(ctx) as app:
        who = session.who(app, actor, must_be_known=True)
        choice.must_narrow()
        wanted = choice.of(app)
        done = refuse(app.db, app.clock, app.directory, who, wanted, note)
        if as_json:
            show.document(
                "reject", items=[{"delivery": d.name, "content_sha256": d.content_sha256} for d in done]
            )
        show.say(f"Rejected {len(done)} deliveries. Next: change the words, then launchday queue")
    return 0
