"""`pace:` of accounts.yaml → limits that bind before those of the platforms do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from scheduler.domain.account import Account
from scheduler.domain.pace import Stated
from scheduler.files.fields import Record, Word, suggest
from scheduler.files.source import Findings, SourceFile
from scheduler.files.when import read_duration

KINDS = ("account", "server", "platform")
HELP = "write {account: dorset/x, posts: 50, in: 5m}; instead of account also server or platform"
_UNREAD = timedelta(days=-1)  # what stands there is no length of time, and that has been said


def read_pace(
    root: Record, accounts: Sequence[Account], platforms: Collection[str], file: SourceFile, found: Findings
) -> tuple[Stated, ...]:
    """The limits that can be read; what is wrong is among the findings."""
    known = {
        "account": [a.id for a in accounts],
        "server": list(dict.fromkeys(a.server for a in accounts if a.server)),
        "platform": list(platforms),
    }
    stated = (_one(record, known, file, found) for record in root.records("pace"))
    return tuple(one for one in stated if one)


def _one(record: Record, known: dict[str, list[str]], file: SourceFile, found: Findings) -> Stated | None:
    named = [(kind, word) for kind in KINDS if (word := record.word(kind))]
    if len(named) != 1:
        message = "a pace says for which one account, server or platform it is"
        found.add(file.problem("E617", message, HELP, line=record.line, col=record.col))
        return None
    ((kind, word),) = named
    name = word.text.rstrip("/") if kind == "server" else word.text
    if name not in known[kind]:
        found.add(word.problem(file, "E617", f"no {kind} '{name}' is here", suggest(name, known[kind])))
        return None
    posts, window = record.count("posts", 0), read_duration(record.word("in"), _UNREAD, file, found)
    if "posts" in record.values and posts < 1:
        _wrong(record.keys["posts"], "no post could ever go out", "write 1 or more", file, found)
        return None
    span = record.word("in")
    if span and window != _UNREAD and not timedelta(0) < window <= timedelta(days=7):
        _wrong(span, "a pace is for a time of up to 7 days", "write it like 5m, 1h or 24h", file, found)
        return None
    return Stated(kind, name, posts, window) if posts and window != _UNREAD else None


def _wrong(word: Word, message: str, help: str, file: SourceFile, found: Findings) -> None:
    found.add(word.problem(file, "E617", message, help))
