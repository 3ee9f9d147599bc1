"""What may stand in accounts.yaml, campaign.yaml and a post's front matter: the one source of truth."""

from __future__ import annotations

from dataclasses import replace

from scheduler.files.fields import Field, Kind, Table
from scheduler.files.notify_tables import AWAY, NOTIFY

PLATFORMS = (
    "x", "facebook", "instagram", "threads", "bluesky", "mastodon", "linkedin",
    "telegram", "discord", "slack", "teams", "webhook", "nextdoor", "whatsapp",
)  # fmt: skip
ROLES = ("author", "approver", "duty", "auditor")
SLUG = r"[a-z0-9][a-z0-9-]{0,62}"
PERSON = r"[a-z0-9][a-z0-9.-]{0,62}"
NAME = r"[a-z][a-z0-9_]{0,62}"
LANGUAGE = r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?"

T = Kind.TEXT


def _name(about: str) -> Field:
    return Field("name", T, about, required=True, example="Dorset Police")


ACCOUNT = Table(
    "an account",
    (
        Field("handle", T, "the profile's name on the platform", required=True, example='"@dorset.example"'),
        Field("platform", T, "the platform, where the account's name is another"),
        Field(
            "page",
            T,
            "the platform's id of the profile (Facebook page)",
            pattern=r"[\w:.-]{1,128}",
            example='"100000000000003"',
        ),
        Field("server", T, "the server's address (Mastodon, Bluesky)", example="https://social.example"),
        Field(
            "token",
            T,
            "where the secret is: env:NAME, file:PATH, keyring:SERVICE/NAME or cred:NAME",
            example='"env:DORSET_X_TOKEN"',
        ),
        Field(
            "publisher",
            T,
            "the publisher, where it is not the platform's usual one",
            pattern=SLUG,
            example="mastodon",
        ),
    ),
)

_ANY_ACCOUNT = Field("", Kind.RECORD, "an account; its name is the platform's", table=ACCOUNT)
_ACCOUNTS = Table("accounts", other=_ANY_ACCOUNT, names=SLUG, names_example="x, facebook, x-traffic")

ORGANISATION = Table(
    "an organisation",
    (
        _name("the name people know"),
        Field("accounts", Kind.RECORD, "its profiles", table=_ACCOUNTS),
        Field("duty", Kind.TEXTS, "people who are told first when it wants a person", example="[j.doyle]"),
    ),
    other=Field("", T, "a fact for templates, {{ org.NAME }}", empty=True),
    names=NAME,
    names_example="area, short_name",
)

PERSON_TABLE = Table(
    "a person",
    (
        replace(_name("the person's name"), example="Jo Doyle"),
        Field("org", T, "the organisation the person acts for", required=True, example="dorset"),
        Field(
            "roles", Kind.TEXTS, "what the person may do", required=True, choices=ROLES, example="[approver]"
        ),
        Field("os_user", Kind.TEXTS, "operating-system users who are this person", example="jdoyle"),
        Field(
            "email",
            T,
            "where messages go",
            pattern=r"[^@\s]+@[^@\s]+",
            example='"jo@dorset.example"',
            empty=True,
        ),
        Field("keys", Kind.TEXTS, "SSH public keys that sign approvals", example="[]"),
        Field(
            "apprise",
            T,
            "where the address for the package Apprise is kept (a telephone, a messenger)",
            example='"env:JO_DOYLE_PHONE"',
        ),
        Field("away", Kind.RECORD, "who is told instead, and from when to when", table=AWAY),
    ),
)


PACE = Table(
    "a pace",
    (
        Field("account", T, "this account", example="dorset/mastodon"),
        Field("server", T, "all accounts on this server together", example='"https://social.example"'),
        Field("platform", T, "all accounts on this platform together", example="mastodon"),
        Field("posts", Kind.COUNT, "so many posts at most", required=True, example="50"),
        Field("in", T, "in so much time", required=True, example="5m"),
    ),
)


def _many(about: str, table: Table, names: str, example: str) -> Table:
    return Table(about, other=Field("", Kind.RECORD, about, table=table), names=names, names_example=example)


ACCOUNTS = Table(
    "accounts.yaml",
    (
        Field("mode", T, "simulation, or live", choices=("simulation", "live"), example="simulation"),
        Field("zone", T, "the time zone all times are meant in", example="Europe/London"),
        Field(
            "proxy", T, "the HTTP proxy, if there is one", empty=True, example='"http://proxy.example:3128"'
        ),
        Field("ca", T, "a file with the certificates of a private CA", empty=True),
        Field(
            "organisations",
            Kind.RECORD,
            "on whose behalf accounts speak",
            required=True,
            example="",
            table=_many("an organisation", ORGANISATION, SLUG, "dorset, avon-somerset"),
        ),
        Field(
            "groups",
            Kind.RECORD,
            "names for several organisations",
            table=Table(
                "groups",
                other=Field("", Kind.TEXTS, "organisations or groups"),
                names=SLUG,
                names_example="forces",
            ),
        ),
        Field("pace", Kind.RECORDS, "less than the platforms would take", table=PACE),
        Field("people", Kind.RECORD, "who acts", table=_many("a person", PERSON_TABLE, PERSON, "j.doyle")),
        Field("notify", Kind.RECORD, "how people are told when something wants them", table=NOTIFY),
    ),
)

_TO = Field("to", Kind.TEXTS, "organisations or groups", example="everyone")
_ON = Field("platforms", Kind.TEXTS, "the platforms to publish on", example="[x, facebook]")
_LANGUAGE = Field("language", T, "the language of the words", pattern=LANGUAGE, example="en-GB")
_LINK = Field(
    "link", T, "the address that {{ link }} stands for", example='"https://www.stopitnow.org.uk/"', empty=True
)

APPROVAL = Table(
    "approval",
    (
        Field("each_org", Kind.COUNT, "approvers of the organisation that owns the account"),
        Field("partner", Kind.COUNT, "approvers of the partner, for what signoff matches"),
        Field("lead", Kind.COUNT, "approvers of the lead organisation"),
        Field("lead_org", T, "the lead organisation", empty=True),
        Field("not_author", Kind.FLAG, "whoever queued it may not approve it"),
        Field("distinct", Kind.FLAG, "one person counts once"),
        Field("close", T, "until when approvals are taken", example="30m before launch"),
        Field("valid_for", T, "how long an approval counts", example="14d"),
    ),
)
SIGNOFF = Table(
    "sign-off",
    (
        Field(
            "partner",
            Kind.RECORD,
            "what needs the partner's yes",
            table=Table(
                "the partner",
                (
                    Field("org", T, "the partner", required=True, example="charity"),
                    Field(
                        "when",
                        Kind.TEXTS,
                        "links and texts that need its yes",
                        required=True,
                        example='["stopitnow.org.uk"]',
                    ),
                ),
            ),
        ),
    ),
)
BLACKOUT = Table(
    "a blackout",
    (
        Field("from", T, "its beginning", required=True, example="Thu 6 May 2027 00:00"),
        Field("to", T, "its end", required=True, example="Fri 7 May 2027 00:00"),
        Field("reason", T, "why", required=True, example="pre-election period"),
        Field("orgs", Kind.TEXTS, "for whom; everyone if not said", example="[everyone]"),
    ),
)

CAMPAIGN = Table(
    "campaign.yaml",
    (
        Field("name", T, "the campaign's name", required=True, example="Stop It Now, south-west"),
        Field("launch", T, "the launch instant, T0", required=True, example="Tue 9 March 2027 07:00"),
        Field("embargo", T, "nothing leaves before it; the launch if not said", example="launch"),
        Field("window", T, "later than this is missed, never stale", example="10m"),
        replace(_TO, required=True),
        replace(_ON, required=True),
        _LINK,
        Field(
            "hashtags",
            Kind.TEXTS,
            "what {{ hashtags }} stands for",
            pattern=r"#[^\s#]+",
            example='["#StopItNow"]',
        ),
        _LANGUAGE,
        Field("sensitive", Kind.FLAG, "the subject needs particular care"),
        Field(
            "aims",
            Kind.RECORD,
            "what the campaign is for; each post names one",
            table=Table("aims", other=Field("", T, "an aim"), names=SLUG, names_example="help, awareness"),
        ),
        Field("approval", Kind.RECORD, "who must say yes", table=APPROVAL),
        Field("signoff", Kind.RECORD, "what needs the partner", table=SIGNOFF),
        Field("blackouts", Kind.RECORDS, "spans without posts", table=BLACKOUT),
    ),
)

MEDIA = Table(
    "a picture",
    (
        Field(
            "file",
            T,
            "the picture, relative to the campaign's folder",
            required=True,
            example='"media/poster.png"',
        ),
        Field(
            "alt", T, "what the picture says, for those who cannot see it", empty=True, example='"Poster: …"'
        ),
        Field("decorative", Kind.FLAG, "the picture says nothing; no alt text is needed"),
    ),
)
POST = Table(
    "the post",
    (
        Field("id", T, "what the post is called", pattern=SLUG, example="launch"),
        Field("at", T, "when it goes out", required=True, example="launch + 5h"),
        Field("aim", T, "which of the campaign's aims it serves", example="help"),
        _TO,
        _ON,
        _LINK,
        Field("media", Kind.RECORDS, "pictures", table=MEDIA),
        _LANGUAGE,
        Field("visibility", T, "who sees it", choices=("public", "unlisted"), example="public"),
    ),
)
