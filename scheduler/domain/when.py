"""Showing times: always with weekday, date and zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def show(at: datetime, zone: str = "UTC") -> str:
    """`Tue 9 Mar 2027 07:00 GMT`; seconds only where there are any. English whatever the locale."""
    local = at.astimezone(ZoneInfo(zone))
    seconds = f":{local.second:02d}" if local.second else ""
    date = f"{_DAYS[local.weekday()]} {local.day} {_MONTHS[local.month - 1]} {local.year}"
    return f"{date} {local.hour:02d}:{local.minute:02d}{seconds} {local.tzname()}"


def show_clock(at: datetime, zone: str = "UTC") -> str:
    """`07:00:00`, for rows below a heading that names the day and the zone."""
    return at.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S")


def show_span(span: timedelta) -> str:
    """`43 s`, `10 min`, `5 h`, `3 days`: the largest unit that keeps it readable."""
    seconds = int(abs(span).total_seconds())
    for size, unit in ((172_800, "days"), (7_200, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds // {'days': 86_400, 'h': 3_600, 'min': 60}[unit]} {unit}"
    return f"{seconds} s"
