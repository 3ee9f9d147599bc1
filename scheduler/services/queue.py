"""Render, freeze, store: what was planned becomes deliveries with their bytes, key and log entries."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.approval import needs
from scheduler.domain.campaign import Rendered
from scheduler.domain.content import instant
from scheduler.domain.delivery import ENDED, MAY_STILL_LAND, Delivery, State
from scheduler.errors import RefusedTransition
from scheduler.evidence.entry import Actor, Event, ulid
from scheduler.services.clock import Clock
from scheduler.services.events import about
from scheduler.services.plan import Difference, blackouts, profile
from scheduler.store import desk, log, outbox
from scheduler.store.database import Database


@dataclass(frozen=True, slots=True)
class Queued:
    """How many deliveries were added, changed, withdrawn, and how many approvals stopped counting."""

    added: int
    changed: int
    withdrawn: int
    voided: int


def queue(
    db: Database,
    clock: Clock,
    actor: Actor,
    differences: Sequence[Difference],
    pictures: Mapping[str, bytes],
) -> Queued:
    """Store the differences in one transaction. `pictures` are bytes by SHA-256.

    Raises RefusedTransition where a delivery began to publish meanwhile; then nothing is changed.
    """
    now = clock.now()
    added = [d for d in differences if d.kind == "add" and d.rendered]
    changed = [d for d in differences if d.kind == "change" and d.rendered and d.delivery]
    gone = [d.delivery for d in differences if d.kind == "withdraw" and d.delivery]
    with db.write() as conn:
        # A crash before the commit leaves the store as it was: the command can simply be given again.
        begun = outbox.with_attempt(conn, [d.delivery.id for d in changed if d.delivery], MAY_STILL_LAND)
        begun |= outbox.with_attempt(conn, [d.id for d in gone], MAY_STILL_LAND)
        if begun:
            raise RefusedTransition(
                f"{len(begun)} deliveries began to publish meanwhile and may still land",
                help="launchday plan",
            )
        desk.keep_media(conn, pictures)
        _add(conn, now, actor, [d.rendered for d in added if d.rendered])
        voided = sum(
            _change(conn, now, actor, d.delivery, d.rendered) for d in changed if d.delivery and d.rendered
        )
        outbox.change(
            conn,
            now,
            [
                (d, State.CANCELLED, {"ended_by": "withdrawn"}, about("content.withdrawn", actor, d))
                for d in gone
            ],
        )
        if changed or gone:
            desk.advance_stop_epoch(conn)
    return Queued(len(added), len(changed), len(gone), voided)


def _add(conn: Connection, now: datetime, actor: Actor, rendered: Sequence[Rendered]) -> None:
    rows: list[dict[str, Any]] = []
    events: list[Event] = []
    before: dict[str, str] = {}
    if any(one.content.part > 1 for one in rendered):
        # A part that is added to a post that is queued already waits for the part before it, too.
        every = outbox.find(conn, campaign=rendered[0].campaign)
        stored = [d for d in every if d.state not in ENDED and not d.corrects]
        before = {f"{d.account}/{d.post}/{d.content.part}": d.id for d in stored}
    for one in rendered:
        row = {
            "id": ulid(now),
            "campaign": one.campaign,
            "post": one.post,
            "part": one.content.part,
            "name": one.name,
            "organisation": one.account.organisation,
            "account": one.account.id,
            "platform": one.account.platform,
            "revision": 1,
            "state": State.SCHEDULED.value,
            "key": secrets.token_hex(16),
            "after": before.get(f"{one.account.id}/{one.post}/{one.content.part - 1}", ""),
            "queued_at": instant(now),
            **frozen(one, actor),
        }
        before[f"{one.account.id}/{one.post}/{one.content.part}"] = row["id"]
        rows.append(row)
        events.append(
            Event(
                "content.queued",
                actor,
                campaign=one.campaign,
                post=one.post,
                delivery=one.name,
                account=one.account.id,
                platform=one.account.platform,
                organisation=one.account.organisation,
                facts={**hashes(one), "revision": 1, "due": instant(one.plan.due)},
            )
        )
    outbox.add(conn, now, [{"attempts": 0, **EMPTY, **r} for r in rows], events)


EMPTY = {
    "planner": "",
    "prepared": "",
    "remote_id": "",
    "url": "",
    "extra": "{}",
    "published_at": "",
    "reason": "",
    "ended_by": "",
}


def frozen(one: Rendered, actor: Actor) -> dict[str, Any]:
    """The columns that say what and when: what approvals are bound to."""
    fire_at = one.plan.due
    if one.content.part > 1:
        # A later part of a thread waits for the part before it; its wave comes when that has its receipt.
        fire_at = one.plan.due + timedelta(seconds=one.content.part - 1)
    return {
        "author": actor.id,
        "content": one.content.canonical(),
        "content_sha256": one.content.sha256,
        "plan": one.plan.canonical(),
        "plan_sha256": one.plan.sha256,
        "policy": one.policy.canonical(),
        "policy_sha256": one.policy.sha256,
        "profile": profile(one.account),
        "due": instant(one.plan.due),
        "not_after": instant(one.plan.not_after),
        "embargo": instant(one.plan.embargo),
        "close": instant(one.plan.close),
        "fire_at": instant(fire_at),
        "needs": json.dumps(needs(one.content, one.policy)),
        "blackouts": blackouts(one),
    }


def hashes(one: Rendered) -> dict[str, str]:
    """What its log entry says of it."""
    return {
        "content_sha256": one.content.sha256,
        "plan_sha256": one.plan.sha256,
        "policy_sha256": one.policy.sha256,
    }


def _change(conn: Connection, now: datetime, actor: Actor, old: Delivery, new: Rendered) -> int:
    """A new revision: a new key where the words are new; approvals that no longer fit are voided."""
    fields = frozen(new, actor) | {
        "revision": old.revision + 1,
        "attempts": 0,
        "prepared": "",
        "reason": "",
        "planner": "",
    }
    words = old.content_sha256 != new.content.sha256
    if words:
        fields["key"] = secrets.token_hex(16)
    if old.state is not State.SCHEDULED:
        fields["state"] = State.SCHEDULED.value
    outbox.revise(conn, old, fields)
    same = (old.content_sha256, old.plan_sha256, old.policy_sha256, old.needs)
    asked = (new.content.sha256, new.plan.sha256, new.policy.sha256, needs(new.content, new.policy))
    why = "the words changed" if words else "the time or the approval policy changed"
    granted = [d for d in desk.decisions(conn, [old.id]).get(old.id, ()) if d.verdict == "granted"]
    if same == asked:
        granted = []  # nothing that anybody approved: blackouts, or where the account is reached
    desk.void(conn, [d.id for d in granted], why)
    facts = {**hashes(new), "revision": old.revision + 1, "due": instant(new.plan.due)}
    events = [about("content.changed", actor, old, facts=facts)]
    events += [
        about("approval.voided", actor, old, facts={"approver": d.person, "why": why}) for d in granted
    ]
    log.append(conn, now, events)
    return len(granted)
