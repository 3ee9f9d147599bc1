"""Saying which deliveries are meant, and what a hold is on: the options, and what they come to."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from scheduler.errors import UsageError

MANY = 20  # names that an error still lists

if TYPE_CHECKING:
    from scheduler.app import App
    from scheduler.domain.delivery import Delivery


@dataclass(frozen=True, slots=True)
class Choice:
    """What the options narrow the deliveries to; nothing given means all of them."""

    deliveries: tuple[str, ...] = ()
    campaign: str = ""
    org: str = ""
    platform: str = ""
    post: str = ""

    @property
    def narrowed(self) -> bool:
        """Whether anything but the campaign was said."""
        return bool(self.deliveries or self.org or self.platform or self.post)

    def must_narrow(self) -> None:
        """Nothing is rejected or cancelled by forgetting to say what. Raises UsageError."""
        if not (self.narrowed or self.campaign):
            raise UsageError(
                "say which deliveries", help="name them, or give --post, --org, --platform or --campaign"
            )

    def of(self, app: App) -> list[Delivery]:
        """The deliveries that are meant, cancelled ones left out. Raises UsageError."""
        from scheduler.domain.delivery import State
        from scheduler.store import outbox

        with app.db.read() as conn:
            every = [d for d in outbox.find(conn) if d.state is not State.CANCELLED]
        campaign_known(app, self.campaign, {d.campaign for d in every})
        every = [d for d in every if self.campaign in ("", d.campaign)]
        orgs = organisations(app, self.org)
        platforms = [p for p in self.platform.split(",") if p]
        for one in platforms:
            known(one, {a.platform for a in app.directory.accounts}, "a platform of accounts.yaml")
        if self.post:
            known(self.post, {d.post for d in every}, "a queued post")
        names = {d.name for d in every} | {d.post for d in every}
        for name in self.deliveries:
            known(name, names, "a delivery or a post that is queued")
        return [
            d
            for d in every
            if (not orgs or d.organisation in orgs)
            and (not platforms or d.platform in platforms)
            and (not self.post or d.post == self.post)
            and (not self.deliveries or d.name in self.deliveries or d.post in self.deliveries)
        ]


def choosing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the command the options of a Choice, as its argument `choice`."""

    @functools.wraps(command)
    def with_choice(
        *args: Any,
        deliveries: tuple[str, ...],
        campaign: str,
        org: str,
        platform: str,
        post: str,
        **more: Any,
    ) -> Any:
        return command(*args, choice=Choice(deliveries, campaign, org, platform, post), **more)

    options = (
        click.argument("deliveries", nargs=-1, metavar="[DELIVERY|POST]…"),
        click.option("--campaign", default="", help="Only this campaign."),
        click.option("--org", default="", help="Only this organisation or group."),
        click.option("--platform", default="", help="Only these platforms (a,b)."),
        click.option("--post", default="", help="Only this post."),
    )
    return _with(with_choice, options)


def scoping(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the command the options that say what a hold is on, as its argument `scope`."""

    @functools.wraps(command)
    def with_scope(
        *args: Any,
        everything: bool,
        campaign: str,
        org: str,
        platform: str,
        account: str,
        post: str,
        **more: Any,
    ) -> Any:
        named = {"campaign": campaign, "org": org, "platform": platform, "account": account, "post": post}
        given = [f"{kind}:{name}" for kind, name in named.items() if name]
        words = ", ".join(["--all", *(f"--{kind}" for kind in named)])
        if "safe_mode" in more:
            words += ", --safe-mode"
            if more.pop("safe_mode"):
                given.append("safe_mode:")
        if everything + len(given) != 1:
            verb = click.get_current_context().info_name
            raise UsageError(
                f"say what, with exactly one of {words}", help=f"for example: launchday {verb} --all"
            )
        return command(*args, scope="all" if everything else given[0], **more)

    options = (
        click.option("--all", "everything", is_flag=True, help="Everything."),
        click.option("--campaign", default="", help="One campaign."),
        click.option("--org", default="", help="One organisation or group."),
        click.option("--platform", default="", help="One platform."),
        click.option("--account", default="", help="One account, organisation/platform."),
        click.option("--post", default="", help="One post."),
    )
    return _with(with_scope, options)


def _with(command: Callable[..., Any], options: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def scopes(app: App, scope: str) -> list[str]:
    """A group is held organisation by organisation; a name that is nothing is refused."""
    kind, _, name = scope.partition(":")
    if kind == "org":
        return [f"org:{o}" for o in organisations(app, name)]
    if kind == "platform":
        known(name, {a.platform for a in app.directory.accounts}, "a platform of accounts.yaml")
    if kind == "account":
        known(name, {a.id for a in app.directory.accounts}, "an account (organisation/platform)")
    if kind == "campaign":
        campaign_known(app, name)
    if kind == "post":
        posts = {f"{d.campaign}/{d.post}" for d in Choice().of(app)}
        if name not in posts:
            full = [p for p in posts if p.split("/")[1] == name]
            known(full[0] if len(full) == 1 else name, posts, "a queued post")
            return [f"post:{full[0]}"]
    return [scope]


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
    have = "nothing is queued: launchday queue"
    if len(names) > MANY:
        have = f"there are {len(names)}, for example {min(names)}"
    elif names:
        have = f"there are: {', '.join(sorted(names))}"
    raise UsageError(f"'{name}' is not {what}", help=f"did you mean '{near[0]}'?" if near else have)
