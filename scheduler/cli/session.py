"""What most commands begin with: the workspace opened, who acts, which deliveries are meant."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scheduler.errors import ApprovalError, UsageError

if TYPE_CHECKING:
    from scheduler.app import App
    from scheduler.domain.campaign import Campaign, Rendered, Workspace
    from scheduler.domain.delivery import Delivery
    from scheduler.evidence.entry import Actor


@contextmanager
def opened(ctx: click.Context, *, mode: str = "") -> Iterator[App]:
    """The workspace's app in the mode that the root options (or `mode`) ask for."""
    from scheduler.app import open_app
    from scheduler.files.workspace import find_root

    chosen: Any = mode or ctx.obj.mode or None
    app = open_app(find_root(ctx.obj.workspace), chosen)
    try:
        yield app
    finally:
        app.close()


def who(app: App, named: str, *, must_be_known: bool = False) -> Actor:
    """Who acts: the person of this operating-system user; `--as PERSON` in simulation only.

    Raises UsageError for an unknown person, and for --as in a live workspace.
    """
    from scheduler.evidence.entry import Actor

    people = app.directory.people
    user = os_user()
    if named:
        if app.mode == "live":
            raise UsageError(
                "--as works in simulation only", help="sign in as that person's operating-system user"
            )
        if named not in people:
            raise UsageError(f"'{named}' is nobody in accounts.yaml", help=f"people: {', '.join(people)}")
        person, auth = people[named], "as"
    else:
        found = app.directory.person_for(user)
        if found is None:
            if must_be_known or app.mode == "live":
                raise ApprovalError(
                    f"the operating-system user '{user}' is nobody in accounts.yaml",
                    help=f"add os_user: {user} to a person there"
                    + ("" if app.mode == "live" else f", or say --as PERSON (one of {', '.join(people)})"),
                )
            return Actor(f"os:{user}", "", "", "person", f"os:{user}")
        person, auth = found, f"os:{user}"
    role = "approver" if "approver" in person.roles else next(iter(sorted(person.roles)), "")
    return Actor(person.slug, person.organisation, role, "person", auth)


def os_user() -> str:
    """The operating-system user, by the kernel's word: LOGNAME and USER can be set by anybody."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def choosing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which deliveries are meant."""
    for option in reversed(
        (
            click.argument("deliveries", nargs=-1, metavar="[DELIVERY|POST]…"),
            click.option("--campaign", default="", help="Only this campaign."),
            click.option("--org", default="", help="Only this organisation or group."),
            click.option("--platform", default="", help="Only these platforms (a,b)."),
            click.option("--post", default="", help="Only this post."),
        )
    ):
        command = option(command)
    return command


def chosen(
    app: App, deliveries: Sequence[str], campaign: str, org: str, platform: str, post: str
) -> list[Delivery]:
    """The deliveries that are meant, cancelled ones left out. Raises UsageError."""
    from scheduler.domain.delivery import State
    from scheduler.store import outbox

    with app.db.read() as conn:
        every = [d for d in outbox.find(conn) if d.state is not State.CANCELLED]
    campaign_known(app, campaign, {d.campaign for d in every})
    every = [d for d in every if campaign in ("", d.campaign)]
    orgs = organisations(app, org)
    platforms = [p for p in platform.split(",") if p]
    for one in platforms:
        known(one, {a.platform for a in app.directory.accounts}, "a platform of accounts.yaml")
    if post:
        known(post, {d.post for d in every}, "a queued post")
    names = {d.name for d in every} | {d.post for d in every}
    for name in deliveries:
        known(name, names, "a delivery or a post that is queued")
    return [
        d
        for d in every
        if (not orgs or d.organisation in orgs)
        and (not platforms or d.platform in platforms)
        and (not post or d.post == post)
        and (not deliveries or d.name in deliveries or d.post in deliveries)
    ]


def campaign_known(app: App, campaign: str, queued: set[str] | None = None) -> None:
    """Raise UsageError for a campaign that neither has deliveries nor a folder in posts/."""
    if not campaign:
        return
    if queued is None:
        from scheduler.store import outbox

        with app.db.read() as conn:
            queued = {d.campaign for d in outbox.find(conn)}
    folders = {p.parent.name for p in (app.root / "posts").glob("*/campaign.yaml")}
    known(campaign, queued | folders, "a campaign")


def organisations(app: App, org: str) -> tuple[str, ...]:
    """The organisations that a name stands for; none for "". Raises UsageError."""
    if not org:
        return ()
    found = app.directory.expand(org)
    if found is None:
        known(org, {*app.directory.organisations, *app.directory.groups}, "an organisation or group")
    return found or ()


def known(name: str, names: set[str], what: str) -> None:
    """Raise UsageError, with the nearest name, unless `name` is one of `names`."""
    if name in names:
        return
    import difflib

    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    have = f"there are: {', '.join(sorted(names)[:12])}" if names else "nothing is queued: launchday queue"
    raise UsageError(f"'{name}' is not {what}", help=f"did you mean '{near[0]}'?" if near else have)


def narrowed(*narrowing: object) -> None:
    """Nothing is rejected or cancelled by forgetting to say what. Raises UsageError."""
    if not any(narrowing):
        raise UsageError(
            "say which deliveries", help="name them, or give --post, --org, --platform or --campaign"
        )


def wants(app: App, campaign: str) -> tuple[Workspace, list[tuple[Campaign, tuple[Rendered, ...]]]]:
    """What the files want, checked: every campaign (or one) with its rendered deliveries.

    Raises FilesWrong where `check` would; UsageError for a campaign that is not there.
    """
    from scheduler.errors import FilesWrong
    from scheduler.files.render import render
    from scheduler.files.workspace import load
    from scheduler.services.check import check

    publishers = app.publishers()
    report = check(app.root, publishers, app.clock.now(), campaign=campaign)
    if report.errors:
        raise FilesWrong(report.problems)
    workspace, _ = load(app.root, platforms=publishers)
    return workspace, [(c, render(workspace, c)) for c in workspace.campaigns if campaign in ("", c.slug)]


def pictures(workspace: Workspace, campaign: Campaign, rendered: Sequence[Rendered]) -> dict[str, bytes]:
    """The bytes of every picture, by hash, read now: what is queued is frozen."""
    from scheduler.domain.content import sha256
    from scheduler.errors import TryLater
    from scheduler.files.render import read_media

    found: dict[str, bytes] = {}
    for one in rendered:
        for media in one.content.media:
            if media.sha256 not in found:
                body = read_media(workspace, campaign, media)
                if sha256(body) != media.sha256:
                    raise TryLater(
                        f"{media.file} changed while it was being read", help="give the command again"
                    )
                found[media.sha256] = body
    return found


def root_of(ctx: click.Context) -> Path:
    """The workspace's folder."""
    from scheduler.files.workspace import find_root

    return find_root(ctx.obj.workspace)


def banner(app: App, *, quiet: bool = False) -> None:
    """Every screen of a simulation says so."""
    from scheduler.cli.show import say

    if app.mode != "live":
        say(f"{app.mode.upper()}. Nothing here can reach a real account.", quiet=quiet)
    else:
        say("LIVE database. What is approved here will be published.", quiet=quiet)
