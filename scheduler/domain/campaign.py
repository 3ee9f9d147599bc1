"""What: a campaign, its posts, their variants and figures, as the files say them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduler.domain.account import Account, Directory
from scheduler.domain.content import Blackout, Content, Plan, Policy
from scheduler.errors import Source


@dataclass(frozen=True, slots=True)
class Part:
    """One post of a thread (or the only one): template text, and where it stands."""

    text: str
    at: Source


@dataclass(frozen=True, slots=True)
class Variant:
    """The words for some platforms and/or organisations. The base text is the empty variant.

    Empty `platforms` or `organisations` mean all; `names` are what the head said after `for`.
    """

    parts: tuple[Part, ...]
    at: Source
    platforms: frozenset[str] = frozenset()
    organisations: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    without_figures: bool = False

    @property
    def weight(self) -> int:
        """How specific: an organisation, group or `without figures` counts 2, a platform 1."""
        owner = 2 if (self.organisations or self.without_figures) else 0
        return owner + (1 if self.platforms else 0)

    def fits(self, platform: str, organisation: str, has_figures: bool) -> bool:
        """Whether this variant may speak for the organisation on the platform."""
        return (
            (not self.platforms or platform in self.platforms)
            and (not self.organisations or organisation in self.organisations)
            and (not self.without_figures or not has_figures)
        )


@dataclass(frozen=True, slots=True)
class MediaRef:
    """A picture as the post file names it: templates for the file and its alt text."""

    file: str
    alt: str
    at: Source
    alt_at: Source | None = None
    decorative: bool = False


@dataclass(frozen=True, slots=True)
class Post:
    """One post file. `due` is its resolved instant (UTC), `wall` the local time that was meant."""

    id: str
    path: str
    due: datetime
    wall: str
    aim: str
    organisations: tuple[str, ...]
    platforms: tuple[str, ...]
    link: str
    media: tuple[MediaRef, ...]
    variants: tuple[Variant, ...]
    at: Source
    language: str = "en-GB"
    visibility: str = "public"


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One organisation's local numbers, with where they come from and as at when."""

    organisation: str
    values: Mapping[str, str]
    source: str
    as_at: str
    row: int


@dataclass(frozen=True, slots=True)
class Campaign:
    """One folder below posts/. `launch` is T0 (UTC)."""

    slug: str
    name: str
    path: str
    launch: datetime
    embargo: datetime
    close: datetime
    window: timedelta
    policy: Policy
    aims: Mapping[str, str]
    posts: tuple[Post, ...]
    figures: Mapping[str, FigureRow]
    hashtags: tuple[str, ...] = ()
    blackouts: tuple[Blackout, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workspace:
    """Everything the files say. `root` is the folder with accounts.yaml."""

    root: str
    directory: Directory
    campaigns: tuple[Campaign, ...]

    def campaign(self, slug: str) -> Campaign | None:
        """The campaign with this slug, or None."""
        return next((c for c in self.campaigns if c.slug == slug), None)


@dataclass(frozen=True, slots=True)
class Rendered:
    """One delivery as the files want it: exact content, plan and policy, not yet queued.

    `variant` names the head that won ("" = the base text); `figures` are the numbers of figures.csv
    that the words use; `at` is where the words stand.
    """

    campaign: str
    post: str
    aim: str
    account: Account
    content: Content
    plan: Plan
    policy: Policy
    at: Source
    blackouts: tuple[Blackout, ...] = ()
    variant: str = ""
    figures: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What people call the delivery: `dorset/x/launch`, parts of a thread `dorset/x/launch/2`."""
        return delivery_name(self.account.id, self.post, self.content.part)


def delivery_name(account: str, post: str, part: int) -> str:
    """`dorset/x/launch`, or `dorset/x/launch/2` for the second part of a thread."""
    return f"{account}/{post}" + (f"/{part}" if part > 1 else "")


def choose(post: Post, platform: str, organisation: str, has_figures: bool) -> tuple[Variant, ...]:
    """The most specific variants that fit: one is the answer, several are a tie, none is a gap."""
    fitting = [v for v in post.variants if v.fits(platform, organisation, has_figures)]
    top = max((v.weight for v in fitting), default=-1)
    return tuple(v for v in fitting if v.weight == top)
