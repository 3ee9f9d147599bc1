"""Arming was refused: a delivery waits for another try inside its window, or is missed now and told why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from scheduler.domain.content import instant
from scheduler.domain.delivery import MAY_STILL_LAND, Delivery, State
from scheduler.domain.notice import without_words
from scheduler.domain.retry import next_try
from scheduler.errors import PublishError, RetryLater
from scheduler.services.clock import Clock
from scheduler.services.events import DAEMON, about, given_up, plain, whole_second
from scheduler.services.settle import hold_refused_accounts
from scheduler.services.tell import tell
from scheduler.store import log, outbox
from scheduler.store.database import Database

TOPIC = "not_ready"


def put_off(
    db: Database, clock: Clock, refused: Sequence[tuple[Delivery, PublishError]], again: datetime
) -> None:
    """They stay scheduled, with the reason for people, and are armed again at `again`, or when asked to.

    A platform that asks for a time after the window gets no other try: that is missed now, with its reason,
    or a question where an earlier attempt may still land. A refused token holds its account.
    """
    now = clock.now()
    with db.write() as conn:
        # A crash before the commit leaves them waiting as they were: they are simply armed again.
        fresh = {d.id: d for d in outbox.find(conn, ids=[d.id for d, _ in refused], states=[State.SCHEDULED])}
        waiting = [(fresh[d.id], error) for d, error in refused if d.id in fresh]
        landing = outbox.with_attempt(conn, list(fresh), MAY_STILL_LAND)
        missed = []
        for one, error in waiting:
            at = _next(one, error, again, clock)
            reason = "not ready: " + plain(f"{error.code}: {error.detail}".strip(": "))
            _wait(conn, now, one, error, at, reason)
            if at > one.not_after:
                why = f"its next try would come after its window closed: {reason}"
                missed.append(given_up(one, DAEMON, "window", why, landing))
        outbox.change(conn, now, missed)
        hold_refused_accounts(conn, now, waiting)


def _next(one: Delivery, error: PublishError, again: datetime, clock: Clock) -> datetime:
    """When it is armed again. Only what a platform asked for may lie outside its window."""
    now = clock.now()
    if isinstance(error, RetryLater) and error.at:
        asked = next_try(now, error.at + clock.offset, 1, 0.0)
        if asked > again:
            return whole_second(asked)
    again = whole_second(again)
    return min(again, one.not_after) if now < one.not_after else again


def _wait(
    conn: Connection, now: datetime, one: Delivery, error: PublishError, at: datetime, reason: str
) -> None:
    outbox.note(conn, [one.id], reason=reason, fire_at=instant(at))
    facts = {"armed": False, "next_try_at": instant(at)}
    said = plain(error.detail)
    log.append(conn, now, [about("publish.deferred", DAEMON, one, code=error.code, said=said, facts=facts)])
    words = [one.content.text, *(m.alt for m in one.content.media)]
    told = f"{one.name} is {without_words(reason, words)}. It is tried again until its window closes."
    tell(conn, now, TOPIC, one.name, told, organisation=one.organisation, delivery_id=one.id)
