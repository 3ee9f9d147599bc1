"""Reading back: what the public sees of a published post, held against what was approved."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.content import instant
from scheduler.domain.delivery import Delivery, State
from scheduler.domain.publisher import Receipt, Seen
from scheduler.errors import CannotTell, PublishError
from scheduler.services.arm import account_of, unstored
from scheduler.services.calls import LookAt
from scheduler.services.clock import Clock
from scheduler.services.events import DAEMON, about, plain
from scheduler.services.reach import Reach
from scheduler.services.reconcile import Reconciled
from scheduler.services.timing import Timing
from scheduler.store import log, looks, outbox
from scheduler.store.database import Database

ABSENT_LOOKS = 3  # so many, spread over `vanished`, before a person is told that a post is not to be seen

EQUAL = "read back: equal to what was approved"


def read_back(
    db: Database, clock: Clock, reach: Reach, timing: Timing, organisation: str = ""
) -> tuple[Reconciled, ...]:
    """Look at what is due to be looked at, one round of it, and draw the conclusions.

    Nothing is ever sent or removed because of what is seen: a person decides.
    """
    with db.read() as conn:
        waiting = looks.due(conn, State.PUBLISHED, clock.now() - timing.read_after, organisation)
    if not waiting:
        return ()
    began = clock.now()
    answers = seen(reach, clock, timing, waiting)
    with db.write() as conn:
        # A crash before the commit forgets these looks: they are made again, and looking is harmless.
        fresh = looks.still(conn, waiting, State.PUBLISHED)
        changes: list[outbox.Change] = []
        said = []
        for one in waiting:
            if one.delivery.id in fresh:
                d = fresh[one.delivery.id]
                word = _conclude(conn, timing, began, one, d, answers[d.id], changes)
                said += [Reconciled(d, word)] if word else []
        outbox.change(conn, clock.now(), changes)
    return tuple(said)


def seen(
    reach: Reach, clock: Clock, timing: Timing, waiting: Sequence[looks.Due]
) -> dict[str, Seen | PublishError | None]:
    """What each platform shows of each post, by delivery id; CannotTell where it does not say."""
    calls: dict[str, LookAt] = {}
    answers: dict[str, Any] = {}
    for one in waiting:
        try:
            calls[one.delivery.id] = look_at(reach, one, receipt_of(one))
        except PublishError as error:
            answers[one.delivery.id] = error
    deadline = clock.seconds() + timing.reply_within.total_seconds()
    answers |= zip(calls, reach.ask(list(calls.values()), deadline), strict=True)
    return answers


def look_at(reach: Reach, one: looks.Due, receipt: Receipt) -> LookAt:
    """The look as a call. Raises CannotTell where what is stored does not allow it."""
    try:
        account = reach.place(account_of(one.profile))
        before = unstored(one.prepared)
    except (ValueError, KeyError, TypeError) as damage:
        raise CannotTell("damaged", f"what is stored of it is damaged: {type(damage).__name__}") from damage
    if before.content.sha256 != one.delivery.content_sha256:
        raise CannotTell("changed", "what was prepared is not what was approved")
    if not receipt.remote_id:
        raise CannotTell("no_id", "the platform's id of the post is not known")
    return LookAt(account, replace(before, account=account), receipt)


def receipt_of(one: looks.Due) -> Receipt:
    """The proof that is stored with the delivery."""
    try:
        extra = json.loads(one.extra)
    except ValueError:
        extra = {}
    known = extra if isinstance(extra, dict) else {}
    return Receipt(one.delivery.remote_id, one.delivery.url, {str(k): str(v) for k, v in known.items()})


def _conclude(
    conn: Connection,
    timing: Timing,
    now: datetime,
    one: looks.Due,
    d: Delivery,
    answer: Seen | PublishError | None,
    changes: list[outbox.Change],
) -> str:
    """What one look leads to; returns a line for people, "" where it is only looked at again."""
    facts = {"content_sha256": d.content_sha256, "remote_id": d.remote_id, "looks": one.looks + 1}
    since = now - (d.published_at or now)
    if isinstance(answer, Seen) and not answer.differs:
        fields = {"verified_at": instant(now), "look_at": "", "reason": ""}
        changes.append((d, State.VERIFIED, fields, about("publish.verified", DAEMON, d, facts=facts)))
        return EQUAL
    if isinstance(answer, Seen):
        how = plain(answer.differs[:300])
        event = about("publish.mismatch", DAEMON, d, code="differs", said=how, facts=facts)
        why = f"it is out, but differs from what was approved: {how}: launchday resolve {d.name}"
        changes.append((d, State.ASKING, {"look_at": "", "reason": why}, event))
        return "read back: differs from what was approved, a person is asked"
    if answer is None:
        lasting = since >= timing.vanished and one.looks + 1 >= ABSENT_LOOKS
        if lasting or since >= timing.read_for:
            event = about("publish.missing", DAEMON, d, code="vanished", facts=facts)
            why = f"the platform took it, and does not show it ({d.url}): launchday resolve {d.name}"
            changes.append((d, State.ASKING, {"look_at": "", "reason": why}, event))
            return "read back: not to be seen, a person is asked"
        again = now + _pause(since, timing, timing.vanished / ABSENT_LOOKS)
        looks.later(conn, d.id, {"look_at": instant(again), "looks": one.looks + 1})
        return ""
    if answer.code == "no_look" or since >= timing.read_for:
        # It stays published, which the receipt proves; only that nobody looked is said.
        why = "" if answer.code == "no_look" else f"not read back: {plain(answer.code[:80])}"
        looks.later(conn, d.id, {"look_at": "", "reason": why})
        event = about("publish.unverified", DAEMON, d, code=plain(answer.code[:80]), facts=facts)
        log.append(conn, now, [event])
        return "could not be read back; its receipt stands" if why else ""
    again = now + _pause(since, timing, timing.read_every)
    looks.later(conn, d.id, {"look_at": instant(again)})
    return ""


def _pause(since: timedelta, timing: Timing, longest: timedelta) -> timedelta:
    """As long again as it has been out: 10 s, 20 s, 40 s …"""
    return min(max(since, timing.read_after), longest)
