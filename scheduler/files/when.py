"""Times and zones in files: the grammar of domain/times with the place of every fault."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from scheduler.domain import times
from scheduler.domain.times import Moment
from scheduler.domain.wrong_time import WrongTime
from scheduler.files.fields import Word
from scheduler.files.source import Findings, SourceFile


def read_moment(
    word: Word | None, zone: ZoneInfo, launch: Moment | None, file: SourceFile, found: Findings
) -> Moment | None:
    """The moment, or None with the reason among the findings (or because nothing is written)."""
    if word is None:
        return None
    try:
        return times.parse(word.text, zone, launch)
    except WrongTime as wrong:
        _report(wrong, word, file, found)
    except OverflowError:
        _report(WrongTime("E205", "that is beyond the calendar", "correct the time"), word, file, found)
    return None


def read_duration(word: Word | None, default: timedelta, file: SourceFile, found: Findings) -> timedelta:
    """The length of time; the default where nothing is written or what is written is wrong."""
    if word is None:
        return default
    try:
        return times.duration(word.text)
    except WrongTime as wrong:
        _report(wrong, word, file, found)
    return default


def read_zone(word: Word | None, file: SourceFile, found: Findings) -> ZoneInfo:
    """The zone by its IANA name, Europe/London if none is written."""
    if word is not None:
        try:
            return ZoneInfo(word.text)
        except (KeyError, ValueError, OSError):
            found.add(
                word.problem(file, "E611", f"'{word.text}' is no time zone", "write it like Europe/London")
            )
    return ZoneInfo("Europe/London")


def _report(wrong: WrongTime, word: Word, file: SourceFile, found: Findings) -> None:
    # Only a text that stands on one line as it was read lets us point inside it.
    inside = wrong.length and file.lines[word.line - 1][word.inner - 1 :].startswith(word.text)
    col = word.inner + wrong.start if inside else word.col
    length = wrong.length if inside else word.length
    found.add(file.problem(wrong.code, wrong.message, wrong.help, line=word.line, col=col, length=length))
