"""The times people write: `launch + 5h`, `30m before launch`, `Wed 10 March 2027 16:00`. Nothing is guessed.

Days keep the wall time, hours are elapsed time. A local time that does not exist, or exists twice, is a fault
that shows both readings; a zone behind the time (`BST`, `UTC`, `Europe/Paris`) settles it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from scheduler.domain.wrong_time import EXAMPLE, FULL_MONTHS, WrongTime, diagnose

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FULL_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LONGEST = timedelta(days=3660)
LONGEST_TEXT = 120


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant (UTC), and the local wall time that was meant, `2027-03-09 07:00`."""

    due: datetime
    wall: str


def say(at: datetime, zone: ZoneInfo) -> str:
    """`Tue 9 Mar 2027 07:00 GMT`: weekday, date and zone, whatever the machine's language."""
    local = at.astimezone(zone)
    clock = local.strftime("%H:%M:%S" if local.second else "%H:%M")
    return (
        f"{DAYS[local.weekday()]} {local.day} {MONTHS[local.month - 1]} {local.year} {clock} {local.tzname()}"
    )


def parse(text: str, zone: ZoneInfo, launch: Moment | None = None) -> Moment:
    """The moment the text means; `launch` is None where a time relative to it makes no sense."""
    text = text.strip()
    if len(text) > LONGEST_TEXT:
        raise WrongTime("E201", "that is not a time", f"write it like {EXAMPLE}")
    relative = _relative(text)
    if relative is not None:
        if launch is None:
            raise WrongTime("E201", "the launch itself needs a date", f"write it like {EXAMPLE}")
        days, rest = relative
        return _shift(launch, days, rest, zone)
    found = _ABSOLUTE.fullmatch(text) or _ISO.fullmatch(text)
    if found is None:
        raise diagnose(text)
    return _absolute(found, zone)


def duration(text: str) -> timedelta:
    """`10m`, `1h 30m`, `14d`: elapsed time."""
    days, rest = _spans(text[:LONGEST_TEXT], 0)
    return days + rest


def before_launch(text: str) -> bool:
    """Whether the text is relative to the launch."""
    try:
        return len(text) <= LONGEST_TEXT and _relative(text.strip()) is not None
    except WrongTime:
        return True


_CLOCK = (
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?(?:\s*(?P<zone>[A-Za-z][\w/+-]*))?"
)
_WEEKDAY = r"(?:(?P<weekday>[A-Za-z]+),?\s+)?"
_ABSOLUTE = re.compile(
    rf"{_WEEKDAY}(?P<day>[0-9]{{1,2}})\s+(?P<month>[A-Za-z]+)\s+(?P<year>[0-9]{{4}}),?\s+{_CLOCK}"
)
_ISO = re.compile(rf"{_WEEKDAY}(?P<year>[0-9]{{4}})-(?P<month>[0-9]{{2}})-(?P<day>[0-9]{{2}})[ T]{_CLOCK}")
_AFTER = re.compile(r"launch\s*(?P<sign>[+-])\s*(?P<span>.+)")
_BESIDE = re.compile(r"(?P<span>[0-9].*?)\s+(?P<side>before|after)\s+launch")
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_SPAN = re.compile(r"\s*([0-9]{1,7})\s*(weeks?|days?|hours?|minutes?|mins?|seconds?|[wdhms])(?![A-Za-z])\s*")


def _relative(text: str) -> tuple[timedelta, timedelta] | None:
    if text == "launch":
        return timedelta(), timedelta()
    found = _AFTER.fullmatch(text)
    if found:
        days, rest = _spans(found["span"], found.start("span"))
        return (days, rest) if found["sign"] == "+" else (-days, -rest)
    found = _BESIDE.fullmatch(text)
    if found:
        days, rest = _spans(found["span"], found.start("span"))
        return (days, rest) if found["side"] == "after" else (-days, -rest)
    return None


def _spans(text: str, start: int) -> tuple[timedelta, timedelta]:
    """Whole days (which keep the wall time) and the elapsed rest."""
    amounts: dict[str, int] = {}
    at, order = 0, "wdhms"
    while at < len(text):
        found = _SPAN.match(text, at)
        unit = found[2][0] if found else ""
        if found is None or unit not in order:
            raise WrongTime(
                "E209", f"'{text}' is not a length of time", "write it like 10m, 5h, 1d 2h", start, len(text)
            )
        amounts[unit] = int(found[1])
        order, at = order[order.index(unit) + 1 :], found.end()
    days = timedelta(weeks=amounts.get("w", 0), days=amounts.get("d", 0))
    rest = timedelta(**{_UNITS[u]: n for u, n in amounts.items() if u in "hms"})
    if not amounts or days + rest > LONGEST:
        message = "no length of time" if not amounts else f"'{text}' is more than ten years"
        raise WrongTime("E209", message, "write it like 10m, 5h, 1d 2h", start, max(1, len(text)))
    return days, rest


def _shift(launch: Moment, days: timedelta, rest: timedelta, zone: ZoneInfo) -> Moment:
    due = launch.due
    if days:
        wall = launch.due.astimezone(zone).replace(tzinfo=None) + days
        due = _local(wall, zone, "", 0, 0)
    due += rest
    return Moment(due, _wall(due, zone))


def _absolute(found: re.Match[str], zone: ZoneInfo) -> Moment:
    wall = datetime.combine(_date(found), datetime.min.time()) + _clock(found)
    named = found["zone"] or ""
    start, length = (found.start("zone"), len(named)) if named else (found.start("hour"), len(found[0]))
    due = _local(wall, _other_zone(found, zone) if "/" in named else zone, named, start, length)
    return Moment(due, _wall(due, zone))


def _date(found: re.Match[str]) -> datetime:
    year, day = int(found["year"]), int(found["day"])
    month = int(found["month"]) if found["month"].isdigit() else _month(found)
    try:
        date = datetime(year, month, day)  # noqa: DTZ001 - because it is a wall time, no instant yet
    except ValueError:
        start = found.start("day") if found.start("day") < found.start("year") else found.start("year")
        end = max(found.end("day"), found.end("year"))
        name = f"{day} {FULL_MONTHS[month - 1]} {year}" if 1 <= month <= 12 else f"month {month}"
        raise WrongTime(
            "E205",
            f"there is no {name}",
            "look at a calendar and correct the date",
            start,
            end - start,
        ) from None
    if not 2000 <= year < 2200:
        raise WrongTime(
            "E205", f"the year {year} cannot be meant", "correct the year", found.start("year"), 4
        )
    _check_weekday(found, date)
    return date


def _month(found: re.Match[str]) -> int:
    written = found["month"].lower()
    for number, name in enumerate(FULL_MONTHS, 1):
        if written in (name.lower(), name[:3].lower()) or (written == "sept" and number == 9):
            return number
    start = found.start("month")
    raise WrongTime(
        "E201", f"'{found['month']}' is no month", "write it in English: March or Mar", start, len(written)
    )


def _check_weekday(found: re.Match[str], date: datetime) -> None:
    written = (found["weekday"] or "").lower()
    if not written:
        return
    actual = FULL_DAYS[date.weekday()]
    if written in (actual, actual[:3]) or (
        written in {"tues", "wednes", "thur", "thurs"} and actual.startswith(written)
    ):
        return
    if written not in FULL_DAYS and written.capitalize() not in DAYS:
        message, help = f"'{found['weekday']}' is no weekday", f"that day is a {actual.capitalize()}"
    else:
        day = f"{date.day} {FULL_MONTHS[date.month - 1]} {date.year}"
        message = f"{day} is a {actual.capitalize()}, not a {found['weekday']}"
        help = "correct the weekday or the date: which of them was meant?"
    raise WrongTime("E206", message, help, found.start("weekday"), len(written))


def _clock(found: re.Match[str]) -> timedelta:
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
    start = found.start("hour")
    if (hour, minute, second) == (24, 0, 0):
        raise WrongTime("E203", "24:00 is not used", "write 00:00 of the next day", start, 5)
    if hour > 23 or minute > 59 or second > 59:
        raise WrongTime(
            "E203", f"there is no {found['hour']}:{found['minute']}", "write 00:00 to 23:59", start, 5
        )
    return timedelta(hours=hour, minutes=minute, seconds=second)


def _other_zone(found: re.Match[str], zone: ZoneInfo) -> ZoneInfo:
    try:
        return ZoneInfo(found["zone"])
    except (KeyError, ValueError, OSError):
        message = f"'{found['zone']}' is no time zone"
        raise WrongTime(
            "E211",
            message,
            f"leave it away for {zone.key}, or write UTC",
            found.start("zone"),
            len(found["zone"]),
        ) from None


def _local(wall: datetime, zone: ZoneInfo, named: str, start: int, length: int) -> datetime:
    """The instant of a wall time; `named` is an abbreviation that settles which reading is meant."""
    if named in ("UTC", "Z"):
        return wall.replace(tzinfo=UTC)
    folds = [wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    real = [f for f in folds if f.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall]
    readings = {f.astimezone(UTC): f.tzname() or "" for f in real}
    if not readings:
        either = " or ".join(say(f.astimezone(UTC), zone) for f in reversed(folds))
        message = f"{_written(wall)} does not exist in {zone.key}: the clocks go forward"
        raise WrongTime("E207", message, f"write what is meant: {either}", start, length)
    if named and "/" not in named:
        readings = {utc: abbr for utc, abbr in readings.items() if abbr == named}
        if not readings:
            message = f"{zone.key} is not on {named} at that time"
            right = " or ".join(sorted({f.tzname() or "" for f in real}))
            raise WrongTime("E211", message, f"write {right}, or leave the zone away", start, length)
    if len(readings) > 1:
        both = " or ".join(f"{_written(wall)} {abbr}" for abbr in readings.values())
        utc = ", ".join(say(at, ZoneInfo("UTC")) for at in readings)
        message = f"{_written(wall)} happens twice in {zone.key}: the clocks go back ({utc})"
        raise WrongTime("E208", message, f"write {both}", start, length)
    return next(iter(readings))


def _written(wall: datetime) -> str:
    return f"{DAYS[wall.weekday()]} {wall.day} {FULL_MONTHS[wall.month - 1]} {wall.year} {wall:%H:%M}"


def _wall(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return local.strftime("%Y-%m-%d %H:%M:%S" if local.second else "%Y-%m-%d %H:%M")
