"""list, show, timeline: what is queued and where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from scheduler.cli import session, show
from scheduler.cli.choosing import Choice, choosing, known
from scheduler.cli.show import json_option

if TYPE_CHECKING:
    from scheduler.app import App
    from scheduler.domain.delivery import Delivery


def _gates(row: dict[str, Any]) -> str:
    """Why it does not go yet, in words."""
    said = list(row["gates"])
    if "unapproved" in said:
        said[said.index("unapproved")] = f"needs {', '.join(row['missing'])}"
    return "; ".join(said) or row["reason"] or row["url"]


COLUMNS = {
    "delivery": lambda r: r["delivery"],
    "state": lambda r: r["state"],
    "due": lambda r: r["due_shown"],
    "words": lambda r: r["content_sha256"][:7],
    "what about it": _gates,
}


@click.command("list")
@choosing
@click.option("--state", default="", help="Only this state.")
@json_option
@click.pass_context
def list_(
    ctx: click.Context,
    choice: Choice,
    state: str,
    as_json: bool,
) -> int:
    """List deliveries: when each is due, where it stands, and what it still needs."""
    from scheduler.domain.delivery import State
    from scheduler.services.board import item, standings

    with session.opened(ctx, forgiving=True) as app:
        if state:
            known(state, {s.value for s in State}, "a state")
        found = choice.of(app)
        wanted = [d for d in found if state in ("", d.state.value)]
        with app.db.read() as conn:
            rows = [item(s, app.directory) for s in standings(conn, app.clock, wanted, app.approvers)]
        show.items("list", rows, COLUMNS, as_json=as_json, mode=app.mode)
        if not rows and not as_json:
            show.say(
                "Nothing is queued. Next: launchday plan" if not found else "None of them is in that state."
            )
    return 0


@click.command("show")
@click.argument("delivery")
@click.option("--campaign", default="", help="Where two campaigns have a delivery of this name.")
@json_option
@click.pass_context
def show_(ctx: click.Context, delivery: str, campaign: str, as_json: bool) -> int:
    """Show one delivery whole: words, pictures, approvals, attempts, log."""
    from scheduler.services.board import item, standings
    from scheduler.store import desk, log, outbox

    with session.opened(ctx, forgiving=True) as app:
        one = Choice((delivery,), campaign).of(app)[0]
        with app.db.read() as conn:
            (standing,) = standings(conn, app.clock, [one], app.approvers)
            said = desk.decisions(conn, [one.id]).get(one.id, [])
            attempts = outbox.attempts_of(conn, [one.id]).get(one.id, [])
            entries = list(log.read(conn, delivery=one.name, campaign=one.campaign))
        row = item(standing, app.directory)
        row |= {
            "text": one.content.text,
            "media": [{"file": m.file, "alt": m.alt, "sha256": m.sha256} for m in one.content.media],
            "approvals": [
                {"person": d.person, "for": d.role, "verdict": d.verdict, "why": d.why, "note": d.note}
                for d in said
            ],
            "tries": [
                {"n": a.n, "state": a.state, "intent_at": a.intent_at, "code": a.code, "detail": a.detail}
                for a in attempts
            ],
            "log": [{"seq": e.seq, "at": e.body["at"], "type": e.body["type"]} for e in entries],
        }
        row |= _links(app, one)
        if as_json:
            show.document("show", item=row)
            return 0
        for name in (
            "delivery",
            "state",
            "due_shown",
            "account",
            "url",
            "reason",
            "corrects",
            "corrected_by",
            "author",
            "content_sha256",
        ):
            if row[name]:
                show.put(f"{name:15} {row[name]}")
        click.echo("\n" + show.visible(one.content.text) + "\n")
        for media in row["media"]:
            show.put(f"picture         {media['file']}  alt: {media['alt']}")
        for d in row["approvals"]:
            why = f" ({d['why']})" if d["why"] else ""
            click.echo(f"{d['verdict']:15} by {d['person']} for {d['for']}{why}  {show.visible(d['note'])}")
        for need in row["missing"]:
            click.echo(f"{'needs':15} {need}")
        for a in row["tries"]:
            click.echo(
                f"try {a['n']:<11} {a['intent_at']}  {a['state']}  "
                + show.visible(f"{a['code']} {a['detail']}")
            )
        for late in row["late_evidence"]:
            show.put(f"late word       {late['at']}  {late['word']}  {late['url']}{late['detail']}")
        for e in row["log"]:
            click.echo(f"log {e['seq']:<11} {e['at']}  {e['type']}")
    return 0


def _links(app: App, one: Delivery) -> dict[str, Any]:
    """What it corrects, what corrects it, and the words that came late."""
    from scheduler.domain.delivery import State
    from scheduler.store import late, outbox

    with app.db.read() as conn:
        before = outbox.find(conn, ids=[one.corrects]) if one.corrects else []
        kin = outbox.find(conn, campaign=one.campaign, post=one.post)
        words = late.of(conn, one.id)
    by = [d.name for d in kin if d.corrects == one.id and d.state is not State.CANCELLED]
    return {
        "corrects": before[0].name if before else "",
        "corrected_by": ", ".join(by),
        "late_evidence": [
            {"at": w.at, "word": w.kind, "url": w.url, "detail": w.detail, "remote_id": w.remote_id}
            for w in words
        ],
    }


@click.command()
@click.option("--campaign", default="", help="Only this campaign.")
@json_option
@click.pass_context
def timeline(ctx: click.Context, campaign: str, as_json: bool) -> int:
    """Show the waves in order of time, with how many deliveries are ready."""
    from scheduler.domain.content import instant
    from scheduler.domain.when import show as show_time
    from scheduler.services.board import standings

    with session.opened(ctx, forgiving=True) as app:
        found = Choice(campaign=campaign).of(app)
        with app.db.read() as conn:
            every = standings(conn, app.clock, found, app.approvers)
        waves: dict[str, dict[str, Any]] = {}
        for s in every:
            d = s.delivery
            key = instant(d.due)
            wave = waves.setdefault(
                key,
                {
                    "due": key,
                    "due_shown": show_time(d.due, app.directory.zone),
                    "posts": [],
                    "deliveries": 0,
                    "approved": 0,
                    "states": {},
                },
            )
            wave["deliveries"] += 1
            wave["approved"] += not s.missing
            wave["states"][d.state.value] = wave["states"].get(d.state.value, 0) + 1
            if d.post not in wave["posts"]:
                wave["posts"].append(d.post)
        columns = {
            "when": lambda r: r["due_shown"],
            "posts": lambda r: ", ".join(r["posts"]),
            "deliveries": lambda r: str(r["deliveries"]),
            "approved": lambda r: f"{r['approved']} of {r['deliveries']}",
            "states": lambda r: ", ".join(f"{n} {s}" for s, n in r["states"].items()),
        }
        show.items("timeline", [waves[k] for k in sorted(waves)], columns, as_json=as_json)
        if not waves and not as_json:
            show.say("Nothing is queued. Next: launchday plan")
    return 0
