"""What most commands begin with: the workspace opened, who acts, which deliveries are meant."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scheduler.errors import ApprovalError, FilesWrong, UsageError

if TYPE_CHECKING:
    from scheduler.app import App
    from scheduler.domain.campaign import Campaign, Rendered, Workspace
    from scheduler.evidence.entry import Actor


@contextmanager
def opened(ctx: click.Context, *, mode: str = "", forgiving: bool = False) -> Iterator[App]:
    """The workspace's app in the mode that the root options (or `mode`) ask for.

    `forgiving`: where accounts.yaml is wrong just now, the daemon's copy of the last good one will do. A hold
    must not wait until somebody has found a typing error.
    """
    from scheduler.app import last_good, open_app
    from scheduler.files.workspace import find_root

    chosen: Any = mode or ctx.obj.mode or None
    root = find_root(ctx.obj.workspace)
    try:
        app = open_app(root, chosen)
    except FilesWrong as wrong:
        kept = last_good(root, chosen) if forgiving else None
        if kept is None:
            raise
        from scheduler.cli.show import say

        say(f"accounts.yaml is wrong ({wrong.problems[0].at}); going by the last good one. launchday check")
        app = open_app(root, chosen, accounts=kept)
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
