"""Correct: other words in the place of what is out, as a delivery with its own key and approvals."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from scheduler.domain.campaign import Rendered
from scheduler.domain.content import Plan, instant
from scheduler.domain.delivery import ENDED, Delivery, State
from scheduler.errors import UsageError
from scheduler.evidence.entry import Actor, ulid
from scheduler.services.clock import Clock
from scheduler.services.events import about
from scheduler.services.queue import EMPTY, frozen, hashes
from scheduler.store import desk, outbox
from scheduler.store.database import Database

CORRECTABLE = frozenset({State.PUBLISHED, State.VERIFIED, State.ASKING, State.RETRACTING, State.RETRACTED})


def correct(
    db: Database,
    clock: Clock,
    actor: Actor,
    old: Delivery,
    new: Rendered,
    pictures: Mapping[str, bytes],
    *,
    due: datetime,
    retract_first: bool,
) -> Delivery:
    """Queue the words of the files as a correction of `old`, due at `due`; approvals are taken until then.

    With `retract_first` it waits until `old` is removed. Raises UsageError where `old` is not out, the words
    are the same, or a correction of it waits already. A crash before the commit queues nothing.
    """
    now = clock.now()
    if due <= now:
        raise UsageError("the correction's time has passed", help="name a later one with --at")
    with db.write() as conn:
        (current,) = outbox.find(conn, ids=[old.id])
        if current.state not in CORRECTABLE or not (current.url or current.remote_id):
            raise UsageError(
                f"{current.name} is {current.state} and not known to be out",
                help="what waits is changed by launchday queue; a question is answered by launchday resolve",
            )
        if new.content.sha256 == current.content_sha256:
            raise UsageError(
                f"the files have the very words of {current.name}", help="change the post's file first"
            )
        every = [d for d in outbox.find(conn, campaign=current.campaign) if d.corrects == current.id]
        if waiting := [d for d in every if d.state not in ENDED]:
            raise UsageError(
                f"{waiting[0].name} corrects it already and is {waiting[0].state}",
                help=f"launchday cancel {waiting[0].name}, or correct that one",
            )
        planned = replace(new, plan=_plan(new.plan, due))
        name = f"{current.name}/correction" + (f"-{len(every) + 1}" if every else "")
        row = {
            **EMPTY,
            "id": ulid(now),
            "campaign": current.campaign,
            "post": current.post,
            "part": new.content.part,
            "name": name,
            "organisation": current.organisation,
            "account": current.account,
            "platform": current.platform,
            "revision": 1,
            "state": State.SCHEDULED.value,
            "key": secrets.token_hex(16),
            "after": current.after,
            "attempts": 0,
            "queued_at": instant(now),
            **frozen(planned, actor),
            "fire_at": instant(due),
            "corrects": current.id,
            "retract_first": int(retract_first),
        }
        desk.keep_media(conn, pictures)
        facts = {
            **hashes(planned),
            "revision": 1,
            "due": instant(due),
            "corrects": current.name,
            "retract_first": retract_first,
        }
        event = replace(about("content.queued", actor, current, facts=facts), delivery=name)
        outbox.add(conn, now, [row], [event])
        (added,) = outbox.find(conn, ids=[str(row["id"])])
    return added


def _plan(plan: Plan, due: datetime) -> Plan:
    """The files' plan at another instant: the embargo stays, approvals are taken up to the last moment."""
    window = max(plan.not_after - plan.due, timedelta(minutes=1))
    return Plan(
        due=max(due, plan.embargo),
        not_after=max(due, plan.embargo) + window,
        embargo=plan.embargo,
        close=max(due, plan.embargo),
        wall=max(due, plan.embargo).astimezone(ZoneInfo(plan.zone)).strftime("%Y-%m-%dT%H:%M:%S"),
        zone=plan.zone,
    )
