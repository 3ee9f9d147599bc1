"""Campaign → deliveries: which words for whom, filled in, with pictures, time and policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scheduler.domain.account import Account, Organisation
from scheduler.domain.campaign import Campaign, MediaRef, Part, Post, Rendered, Variant, Workspace, choose
from scheduler.domain.content import Content, Media, Plan
from scheduler.errors import Source
from scheduler.files.campaign import LINK_HELP, is_link
from scheduler.files.media import picture, read_media
from scheduler.files.source import Findings, SourceFile, Unreadable, read_source
from scheduler.files.templates import Filled, Unfilled, Values, fill, problem_of
from scheduler.files.variants import trim

__all__ = ["read_media", "render"]


def render(workspace: Workspace, campaign: Campaign) -> tuple[Rendered, ...]:
    """Every delivery of the campaign: posts in file order, then organisation, platform and part.

    Raises FilesWrong with every fault of the words and pictures.
    """
    found = Findings()
    rendered = tuple(
        d for post in campaign.posts for d in _Renderer(workspace, campaign, post, found).deliveries()
    )
    found.raise_errors()
    return rendered


def accounts_of(workspace: Workspace, post: Post) -> Iterator[Account]:
    """The accounts the post is for: organisations in their order, then platforms in the post's."""
    for organisation in post.organisations:
        own = [a for a in workspace.directory.accounts if a.organisation == organisation]
        yield from (a for platform in post.platforms for a in own if a.platform == platform)


def head(variant: Variant) -> str:
    """What the variant's head says: `x bluesky for charity without figures`; empty for the base text."""
    platforms = " ".join(sorted(variant.platforms))
    owners = f"for {' '.join(variant.names)}" if variant.names else ""
    return " ".join(w for w in (platforms, owners, "without figures" if variant.without_figures else "") if w)


class _Renderer:
    """One post's deliveries; the faults go among the findings, each once."""

    def __init__(self, workspace: Workspace, campaign: Campaign, post: Post, found: Findings) -> None:
        self.workspace, self.campaign, self.post, self.found = workspace, campaign, post, found
        self.root = Path(workspace.root)
        self._file: SourceFile | None = None
        self._pictures: dict[str, Media] = {}

    @property
    def file(self) -> SourceFile:
        """The post's file, read again only when a fault needs its line."""
        if self._file is None:
            self._file = read_source(self.root, self.post.path, Findings()) or SourceFile(self.post.path, ())
        return self._file

    def fault(self, code: str, message: str, help: str, at: Source, length: int = 0) -> None:
        line = self.file.lines[at.line - 1] if at.line <= len(self.file.lines) else ""
        self.found.add(
            self.file.problem(
                code, message, help, line=at.line, col=at.col, length=length or len(line) - at.col + 1
            )
        )

    def deliveries(self) -> Iterator[Rendered]:
        accounts = list(accounts_of(self.workspace, self.post))
        if not accounts:
            message = f"the post '{self.post.id}' is for nobody: no account fits 'to' and 'platforms'"
            self.fault("E312", message, "correct them, or add accounts to accounts.yaml", self.post.at)
        for account in accounts:
            variant = self.variant(account)
            if variant is not None:
                yield from self.thread(account, variant)

    def variant(self, account: Account) -> Variant | None:
        has_figures = account.organisation in self.campaign.figures
        best = choose(self.post, account.platform, account.organisation, has_figures)
        if len(best) == 1:
            return best[0]
        if not best:
            message = f"no words fit {account.id}"
            help = "write a base text below the front matter, or a variant for it"
            if not has_figures and not any(v.without_figures for v in self.post.variants):
                help += " ('::: without figures')"
            self.fault("E305", message, help, self.post.at)
            return None
        first, second = best[0].at, best[1].at
        message = f"two variants fit {account.id} equally: lines {first.line} and {second.line}"
        self.fault("E304", message, "make one of them more specific, or take the overlap out", second)
        return None

    def thread(self, account: Account, variant: Variant) -> Iterator[Rendered]:
        values = self.values(account.organisation)
        link = self.link(values)
        values = self.values(account.organisation, link)
        media, used = self.media(values)
        for number, part in enumerate(variant.parts, 1):
            filled = self.words(part, values)
            if filled is None:
                continue
            content = Content(
                organisation=account.organisation,
                account=account.id,
                platform=account.platform,
                address=account.address,
                text=filled.text,
                link=link,
                media=media if number == 1 else (),
                language=self.post.language,
                visibility=self.post.visibility,
                part=number,
                parts=len(variant.parts),
            )
            figures = tuple(dict.fromkeys((*filled.figures, *(used if number == 1 else ()))))
            yield self.rendered(account, content, variant, part, figures)

    def rendered(
        self, account: Account, content: Content, variant: Variant, part: Part, figures: tuple[str, ...]
    ) -> Rendered:
        return Rendered(
            campaign=self.campaign.slug,
            post=self.post.id,
            aim=self.post.aim,
            account=account,
            content=content,
            plan=self.plan(),
            policy=self.campaign.policy,
            at=part.at,
            blackouts=tuple(b for b in self.campaign.blackouts if account.organisation in b.organisations),
            variant=head(variant),
            figures=figures,
        )

    def plan(self) -> Plan:
        campaign, due = self.campaign, self.post.due
        close = campaign.close
        if campaign.settings.get("close") == "relative":
            close = due - (campaign.launch - campaign.close)
        zone = self.workspace.directory.zone
        return Plan(due, due + campaign.window, campaign.embargo, close, self.post.wall, zone)

    def values(self, slug: str, link: str = "") -> Values:
        organisation: Organisation = self.workspace.directory.organisations[slug]
        row = self.campaign.figures.get(slug)
        names = frozenset(n for r in self.campaign.figures.values() for n in r.values)
        return Values(
            organisation=slug,
            org={**organisation.facts, "name": organisation.name, "slug": slug},
            figures=row.values if row else None,
            figure_names=names,
            campaign={"name": self.campaign.name, "slug": self.campaign.slug},
            link=link,
            hashtags=" ".join(self.campaign.hashtags),
        )

    def link(self, values: Values) -> str:
        filled = self.fill(self.post.link, self.post.at, values)
        if filled and filled.text and not is_link(filled.text):
            self.fault("E313", f"'{filled.text}' is not a whole https address", LINK_HELP, self.post.at)
        return filled.text if filled else ""

    def words(self, part: Part, values: Values) -> Filled | None:
        filled = self.fill(part.text, part.at, values)
        if filled is None:
            return None
        text, _ = trim(filled.text.split("\n"))
        if not text:
            self.fault(
                "E307", f"nothing is left of the words for {values.organisation}", "write some", part.at
            )
            return None
        return Filled(text, filled.figures)

    def fill(self, text: str, at: Source, values: Values) -> Filled | None:
        try:
            return fill(text, values)
        except Unfilled as wrong:
            self.found.add(problem_of(wrong, text, at, self.file))
            return None

    def media(self, values: Values) -> tuple[tuple[Media, ...], tuple[str, ...]]:
        pictures: list[Media] = []
        used: tuple[str, ...] = ()
        for ref in self.post.media:
            name, alt = self.fill(ref.file, ref.at, values), self.fill(ref.alt, ref.alt_at or ref.at, values)
            if name is None or alt is None:
                continue
            media = self.picture(ref, name.text, alt.text)
            if media is not None:
                pictures.append(media)
                used += alt.figures
        return tuple(pictures), used

    def picture(self, ref: MediaRef, file: str, alt: str) -> Media | None:
        if file not in self._pictures:
            try:
                self._pictures[file] = picture(self.root, self.campaign.path, file, "")
            except Unreadable as why:
                self.fault(why.code, f"{file} {why.message}", why.help, ref.at, len(ref.file))
                return None
        known = self._pictures[file]
        return Media(
            file, known.sha256, " ".join(alt.split()), known.mime, known.size, known.width, known.height
        )
