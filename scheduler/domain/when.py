"""Showing times: always with weekday, date and zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from scheduler.domain.times import say


def show(at: datetime, zone: str = "UTC") -> str:
    """`Tue 9 Mar 2027 07:00 GMT` in the zone of that name."""
    return say(at, ZoneInfo(zone))


def show_span(span: timedelta) -> str:
    """`43 s`, `10 min`, `5 h`, `3 days`: the largest unit that keeps it readable."""
    seconds = int(abs(span).total_seconds())
    for size, unit in ((172_800, "days"), (7_200, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds // {'days': 86_400, 'h': 3_600, 'min': 60}[unit]} {unit}"
    return f"{seconds} s"
