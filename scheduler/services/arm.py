"""Arm deliveries: open sessions, upload media, build the ready bytes of every publishing request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from scheduler.domain.account import Account
from scheduler.domain.content import Content, Media, instant, parse_instant, sha256
from scheduler.domain.delivery import Delivery
from scheduler.domain.publisher import Outgoing, Prepared, Receipt
from scheduler.errors import NotReady, PublishError
from scheduler.services.calls import Prepare
from scheduler.services.reach import Reach
from scheduler.store import desk, outbox
from scheduler.store.database import Database
from scheduler.transport.volley import Shot


@dataclass(frozen=True, slots=True)
class Armed:
    """A delivery that is ready: what was prepared, and the shot (request bytes' source and token).

    `stored` is what was prepared as it goes to disk; it is written out here, while there is time.
    """

    delivery: Delivery
    prepared: Prepared
    shot: Shot
    stored: str = field(init=False)

    def __post_init__(self) -> None:
        """Write it out."""
        object.__setattr__(self, "stored", stored(self.prepared))


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

    calls: dict[str, Prepare] = {}
    refused: dict[str, PublishError] = {}
    for one in deliveries:
        try:
            if sha256(bytes(contents[one.id])) != one.content_sha256:
                raise NotReady("changed", "the stored words are not the ones that were approved")
            account = reach.place(account_of(profiles[one.id]))
            calls[one.id] = Prepare(account, _outgoing(db, one, parents))
        except PublishError as error:
            refused[one.id] = error
        except Exception as error:
            refused[one.id] = NotReady("damaged", f"what is stored of it is damaged: {type(error).__name__}")
    built = dict(zip(calls, reach.ask(list(calls.values()), deadline), strict=True))
    ready: list[Armed] = []
    for one in deliveries:
        made = built.get(one.id)
        if isinstance(made, PublishError):
            refused[one.id] = made
        elif made is not None:
            shot = Shot(one.id, made.request, reach.base_url(calls[one.id].account), made.token)
            ready.append(Armed(one, made.prepared, shot))
    return ready, [(d, refused[d.id]) for d in deliveries if d.id in refused]


def prepare_to_find(
    db: Database, reach: Reach, deliveries: Sequence[Delivery], deadline: float
) -> dict[str, Prepared | PublishError]:
    """What `find` needs of deliveries whose preparing was lost with the database (safe mode); stores it.

    Nothing of it is public. A part of a thread is prepared without the part before it: it is looked for, not
    sent. A crash before it is stored leaves uploaded pictures that nothing refers to.
    """
    # No parents are needed to find a part.
    ready, refused = arm(db, reach, [replace(d, after="") for d in deliveries], deadline)
    made: dict[str, Prepared | PublishError] = {d.id: error for d, error in refused}
    made |= {one.delivery.id: one.prepared for one in ready}
    with db.write() as conn:
        outbox.note_each(conn, "prepared", {a.delivery.id: stored(a.prepared) for a in ready})
    return made


def _outgoing(db: Database, delivery: Delivery, parents: Mapping[str, tuple[Receipt, Receipt]]) -> Outgoing:
    parent, root = parents.get(delivery.id, (None, None))
    if delivery.after and parent is None:
        raise NotReady("parent", "the part before it has no id on the platform that it could follow")
    return Outgoing(
        content=delivery.content,
        key=delivery.key,
        due=delivery.due,
        read=lambda media: _read(db, media),
        parent=parent,
        root=root,
    )


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
