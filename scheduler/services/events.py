"""Log events about deliveries, in one form for every verb."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from scheduler.domain.delivery import Delivery
from scheduler.evidence.entry import Actor, Event

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
        reason_code=code,
        reason_text=said,
        facts=facts or {},
    )


def whole_second(at: datetime) -> datetime:
    """Rounded up to a second, so that deferred deliveries gather in few waves."""
    return at if at.microsecond == 0 else at.replace(microsecond=0) + timedelta(seconds=1)
