"""preview: each delivery as the public will see it, with what an approver needs to know beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from scheduler.domain.approval import needs
from scheduler.domain.campaign import Campaign, FigureRow, Rendered, Workspace
from scheduler.domain.publisher import Length, Publisher
from scheduler.domain.times import say
from scheduler.errors import UsageError
from scheduler.files.render import render
from scheduler.files.workspace import load
from scheduler.services.check import chosen_campaigns, measured


@dataclass(frozen=True, slots=True)
class Preview:
    """One delivery: `when` is local, `row` the figures' row, `needs` who must say yes."""

    delivery: Rendered
    length: Length | None
    when: str
    row: FigureRow | None
    needs: tuple[str, ...]


def preview(
    root: Path,
    publishers: Mapping[str, Publisher],
    *,
    campaign: str = "",
    post: str = "",
    organisations: Collection[str] = (),
    platforms: Collection[str] = (),
) -> tuple[Preview, ...]:
    """The deliveries asked for, in file order. Raises FilesWrong and UsageError."""
    workspace, _ = load(root, platforms=publishers)
    chosen = chosen_campaigns(workspace, campaign)
    _known(workspace, chosen, post, organisations)
    wanted = frozenset(slug for name in organisations for slug in workspace.directory.expand(name) or ())
    zone = ZoneInfo(workspace.directory.zone)
    shown = tuple(
        _preview(c, d, publishers, zone)
        for c in chosen
        for d in render(workspace, c)
        if post in ("", d.post)
        and (not wanted or d.account.organisation in wanted)
        and (not platforms or d.account.platform in platforms)
    )
    if not shown:
        raise UsageError("no delivery is like that", help="ask for less: launchday preview shows all")
    return shown


def _known(
    workspace: Workspace, chosen: Collection[Campaign], post: str, organisations: Collection[str]
) -> None:
    posts = [p.id for c in chosen for p in c.posts]
    if post and post not in posts:
        raise UsageError(f"no post '{post}'", help=f"there is: {', '.join(posts) or 'none yet'}")
    for name in organisations:
        if workspace.directory.expand(name) is None:
            have = ", ".join(workspace.directory.organisations)
            raise UsageError(f"no organisation or group '{name}'", help=f"there is: {have}")


def _preview(
    campaign: Campaign, delivery: Rendered, publishers: Mapping[str, Publisher], zone: ZoneInfo
) -> Preview:
    row = campaign.figures.get(delivery.account.organisation) if delivery.figures else None
    return Preview(
        delivery=delivery,
        length=measured(delivery.content, publishers),
        when=say(delivery.plan.due, zone),
        row=row,
        needs=needs(delivery.content, delivery.policy),
    )
