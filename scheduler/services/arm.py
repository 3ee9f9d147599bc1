"""Arm a wave: open sessions, upload media, build the ready bytes of every publishing request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from scheduler.domain.account import Account
from scheduler.domain.content import Content, Media, instant, parse_instant, sha256
from scheduler.domain.delivery import Delivery
from scheduler.domain.publisher import Http, OpensSession, Outgoing, Prepared, Publisher, Receipt
from scheduler.errors import LaunchdayError, NotReady, PublishError
from scheduler.store import desk, outbox
from scheduler.store.database import Database
from scheduler.transport.http import Transport
from scheduler.transport.volley import Shot

WORKERS = 16


@dataclass(slots=True)
class Reach:
    """How this process reaches the platforms; the only holder of tokens.

    `place` puts the simulated server into an account where this is a simulation; `secret` reads what an
    account's reference names.
    """

    publishers: Mapping[str, Publisher]
    transport: Transport
    place: Callable[[Account], Account]
    secret: Callable[[Account], str]
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def publisher(self, platform: str) -> Publisher:
        """Raises NotReady where no installed package publishes to the platform."""
        if platform not in self.publishers:
            raise NotReady("no_publisher", f"no installed package publishes to {platform}")
        return self.publishers[platform]

    def base_url(self, account: Account) -> str:
        """Where the account's platform is."""
        return account.server or self.publisher(account.platform).server

    def token(self, account: Account, deadline: float | None = None) -> str:
        """The token to send with: the secret, or what a session gave for it (kept while this process lives).

        Raises PublishError where the platform refuses it, NotReady where the secret cannot be read.
        """
        with self._lock:
            if account.id in self._tokens:
                return self._tokens[account.id]
        try:
            token = self.secret(account)
        except LaunchdayError as error:
            raise NotReady("secret", error.message) from None
        publisher = self.publisher(account.platform)
        if isinstance(publisher, OpensSession):
            plain = self.transport.http(self.base_url(account), deadline=deadline)
            token = publisher.open_session(account, token, plain)
        with self._lock:
            self._tokens[account.id] = token
        return token

    def http(self, account: Account, deadline: float | None = None) -> Http:
        """The restricted transport of the account, with its token."""
        return self.transport.http(self.base_url(account), self.token(account, deadline), deadline=deadline)


@dataclass(frozen=True, slots=True)
class Armed:
    """A delivery that is ready: what was prepared, and the shot (request bytes' source and token)."""

    delivery: Delivery
    prepared: Prepared
    shot: Shot


def arm(
    db: Database, reach: Reach, deliveries: Sequence[Delivery], deadline: float
) -> tuple[list[Armed], list[tuple[Delivery, PublishError]]]:
    """Prepare every delivery side by side; repeatable, and nothing of it is public.

    `deadline` is in Unix seconds of the launch's clock. Nothing is stored: what was prepared goes to disk
    with the intent, in the gate. Returns what is ready, and what is not with its reason.
    """
    ids = [d.id for d in deliveries]
    with db.read() as conn:
        profiles = outbox.column(conn, ids, "profile")
        contents = outbox.column(conn, ids, "content")
        parents = _receipts_before(conn, deliveries)

    def one(delivery: Delivery) -> Armed | PublishError:
        try:
            if sha256(bytes(contents[delivery.id])) != delivery.content_sha256:
                raise NotReady("changed", "the stored words are not the ones that were approved")
            account = reach.place(account_of(profiles[delivery.id]))
            return _arm_one(db, reach, delivery, account, parents, deadline)
        except PublishError as error:
            return error
        except Exception as error:
            # A publisher that breaks costs its own delivery, never the wave.
            return NotReady("publisher", f"{delivery.platform}'s publisher broke: {type(error).__name__}")

    with ThreadPoolExecutor(WORKERS, thread_name_prefix="arm") as pool:
        results = list(pool.map(one, deliveries))
    ready = [r for r in results if isinstance(r, Armed)]
    not_ready = [(d, r) for d, r in zip(deliveries, results, strict=True) if isinstance(r, PublishError)]
    return ready, not_ready


def _arm_one(
    db: Database,
    reach: Reach,
    delivery: Delivery,
    account: Account,
    parents: Mapping[str, tuple[Receipt, Receipt]],
    deadline: float,
) -> Armed:
    publisher = reach.publisher(account.platform)
    token = reach.token(account, deadline)
    parent, root = parents.get(delivery.id, (None, None))
    if delivery.after and parent is None:
        raise NotReady("parent", "the part before it has no id on the platform that it could follow")
    outgoing = Outgoing(
        content=delivery.content,
        key=delivery.key,
        due=delivery.due,
        read=lambda media: _read(db, media),
        parent=parent,
        root=root,
    )
    prepared = publisher.prepare(outgoing, account, reach.http(account, deadline))
    request = publisher.request(prepared, delivery.key)
    return Armed(delivery, prepared, Shot(delivery.id, request, reach.base_url(account), token))


def _read(db: Database, media: Media) -> bytes:
    with db.read() as conn:
        body = desk.media(conn, media.sha256)
    if body is None or sha256(body) != media.sha256:
        raise NotReady("media", f"{media.file} is not the picture that was approved")
    return body


def _receipts_before(conn: Any, deliveries: Sequence[Delivery]) -> dict[str, tuple[Receipt, Receipt]]:
    """For the later parts of threads: the receipts of the part before and of the first part."""
    found: dict[str, tuple[Receipt, Receipt]] = {}
    for one in deliveries:
        chain: list[Receipt] = []
        before = one.after
        while before:
            row = next(iter(outbox.find(conn, ids=[before])), None)
            if row is None or not row.remote_id:
                chain.clear()
                break
            extra = json.loads(outbox.column(conn, [before], "extra")[before])
            chain.append(Receipt(row.remote_id, row.url, extra))
            before = row.after
        if chain:
            found[one.id] = (chain[0], chain[-1])
    return found


def account_of(profile: str) -> Account:
    """The account as it was when its delivery was queued."""
    return Account(**json.loads(profile))


def stored(prepared: Prepared) -> str:
    """`Prepared` as JSON."""
    account = asdict(replace(prepared.account, about=None))
    return json.dumps(
        {
            "content": prepared.content.canonical().decode(),
            "account": account,
            "handles": dict(prepared.handles),
            "expires_at": instant(prepared.expires_at) if prepared.expires_at else None,
        },
        sort_keys=True,
    )


def unstored(text: str) -> Prepared:
    """The other way round."""
    fields = json.loads(text)
    expires: datetime | None = parse_instant(fields["expires_at"]) if fields["expires_at"] else None
    return Prepared(
        Content.parse(fields["content"].encode()), Account(**fields["account"]), fields["handles"], expires
    )
