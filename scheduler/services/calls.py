"""What is asked of a publisher, as values: they cross into a worker process and back.

A publisher may be foreign code. What it answers is believed only where it has the form that was asked
for, is about the delivery that was asked for, and is one of the answers the port allows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from scheduler.domain.account import Account
from scheduler.domain.publisher import (
    Capability,
    Http,
    Outgoing,
    Prepared,
    Publisher,
    ReadsBack,
    Receipt,
    Reply,
    Request,
    Retracts,
    Seen,
)
from scheduler.errors import CannotTell, NotReady, OutcomeUnknown, PublishError, Rejected, RetryLater
from scheduler.services.approved_words import says

T_co = TypeVar("T_co", covariant=True)

MOST_HANDLES = 64 * 1024  # characters of JSON: they are stored with the attempt
MOST_TEXT = 4096  # characters of an id or an address
MOST_BODY = 32 * 1024 * 1024  # bytes of a publishing request


class Nonsense(Exception):
    """What a publisher answered is not what it was asked for. The message is for people."""


@dataclass(frozen=True, slots=True)
class Built:
    """What preparing gives: what is stored for `find`, the publishing request, and the token it goes with."""

    prepared: Prepared
    request: Request
    token: str = ""


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One question to the publisher of the account's platform."""

    account: Account

    needs_token: ClassVar[bool] = True
    allowed: ClassVar[tuple[type[PublishError], ...]] = (PublishError,)

    def carry_out(self, publisher: Publisher, key: str, http: Http) -> T_co:
        """Ask it; `key` is the token that `http` attaches. Raises whatever the publisher raises."""
        raise NotImplementedError

    def checked(self, answer: Any, capability: Capability) -> T_co:
        """The answer, if it is one. Raises Nonsense."""
        raise NotImplementedError

    def broke(self, why: str) -> PublishError:
        """What follows when the publisher did not answer: nothing is taken for certain."""
        raise NotImplementedError

    def error(self, said: PublishError) -> PublishError:
        """What it raised, if the port lets it raise that here."""
        known = isinstance(said, self.allowed)
        return said if known else self.broke(f"raised {type(said).__name__}, which it may not here")


@dataclass(frozen=True, slots=True)
class Prepare(Call[Built]):
    """Upload and build: `prepare`, then `request`. Nothing is public after it."""

    outgoing: Outgoing

    def carry_out(self, publisher: Publisher, key: str, http: Http) -> Built:
        """Prepare and describe the publishing request."""
        prepared = publisher.prepare(self.outgoing, self.account, http)
        if not isinstance(prepared, Prepared):
            raise Nonsense("prepared nothing")
        return Built(prepared, publisher.request(prepared, self.outgoing.key), key)

    def checked(self, answer: Any, capability: Capability) -> Built:
        """It must be about this delivery, hold no token, and carry the approved words."""
        if not isinstance(answer, Built) or not isinstance(answer.prepared, Prepared):
            raise Nonsense("prepared nothing")
        prepared, request = answer.prepared, answer.request
        if (prepared.content, replace(prepared.account, about=None)) != (
            self.outgoing.content,
            replace(self.account, about=None),
        ):
            raise Nonsense("prepared another delivery than the one it was given")
        try:
            handles = json.dumps(dict(prepared.handles), sort_keys=True)
        except (TypeError, ValueError, RecursionError):
            raise Nonsense("prepared something that is no plain value") from None
        if len(handles) > MOST_HANDLES:
            raise Nonsense("prepared too much to be stored")
        if prepared.expires_at is not None and not _aware(prepared.expires_at):
            raise Nonsense("gave no instant for when its handles expire")
        _request(request)
        written = f"{handles}{request.url}{request.headers}"
        if len(answer.token) >= 8 and (answer.token in written or answer.token.encode() in request.body):
            raise Nonsense("put the token where it does not belong")
        # A container's words were handed over while preparing; its publishing request only names it.
        if capability is not Capability.CONTAINER and not says(request, self.outgoing.content.text):
            raise Nonsense("built a request without the approved words")
        return answer

    def broke(self, why: str) -> PublishError:
        """Nothing was published."""
        return NotReady("publisher", f"{self.account.platform}'s publisher {why}")


@dataclass(frozen=True, slots=True)
class Read(Call[Receipt]):
    """Read the reply to the publishing request: `receipt`.

    `stored` is what was prepared as it was written out already ("" = it was not).
    """

    prepared: Prepared
    reply: Reply
    stored: str = ""

    needs_token: ClassVar[bool] = False
    # The bytes were handed over: whatever else it says, it was not "certainly not sent".
    allowed: ClassVar[tuple[type[PublishError], ...]] = (Rejected, RetryLater, OutcomeUnknown)

    def carry_out(self, publisher: Publisher, key: str, http: Http) -> Receipt:
        """Pure."""
        return publisher.receipt(self.prepared, self.reply)

    def checked(self, answer: Any, capability: Capability) -> Receipt:
        """A receipt names the post."""
        return _receipt(answer)

    def broke(self, why: str) -> PublishError:
        """It may be out."""
        return OutcomeUnknown("publisher", f"its publisher {why} on the reply")


@dataclass(frozen=True, slots=True)
class Find(Call[Receipt | None]):
    """Look for a post that may be out: `find`."""

    prepared: Prepared
    key: str
    since: datetime

    def carry_out(self, publisher: Publisher, key: str, http: Http) -> Receipt | None:
        """Ask the platform."""
        return publisher.find(self.prepared, self.key, self.since, http)

    def checked(self, answer: Any, capability: Capability) -> Receipt | None:
        """None is an answer too: certainly not there now."""
        return None if answer is None else _receipt(answer)

    def broke(self, why: str) -> PublishError:
        """That is no answer."""
        return CannotTell("publisher", f"its publisher {why}")


@dataclass(frozen=True, slots=True)
class LookAt(Call[Seen | None]):
    """Read a published post back: `look`."""

    prepared: Prepared
    receipt: Receipt

    def carry_out(self, publisher: Publisher, key: str, http: Http) -> Seen | None:
        """Ask the platform."""
        if not isinstance(publisher, ReadsBack):
            raise CannotTell("no_look", f"{self.account.platform} has no way to look at a post")
        return publisher.look(self.prepared, self.receipt, http)

    def checked(self, answer: Any, capability: Capability) -> Seen | None:
        """None is an answer too: certainly not there now."""
        if answer is None:
            return None
        if not isinstance(answer, Seen) or not _text(answer.url, empty=True):
            raise Nonsense("did not say what it saw")
        if not _text(answer.differs, empty=True):
            raise Nonsense("did not say what it saw")
        return answer

    def broke(self, why: str) -> PublishError:
        """That is no answer."""
        return CannotTell("publisher", f"its publisher {why}")


@dataclass(frozen=True, slots=True)
class Remove(Call[None]):
    """Ask for the removal of a post: `retract`. Only a look proves it."""

    prepared: Prepared
    receipt: Receipt

    def carry_out(self, publisher: Publisher, key: str, http: Http) -> None:
        """Ask the platform."""
        if not isinstance(publisher, Retracts):
            raise Rejected("no_retract", f"{self.account.platform} has no way to remove a post")
        publisher.retract(self.prepared, self.receipt, http)

    def checked(self, answer: Any, capability: Capability) -> None:
        """There is nothing to answer."""
        if answer is not None:
            raise Nonsense("answered something where nothing was asked")

    def broke(self, why: str) -> PublishError:
        """The post may be gone or not."""
        return OutcomeUnknown("publisher", f"its publisher {why}")


def _receipt(answer: Any) -> Receipt:
    if not isinstance(answer, Receipt) or not _text(answer.remote_id) or not _text(answer.url, empty=True):
        raise Nonsense("gave no receipt")
    extra = answer.extra
    if not isinstance(extra, Mapping) or len(extra) > 32:
        raise Nonsense("gave no receipt")
    if not all(_text(name) and _text(value, empty=True) for name, value in extra.items()):
        raise Nonsense("gave no receipt")
    return answer


def _request(answer: Any) -> None:
    if not isinstance(answer, Request) or not isinstance(answer.body, bytes):
        raise Nonsense("built no request")
    if not isinstance(answer.method, str) or not _text(answer.url) or len(answer.body) > MOST_BODY:
        raise Nonsense("built no request")
    if not isinstance(answer.headers, tuple) or len(answer.headers) > 64:
        raise Nonsense("built no request")
    for header in answer.headers:
        if not isinstance(header, tuple) or len(header) != 2 or not all(_text(h, empty=True) for h in header):
            raise Nonsense("built no request")


def _text(value: Any, *, empty: bool = False) -> bool:
    return isinstance(value, str) and (empty or value != "") and len(value) <= MOST_TEXT


def _aware(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None
