"""log and log verify: the posting log, read and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scheduler.cli import session, show
from scheduler.cli.choosing import campaign_known, known
from scheduler.cli.show import json_option
from scheduler.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from scheduler.app import App
    from scheduler.store.log import Entry


@click.group(invoke_without_command=True)
@click.option("--since", default="", metavar="TIME", help="A time, or `launch`, or `1h` (ago).")
@click.option("--campaign", default="", help="Only this campaign.")
@click.option("--org", default="", help="Only this organisation.")
@click.option("--account", default="", help="Only this account, organisation/platform.")
@click.option("--person", default="", help="Only what this person (or `daemon`) did.")
@click.option("--type", "kind", default="", help="Only this type or family, for example publish.")
@click.option("--delivery", default="", help="Only this delivery.")
@json_option
@click.pass_context
def log(
    ctx: click.Context,
    since: str,
    campaign: str,
    org: str,
    account: str,
    person: str,
    kind: str,
    delivery: str,
    as_json: bool,
) -> int:
    """Read the posting log. `log verify` checks that nothing was changed."""
    if ctx.invoked_subcommand:
        return 0
    from scheduler.store import log as posting_log

    with session.opened(ctx, forgiving=True) as app:
        if org:
            known(org, set(app.directory.organisations), "an organisation")
        campaign_known(app, campaign)
        if account:
            known(account, {a.id for a in app.directory.accounts}, "an account (organisation/platform)")
        begin = _since(app, since, campaign)
        with app.db.read() as conn:
            entries = list(
                posting_log.read(
                    conn,
                    since=begin,
                    organisation=org,
                    account=account,
                    actor=person,
                    type=kind,
                    campaign=campaign,
                    delivery=delivery,
                )
            )
        columns = {
            "#": lambda r: str(r["seq"]),
            f"time ({app.directory.zone})": lambda r: r["at_shown"],
            "who": lambda r: r["actor"]["id"],
            "what": lambda r: r["type"],
            "delivery": lambda r: r.get("delivery", ""),
            "detail": _detail,
        }
        show.items("log", [_item(app, e) for e in entries], columns, as_json=as_json, mode=app.mode)
        if not entries and not as_json:
            show.say("No entry says that." if posting_log_has(app) else "Nothing has happened here yet.")
    return 0


def posting_log_has(app: App) -> bool:
    """Whether the log has any entry."""
    from scheduler.store import log as posting_log

    with app.db.read() as conn:
        return posting_log.count(conn) > 0


def _item(app: App, entry: Entry) -> dict[str, Any]:
    from scheduler.domain.content import parse_instant
    from scheduler.domain.when import show as show_time

    at = show_time(parse_instant(entry.body["at"]), app.directory.zone)
    return {**entry.body, "at_shown": at, "reason_text": entry.reason_text}


def _detail(row: Any) -> str:
    parts = []
    if "try" in row:
        parts.append(f"try {row['try']}")
    if "receipt" in row:
        parts.append(row["receipt"]["url"])
    if "sent_us" in row:
        parts.append(f"+{row['sent_us'] / 1000:.1f} ms")
    if row["type"] in ("publish.attempted", "approval.granted", "content.queued", "content.changed"):
        parts.append(f"content {row['content_sha256'][:7]}")
    for name in ("verdict", "need", "approver", "why", "scope", "next_try_at", "to"):
        if name in row:
            parts.append(f"{name.replace('_', ' ')} {row[name]}")
    if "reason" in row:
        parts.append(
            f"{row['reason']['code']}: {row['reason_text']}" if row["reason_text"] else row["reason"]["code"]
        )
    return "  ".join(parts)


def _since(app: App, text: str, campaign: str) -> datetime | None:
    """`launch` is the first instant of the launch wave's campaign; `1h` is an hour ago."""
    from datetime import timedelta
    from zoneinfo import ZoneInfo

    from scheduler.domain.times import duration, parse
    from scheduler.domain.wrong_time import WrongTime
    from scheduler.files.workspace import load

    if not text:
        return None
    if text == "launch":
        workspace, _ = load(app.root, platforms=app.publishers())
        launches = [c.launch for c in workspace.campaigns if campaign in ("", c.slug)]
        if not launches:
            raise UsageError("there is no campaign whose launch that could be", help="launchday check")
        return min(launches) - timedelta(seconds=1)
    try:
        return app.clock.now() - duration(text)
    except WrongTime:
        pass
    try:
        return parse(text, ZoneInfo(app.directory.zone)).due
    except WrongTime as wrong:
        raise UsageError(f"--since '{text}': {wrong}", help=wrong.help) from None


@log.command()
@json_option
@click.pass_context
def verify(ctx: click.Context, as_json: bool) -> int:
    """Check every entry, and that each published delivery has its approvals and its receipt in the log."""
    from scheduler.services.verify import verify as check_log

    with session.opened(ctx, forgiving=True) as app:
        found = check_log(app.db)
        if as_json:
            show.document("log-verify", entries=found.entries, published=found.published, whole=True)
        else:
            click.echo(f"{found.entries} entries, none missing, none changed.")
            click.echo(f"{found.published} published, each with the bytes its approvers approved.")
    return 0
