"""What a platform's proof makes of a delivery: columns, a log entry, a question where it differs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.delivery import Delivery, State
from scheduler.domain.publisher import Receipt
from scheduler.evidence.entry import Event
from scheduler.services.events import DAEMON, about, plain
from scheduler.store import outbox


def published(receipt: Receipt, at: str) -> dict[str, Any]:
    """The columns that a receipt fills, `at` a stored instant. From then on it is read back."""
    return {
        "remote_id": plain(receipt.remote_id),
        "url": plain(receipt.url),
        "extra": json.dumps(dict(receipt.extra), sort_keys=True) if receipt.extra else "{}",
        "published_at": at,
        "look_at": at,
        "looks": 0,
        "reason": "",
    }


def accepted(type: str, d: Delivery, receipt: Receipt, facts: Mapping[str, Any]) -> Event:
    """A log entry that carries the platform's proof."""
    proof = {"remote_id": plain(receipt.remote_id), "url": plain(receipt.url)}
    return about(type, DAEMON, d, facts={**facts, "receipt": proof})


def ask_about_differences(
    conn: Connection, now: datetime, receipts: Sequence[tuple[Delivery, Receipt]]
) -> set[str]:
    """What is out, but not as approved (a picture was dropped, words were changed): a person is asked.

    Returns the ids of those deliveries. The caller has recorded them as published in this transaction.
    """
    odd = [(d, r) for d, r in receipts if r.extra.get("differs")]
    changes: list[outbox.Change] = []
    for delivery, receipt in odd:
        said = receipt.extra["differs"]
        reason = f"it is out, but differs from what was approved: {said}"
        event = about("publish.mismatch", DAEMON, delivery, code="differs", said=said)
        changes.append((replace(delivery, state=State.PUBLISHED), State.ASKING, {"reason": reason}, event))
    outbox.change(conn, now, changes)
    return {d.id for d, _ in odd}
