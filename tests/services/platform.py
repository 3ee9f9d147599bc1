"""A small real platform in memory, one publisher per capability class, that can fail in both forms."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduler.domain.account import Account
from scheduler.domain.publisher import Capability, Http, Outgoing, Prepared, Receipt, Reply, Request, Seen
from scheduler.errors import (
    CannotTell,
    NotSent,
    OutcomeUnknown,
    PublishError,
    Rejected,
    RetryLater,
    Unauthorised,
)

# What may become of one request. `lost` failed; `lost_but_done` failed too, but the post is there;
# `late` is still on its way and lands when the test says so.
FAULTS = ("ok", "lost", "lost_but_done", "late", "rejected", "unauthorised", "throttled", "not_sent")


@dataclass
class Post:
    number: int
    account: str
    key: str
    text: str
    parent: str


@dataclass
class Platform:
    """The ledger of what the public can see. `blind`: a look cannot be answered."""

    posts: list[Post] = field(default_factory=list)
    on_the_way: list[tuple[Capability, Post]] = field(default_factory=list)
    blind: bool = False
    lagging: bool = False
    retry_at: datetime | None = None
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def send(self, publisher: Fake, prepared: Prepared, key: str, fault: str) -> Receipt | PublishError:
        """One request arrives, or does not."""
        post = Post(
            next(self._numbers), prepared.account.id, key, prepared.content.text, prepared.handles["parent"]
        )
        if fault in ("ok", "lost_but_done"):
            stored = self._store(publisher.capability, post)
            if fault == "ok":
                return Receipt(str(stored.number), f"https://fake.example/{stored.number}")
        if fault == "late":
            self.on_the_way.append((publisher.capability, post))
        return {
            "rejected": Rejected("too_long", "the text is too long"),
            "unauthorised": Unauthorised("bad_token", "the token is refused"),
            "throttled": RetryLater("http_429", "slow down", at=self.retry_at),
            "not_sent": NotSent("dns", "no such host"),
        }.get(fault, OutcomeUnknown("timeout", "no reply came"))

    def land(self) -> None:
        """What was on its way arrives."""
        for capability, post in self.on_the_way:
            self._store(capability, post)
        self.on_the_way.clear()

    def _store(self, capability: Capability, post: Post) -> Post:
        if capability in (Capability.RECORD, Capability.KEY):
            for known in self.posts:
                if (known.account, known.key) == (post.account, post.key):
                    return known
        self.posts.append(post)
        return post


@dataclass
class Fake:
    """A publisher of the platform. `broken`: a bug of its own; `not_ready`: what preparing raises."""

    platform: str
    capability: Capability
    world: Platform
    server: str = "https://fake.example"
    broken: bool = False
    not_ready: PublishError | None = None
    looked_since: datetime | None = None

    def prepare(self, outgoing: Outgoing, account: Account, http: Http) -> Prepared:
        if self.not_ready:
            raise self.not_ready
        for media in outgoing.content.media:
            outgoing.read(media)
        parent = outgoing.parent.remote_id if outgoing.parent else ""
        return Prepared(outgoing.content, account, {"parent": parent})

    def request(self, prepared: Prepared, key: str) -> Request:
        return Request("POST", f"{self.server}/posts", (("key", key),), prepared.content.text.encode())

    def receipt(self, prepared: Prepared, reply: Reply) -> Receipt:
        raise OutcomeUnknown("never_used", "the tests settle outcomes themselves")

    def find(self, prepared: Prepared, key: str, since: datetime, http: Http) -> Receipt | None:
        self.looked_since = since
        if self.broken:
            raise ZeroDivisionError
        if self.world.blind or self.capability is Capability.WRITE_ONLY:
            raise CannotTell("http_503", "the platform does not say")
        if self.world.lagging:
            return None
        for post in self.world.posts:
            same = post.key == key if self.capability is not Capability.LISTING else True
            if post.account == prepared.account.id and post.text == prepared.content.text and same:
                return Receipt(str(post.number), f"https://fake.example/{post.number}")
        return None


@dataclass
class Showing(Fake):
    """One whose posts can be looked at and removed. `deletes`: what a removal does, in turn, then `done`.

    `done`, `kept` (answers that it has none, and keeps it), `lost` (fails), `lost_but_done`, `refused`.
    """

    deletes: list[str] = field(default_factory=list)
    asked_to_remove: list[str] = field(default_factory=list)

    def look(self, prepared: Prepared, receipt: Receipt, http: Http) -> Seen | None:
        if self.broken:
            raise ZeroDivisionError
        if self.world.blind:
            raise CannotTell("http_503", "the platform does not say")
        post = next((p for p in self.world.posts if str(p.number) == receipt.remote_id), None)
        if post is None or self.world.lagging:
            return None
        same = post.text == prepared.content.text
        return Seen(receipt.url, "" if same else "the words are not the approved ones")

    def retract(self, prepared: Prepared, receipt: Receipt, http: Http) -> None:
        how = self.deletes.pop(0) if self.deletes else "done"
        self.asked_to_remove.append(receipt.remote_id)
        if how == "refused":
            raise Rejected("not_yours", "the post is not this account's to remove")
        if how in ("done", "lost_but_done"):
            self.world.posts = [p for p in self.world.posts if str(p.number) != receipt.remote_id]
        if how in ("lost", "lost_but_done"):
            raise OutcomeUnknown("timeout", "no reply came")


PLATFORMS = {c.value: c for c in Capability}
SETTLE = timedelta(seconds=120)
