"""log verify: the log is whole, and every published delivery is what was approved."""

from __future__ import annotations

import json
from dataclasses import dataclass

from scheduler.domain.content import sha256
from scheduler.domain.delivery import OUT, Delivery
from scheduler.errors import LogBroken
from scheduler.store import log, outbox
from scheduler.store.database import Database

_KEEP = "keep the database as it is and compare it with a backup"


@dataclass(frozen=True, slots=True)
class Verified:
    """How many entries were read and how many published deliveries were compared."""

    entries: int
    published: int


def verify(db: Database) -> Verified:
    """Read everything. Raises LogBroken, with a sentence saying what does not fit."""
    with db.read() as conn:
        entries = log.verify(conn)
        try:
            out = [d for d in outbox.find(conn) if d.state in OUT]
        except ValueError:
            raise LogBroken(
                "the stored words of a delivery are not the bytes that were queued", help=_KEEP
            ) from None
        contents = outbox.column(conn, [d.id for d in out], "content")
        attempted: dict[tuple[str, str], set[str]] = {}
        approved: dict[tuple[str, str], set[str]] = {}
        receipts: dict[tuple[str, str], set[str]] = {}
        for entry in log.read(conn):
            body = entry.body
            key = (body.get("campaign", ""), body.get("delivery", ""))
            if body["type"] == "publish.attempted":
                attempted.setdefault(key, set()).add(body["content_sha256"])
            elif body.get("rolled_back"):
                # Sent in a span that the database has lost, with whatever stood in its log (safe mode).
                attempted.setdefault(key, set()).add(body["content_sha256"])
                approved.setdefault(key, set()).add(body["content_sha256"])
            elif body["type"] == "approval.granted":
                approved.setdefault(key, set()).add(body["content_sha256"])
            elif body["type"] in ("publish.accepted", "publish.reconciled"):
                receipts.setdefault(key, set()).add(json.dumps(body.get("receipt", body.get("url", ""))))
    for one in out:
        _compare(one, bytes(contents[one.id]), attempted, approved, receipts)
    return Verified(entries, len(out))


def _compare(
    one: Delivery,
    content: bytes,
    attempted: dict[tuple[str, str], set[str]],
    approved: dict[tuple[str, str], set[str]],
    receipts: dict[tuple[str, str], set[str]],
) -> None:
    key = (one.campaign, one.name)
    digest = sha256(content)
    if digest != one.content_sha256:
        raise LogBroken(f"the stored words of {one.name} are not those its hash was taken of", help=_KEEP)
    if digest not in attempted.get(key, set()):
        raise LogBroken(
            f"{one.name} is called published, but the log has no attempt with these words", help=_KEEP
        )
    if digest not in approved.get(key, set()) and one.needs:
        raise LogBroken(f"{one.name} was published, but the log has no approval of these words", help=_KEEP)
    if key not in receipts:
        raise LogBroken(f"{one.name} is called published, but the log has no receipt for it", help=_KEEP)
