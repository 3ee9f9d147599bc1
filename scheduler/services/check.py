"""check: read the files, render every delivery, ask each platform's own rules, say what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from scheduler.domain.account import Directory
from scheduler.domain.campaign import Campaign, Post, Rendered, Variant, Workspace, choose
from scheduler.domain.content import Content
from scheduler.domain.pace import Quotas
from scheduler.domain.publisher import Checks, Length, Publisher
from scheduler.domain.times import say
from scheduler.errors import FilesWrong, Problem, Source, UsageError
from scheduler.files.render import accounts_of, head, render
from scheduler.files.source import Findings, SourceFile, read_source
from scheduler.files.workspace import ACCOUNTS, load
from scheduler.services.pace import Pacing, paced


@dataclass(frozen=True, slots=True)
class Longest:
    """The longest text of a platform, as the platform counts."""

    platform: str
    delivery: str
    length: Length


@dataclass(frozen=True, slots=True)
class CampaignSummary:
    """What a campaign comes to, once its files are right."""

    slug: str
    path: str
    posts: int
    deliveries: int
    pictures: int
    longest: tuple[Longest, ...]
    aims: tuple[str, ...]
    aims_missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Everything found, and a summary of each campaign that could be rendered."""

    problems: tuple[Problem, ...]
    campaigns: tuple[CampaignSummary, ...]

    @property
    def errors(self) -> int:
        """How many problems block queueing."""
        return sum(p.severity == "error" for p in self.problems)

    @property
    def warnings(self) -> int:
        """How many do not."""
        return len(self.problems) - self.errors


def check(
    root: Path, publishers: Mapping[str, Publisher], now: datetime, *, campaign: str = ""
) -> CheckReport:
    """Check all campaigns, or one. Never raises FilesWrong: the problems are the report."""
    found = Findings()
    try:
        workspace, warnings = load(root, platforms=publishers)
    except FilesWrong as wrong:
        return CheckReport(wrong.problems, ())
    for warning in warnings:
        found.add(warning)
    chosen = chosen_campaigns(workspace, campaign)
    every: list[Rendered] = []
    summaries = tuple(s for c in chosen if (s := _campaign(workspace, c, publishers, now, found, every)))
    _too_many(workspace, every, publishers, found)
    _people(workspace, chosen, publishers, found)
    return CheckReport(found.sorted(), summaries)


def chosen_campaigns(workspace: Workspace, slug: str) -> tuple[Campaign, ...]:
    """The campaign of this name, or all of them. Raises UsageError."""
    if not slug:
        return workspace.campaigns
    campaign = workspace.campaign(slug)
    if campaign is None:
        have = ", ".join(c.slug for c in workspace.campaigns) or "none yet"
        raise UsageError(f"no campaign '{slug}'", help=f"there is: {have}")
    return (campaign,)


def _campaign(
    workspace: Workspace,
    campaign: Campaign,
    publishers: Mapping[str, Publisher],
    now: datetime,
    found: Findings,
    every: list[Rendered],
) -> CampaignSummary | None:
    files = _Files(Path(workspace.root), found)
    _launch(workspace, campaign, now, files)
    _aims(campaign, files)
    for post in campaign.posts:
        _unused(workspace, campaign, post, files)
        _no_account(workspace, post, files)
    try:
        rendered = render(workspace, campaign)
    except FilesWrong as wrong:
        for problem in wrong.problems:
            found.add(problem)
        return None
    every += rendered
    _faults(rendered, publishers, files)
    covered = {post.aim for post in campaign.posts}
    return CampaignSummary(
        slug=campaign.slug,
        path=campaign.path,
        posts=len(campaign.posts),
        deliveries=len(rendered),
        pictures=len({m.file for r in rendered for m in r.content.media}),
        longest=longest(rendered, publishers),
        aims=tuple(aim for aim in campaign.aims if aim in covered),
        aims_missing=tuple(aim for aim in campaign.aims if aim not in covered),
    )


class _Files:
    """Problems at a place of a file that was read before; each file is read again once."""

    def __init__(self, root: Path, found: Findings) -> None:
        self.root, self.found = root, found
        self._read: dict[str, SourceFile] = {}

    def file(self, path: str) -> SourceFile:
        if path not in self._read:
            file = read_source(self.root, path, Findings(), secret=path == ACCOUNTS)
            self._read[path] = file or SourceFile(path, ())
        return self._read[path]

    def line_of(self, path: str, field: str) -> int:
        lines = self.file(path).lines
        return next((n for n, line in enumerate(lines, 1) if line.startswith(f"{field}:")), 1)

    def error(self, code: str, message: str, help: str, at: Source) -> None:
        file = self.file(at.path)
        length = len(file.line(at.line)) - at.col + 1
        self.found.add(file.problem(code, message, help, line=at.line, col=at.col, length=length))

    def warn(self, code: str, message: str, help: str, at: Source) -> None:
        file = self.file(at.path)
        length = len(file.line(at.line)) - at.col + 1
        self.found.add(
            file.problem(code, message, help, line=at.line, col=at.col, length=length, severity="warning")
        )


def _launch(workspace: Workspace, campaign: Campaign, now: datetime, files: _Files) -> None:
    if campaign.launch < now:
        path = f"{campaign.path}/campaign.yaml"
        zone = ZoneInfo(workspace.directory.zone)
        message = f"the launch is past: {say(campaign.launch, zone)} (it is {say(now, zone)})"
        help = "set a new launch before queueing; launchday rehearse works all the same"
        files.warn("W201", message, help, Source(path, files.line_of(path, "launch")))


def _aims(campaign: Campaign, files: _Files) -> None:
    covered = {post.aim for post in campaign.posts}
    missing = [aim for aim in campaign.aims if aim not in covered]
    if missing and campaign.posts:
        path = f"{campaign.path}/campaign.yaml"
        message = f"no post serves the aim {', '.join(missing)}"
        files.warn(
            "W301",
            message,
            "write a post for it, or take the aim out",
            Source(path, files.line_of(path, "aims")),
        )


def _unused(workspace: Workspace, campaign: Campaign, post: Post, files: _Files) -> None:
    used: set[Variant] = set()
    for account in accounts_of(workspace, post):
        used.update(
            choose(post, account.platform, account.organisation, account.organisation in campaign.figures)
        )
    for variant in post.variants:
        if variant not in used:
            what = (
                f"'::: {head(variant)}' is used by no delivery"
                if head(variant)
                else "the base text is used by no delivery"
            )
            files.warn("W302", what, "take it out, or correct its head, 'to' or 'platforms'", variant.at)


def _no_account(workspace: Workspace, post: Post, files: _Files) -> None:
    have = {(a.organisation, a.platform) for a in accounts_of(workspace, post)}
    for platform in post.platforms:
        without = [slug for slug in post.organisations if (slug, platform) not in have]
        if without and have:
            message = f"the post '{post.id}' does not go out on {platform} for {_some(without)}: no account"
            files.warn(
                "W303",
                message,
                "add the account to accounts.yaml, or name the platforms that are meant",
                post.at,
            )


def _faults(rendered: Sequence[Rendered], publishers: Mapping[str, Publisher], files: _Files) -> None:
    """The platforms' own rules; one problem for each text, platform and fault."""
    whom: dict[tuple[Source, str, str], list[str]] = {}
    for delivery in rendered:
        publisher: object = publishers.get(delivery.account.platform)
        faults = publisher.faults(delivery.content) if isinstance(publisher, Checks) else ()
        for fault in faults:
            key = (delivery.at, delivery.account.platform, fault)
            whom.setdefault(key, []).append(delivery.account.organisation)
    for (at, platform, fault), organisations in whom.items():
        message = f"{platform} would refuse this for {_some(organisations)}: {fault}"
        files.error("E701", message, f"change the words, or write a '::: {platform}' variant", at)


def _too_many(
    workspace: Workspace, every: Sequence[Rendered], publishers: Mapping[str, Publisher], found: Findings
) -> None:
    """What the platforms' limits would put off until after its window."""
    files = _Files(Path(workspace.root), found)
    try:
        paced(Pacing(publishers, workspace.directory.pace), every, Quotas(), {})
    except FilesWrong as wrong:
        for one in wrong.problems:
            files.error(one.code, one.message, one.help, one.at)


def measured(content: Content, publishers: Mapping[str, Publisher]) -> Length | None:
    """The platform's own count, where its publisher can say."""
    publisher: object = publishers.get(content.platform)
    return publisher.length(content) if isinstance(publisher, Checks) else None


def longest(rendered: Iterable[Rendered], publishers: Mapping[str, Publisher]) -> tuple[Longest, ...]:
    """The longest text of each platform, in the order the platforms appear."""
    top: dict[str, Longest] = {}
    for delivery in rendered:
        platform = delivery.account.platform
        length = measured(delivery.content, publishers)
        if length and (platform not in top or length.used > top[platform].length.used):
            top[platform] = Longest(platform, delivery.name, length)
    return tuple(top.values())


def _people(
    workspace: Workspace, chosen: Sequence[Campaign], publishers: Mapping[str, Publisher], found: Findings
) -> None:
    """What would stop approval or publishing although the files are right."""
    files, directory = _Files(Path(workspace.root), found), workspace.directory
    for platform in dict.fromkeys(a.platform for a in directory.accounts):
        if publishers and platform not in publishers:
            first = next(a for a in directory.accounts if a.platform == platform)
            message = f"no publisher for {platform} is installed: nothing can be sent there"
            help = "install it, or take the account out"
            files.warn("W602", message, help, first.about or Source(ACCOUNTS))
    for slug in _asked(directory, chosen):
        if not directory.people_of(slug, "approver"):
            first = next(a for a in directory.accounts if a.organisation == slug)
            message = f"{slug} has no approver: its posts cannot be approved"
            files.warn(
                "W601",
                message,
                "give somebody of it the role approver in 'people'",
                first.about or Source(ACCOUNTS),
            )


def _asked(directory: Directory, chosen: Sequence[Campaign]) -> list[str]:
    """The organisations whose own approver some campaign asks for."""
    wanted = {slug for c in chosen if c.policy.each_org for p in c.posts for slug in p.organisations}
    have = {a.organisation for a in directory.accounts}
    return [slug for slug in directory.organisations if slug in wanted and slug in have]


def _some(names: Sequence[str]) -> str:
    """`dorset, swrocu and 3 more`."""
    names = list(dict.fromkeys(names))
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"
