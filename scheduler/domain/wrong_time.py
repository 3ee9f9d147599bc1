"""A time that cannot be taken, and why: the faults people make when they write one."""

from __future__ import annotations

import re

EXAMPLE = "'Tue 9 March 2027 07:00'"
FULL_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class WrongTime(ValueError):
    """A time that cannot be taken: a stable code, what is wrong, what to write, and where in the text."""

    def __init__(self, code: str, message: str, help: str, start: int = 0, length: int = 0) -> None:
        super().__init__(message)
        self.code, self.message, self.help, self.start, self.length = code, message, help, start, length


def diagnose(text: str) -> WrongTime:
    """Why the text is no time, as helpfully as can be."""
    return (
        _slashes(text)
        or _clock_fault(text)
        or _relative_fault(text)
        or _no_year(text)
        or WrongTime(
            "E201",
            f"'{text}' is not a time",
            f"write it like {EXAMPLE}, 'launch + 5h' or '30m before launch'",
        )
    )


def _slashes(text: str) -> WrongTime | None:
    found = re.search(r"\b([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{2,4})\b", text)
    if not found:
        return None
    day, month = int(found[1]), int(found[2])
    readings = [
        f"{d} {FULL_MONTHS[m - 1]}" for d, m in ((day, month), (month, day)) if 1 <= m <= 12 and 1 <= d <= 31
    ]
    first = f"{readings[0] if readings else '3 April'} 2027"
    can_be = " or ".join(dict.fromkeys(readings)) or "no date at all"
    return WrongTime(
        "E202",
        f"'{found[0]}' can be {can_be}",
        f"write the month as a word: {first}",
        found.start(),
        len(found[0]),
    )


def _clock_fault(text: str) -> WrongTime | None:
    found = re.search(
        r"(?i)(?:(?<=\s)|(?<=T)|^)(?:([0-9]{1,2})(?::([0-9]{2}))?\s*([ap]\.?m\.?)?|noon|midnight)$", text
    )
    dated = re.search(r"[0-9]{4}|[A-Za-z]{3,} [0-9]", text)
    if not found or not dated or (len(found[1] or "") == 2 and found[2] and not found[3]):
        return None
    message = f"'{found[0]}' is not a time of day"
    if found[1] and not found[2] and not found[3]:
        message = f"'{found[0]}' has no minutes"
    return WrongTime(
        "E203",
        message,
        "write hours and minutes with two digits, 24 hours: 07:00, 16:30",
        found.start(),
        len(found[0]),
    )


def _relative_fault(text: str) -> WrongTime | None:
    if not re.search(r"(?i)\b(launch|before|after)\b", text) and not text.startswith(("+", "-")):
        return None
    return WrongTime(
        "E201", f"'{text}' is not a time", "write it like 'launch + 5h', 'launch + 7d' or '30m before launch'"
    )


def _no_year(text: str) -> WrongTime | None:
    if not re.search(r"(?i)\b[0-9]{1,2}\s+[A-Z]{3,}\b(?!\s+[0-9]{4}\b)", text):
        return None
    return WrongTime("E204", f"'{text}' has no year", f"write the year: {EXAMPLE}")
