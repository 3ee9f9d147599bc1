"""The publisher port: describe and read, never send.

A publisher cannot send twice because it never sends: it says which request would publish, and
reads what came back. Everything it may raise is in `scheduler.errors` below `PublishError`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from scheduler.domain.account import Account
from scheduler.domain.content import Content, Media
from scheduler.domain.pace import Limit


class Capability(StrEnum):
    """What may be done after an ambiguous send (platforms.md, capability classes)."""

    RECORD = "record"  # a permanent record key of ours: send the same bytes again
    CONTAINER = "container"  # read the container; publish again only if it says it is not
    KEY = "key"  # an idempotency key: as a listing, and the same key again as a second guard
    LISTING = "listing"  # two absent looks, settled, old sender proven dead; else ask
    WRITE_ONLY = "write-only"  # never again; ask a person


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as data. `headers` are in sending order and hold no token, Host or length."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP reply, body capped by the transport. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; an empty dict where it is not JSON, so that reading it never raises."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}


@dataclass(frozen=True, slots=True)
class Receipt:
    """The platform's proof: its id of the post, where the public sees it, and when it says so."""

    remote_id: str
    url: str
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What `prepare` is given: content, the delivery's key, T0, and the bytes of its pictures.

    `read` returns a picture's bytes, their hash already checked. `parent` and `root` are the receipts
    of the previous and the first part of a thread.
    """

    content: Content
    key: str
    due: datetime
    read: Callable[[Media], bytes]
    parent: Receipt | None = None
    root: Receipt | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the publishing request is built from. Stored, so it holds no secret.

    `handles` are the platform's ids of uploaded pictures and whatever else `request` needs (plain
    JSON values); `expires_at` is when the first of them stops being valid (None = never).
    """

    content: Content
    account: Account
    handles: Mapping[str, Any] = field(default_factory=dict)
    expires_at: datetime | None = None


class Http(Protocol):
    """The restricted transport of one account: pinned to its host, attaches its token itself."""

    def send(self, request: Request, *, authorise: bool = True) -> Reply:
        """Send and read the whole reply, whatever its status.

        Raises NotSent (before the first byte) or OutcomeUnknown (anything after it).
        """
        ...

    def wait(self, seconds: float) -> None:
        """Wait before asking again, at most until the preparing deadline. Raises NotReady past it."""
        ...


@runtime_checkable
class Publisher(Protocol):
    """The code for one platform. `platform` names it; `server` is its usual base URL ("" = none)."""

    platform: str
    server: str
    capability: Capability

    def prepare(self, outgoing: Outgoing, account: Account, http: Http) -> Prepared:
        """Upload media, build cards; repeatable.

        Raises NotReady, Rejected, Unauthorised, RetryLater, NotSent, OutcomeUnknown (nothing is public
        after any of them).
        """
        ...

    def request(self, prepared: Prepared, key: str) -> Request:
        """The ONE publishing request. Pure: content and handles determine every byte."""
        ...

    def receipt(self, prepared: Prepared, reply: Reply) -> Receipt:
        """Read the reply to it. Pure. Raises Rejected, Unauthorised, RetryLater or OutcomeUnknown."""
        ...

    def find(self, prepared: Prepared, key: str, since: datetime, http: Http) -> Receipt | None:
        """Look for the post on the platform, not older than `since`. Raises CannotTell."""
        ...


@runtime_checkable
class OpensSession(Protocol):
    """Optional: a platform whose secret is a password from which a token is made (Bluesky)."""

    def open_session(self, account: Account, secret: str, http: Http) -> str:
        """The token to use from now on. Raises Unauthorised, RetryLater, NotSent, OutcomeUnknown."""
        ...


@dataclass(frozen=True, slots=True)
class Length:
    """How long a text is as the platform counts, and what it allows."""

    used: int
    limit: int
    unit: str = "characters"


@runtime_checkable
class Checks(Protocol):
    """Optional: the platform's rules of text and media, known before launch day. Pure."""

    def length(self, content: Content) -> Length:
        """The platform's own count of the text."""
        ...

    def faults(self, content: Content) -> tuple[str, ...]:
        """Each rule the content breaks, as one sentence that says what to change; empty = fits."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """A post as the public sees it now. `differs`: how it is not what was approved ("" = it is)."""

    url: str
    differs: str = ""


@runtime_checkable
class ShowsPosts(Protocol):
    """Optional: where the public sees the posts, beside the account's own server: names of hosts."""

    pages: tuple[str, ...]


@runtime_checkable
class ReadsBack(Protocol):
    """Optional: a platform whose posts can be looked at by their id."""

    def look(self, prepared: Prepared, receipt: Receipt, http: Http) -> Seen | None:
        """The post that has this receipt; None where it is certainly not there. Raises CannotTell."""
        ...


@runtime_checkable
class Retracts(Protocol):
    """Optional: a platform that lets its posts be removed."""

    def retract(self, prepared: Prepared, receipt: Receipt, http: Http) -> None:
        """Ask for the removal; repeatable. Only a look proves it. Raises a PublishError."""
        ...


@runtime_checkable
class Paced(Protocol):
    """Optional: a platform that takes only so much in so much time."""

    def pace(self, account: Account) -> tuple[Limit, ...]:
        """What it takes, known before launch day (the source stands beside each). Pure."""
        ...
