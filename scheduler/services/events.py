"""Log events about deliveries, in one form for every verb."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from scheduler.domain.content import instant
from scheduler.domain.delivery import Delivery, State
from scheduler.evidence.entry import Actor, Event
from scheduler.store import outbox

DAEMON = Actor("daemon", "", "publisher", "service", "service")


def about(
    type: str,
    actor: Actor,
    d: Delivery,
    *,
    facts: Mapping[str, Any] | None = None,
    code: str = "",
    said: str = "",
) -> Event:
    """A log event about one delivery."""
    return Event(
        type,
        actor,
        campaign=d.campaign,
        post=d.post,
        delivery=d.name,
        account=d.account,
        platform=d.platform,
        organisation=d.organisation,
        reason_code=plain(code),
        reason_text=plain(said),
        facts=facts or {},
    )


def given_up(d: Delivery, actor: Actor, code: str, why: str, landing: Collection[str]) -> outbox.Change:
    """It does not go any more: `missed`, or a question where an earlier attempt may still land.

    `landing` are the ids of deliveries with such an attempt: of those nobody may say "certainly not out".
    """
    facts = {"content_sha256": d.content_sha256}
    if d.id in landing:
        why = f"{why}, but an earlier attempt may still land: launchday resolve {d.name}"
        return d, State.ASKING, {"reason": why}, about("publish.unknown", actor, d, code=code, facts=facts)
    event = about("schedule.missed", actor, d, code=code, said=why, facts=facts)
    return d, State.MISSED, {"reason": why}, event


def beyond_window(changes: Sequence[outbox.Change], landing: Collection[str]) -> list[outbox.Change]:
    """What of these changes puts off a delivery until after its window: that is missed now, with the reason.

    It would only wait silently. The caller makes these changes after the others, in the same transaction.
    """
    found = []
    for one, to, fields, _ in changes:
        if to is State.SCHEDULED and fields.get("fire_at", "") > instant(one.not_after):
            why = f"its next try would come after its window closed: {fields['reason']}"
            waiting = replace(one, state=State.SCHEDULED)
            found.append(given_up(waiting, DAEMON, "window", why, landing))
    return found


def plain(text: str) -> str:
    """What a server said, as text that both databases and the log can hold (no NUL, no half characters)."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def whole_second(at: datetime) -> datetime:
    """Rounded up to a second, so that deferred deliveries gather in few waves."""
    return at if at.microsecond == 0 else at.replace(microsecond=0) + timedelta(seconds=1)
