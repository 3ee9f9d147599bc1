"""The one ledger: what the simulated platforms accepted, in a file that outlives them.

DIR/ledger.jsonl holds events, one a line, each written with one `os.write` before its reply is sent: what
was acknowledged survives kill -9. DIR/arrivals.jsonl holds every publishing request that arrived.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from scheduler.publishers.simulated import words

LEDGER = "ledger.jsonl"
ARRIVALS = "arrivals.jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted post. `media` is (sha256 of the uploaded bytes, alt text) in order.

    `arrived_ns` is the wall clock of the first byte of the request that published it, `key` the
    idempotency key or record key; `record` is whatever else the platform keeps (facets, visibility …).
    """

    platform: str
    account: str
    remote_id: str
    text: str
    link: str = ""
    media: tuple[tuple[str, str], ...] = ()
    key: str = ""
    arrived_ns: int = 0
    accepted_ns: int = 0
    visible_ns: int = 0
    reply_to: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    edits: int = 0
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Arrival:
    """One publishing request that arrived: `status` is what was answered (0 = nothing).

    `fault` is the scripted fault that met it; `done` says whether the platform acted on it.
    """

    platform: str
    account: str
    key: str
    arrived_ns: int
    status: int
    fault: str
    done: bool


def read(directory: str | os.PathLike[str]) -> list[Entry]:
    """Every accepted post, in the order of acceptance; deleted ones are marked, not left out."""
    found: dict[tuple[str, str], Entry] = {}
    for event in events(Path(directory) / LEDGER):
        fold(found, event)
    return list(found.values())


def arrivals(directory: str | os.PathLike[str]) -> list[Arrival]:
    """Every publishing request that arrived, in the order of handling."""
    return [Arrival(**event) for event in events(Path(directory) / ARRIVALS)]


def duplicates(entries: Iterable[Entry]) -> list[tuple[Entry, ...]]:
    """Groups of posts that are live more than once: same account, same words."""
    groups: defaultdict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if not entry.deleted:
            groups[entry.platform, entry.account, words.same_words(entry.text)].append(entry)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def events(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a file; a torn last line (a crash while writing) is left out."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    for line in raw.split(b"\n")[:-1]:
        yield json.loads(line)


def fold(found: dict[tuple[str, str], Entry], event: Mapping[str, Any]) -> Entry | None:
    """Apply one event to the posts; returns the post that it made or changed."""
    fields = {name: value for name, value in event.items() if name != "kind"}
    if event["kind"] == "post":
        fields["media"] = tuple((m[0], m[1]) for m in fields["media"])
        entry = Entry(**fields)
    elif event["kind"] in ("edit", "delete"):
        old = found[event["platform"], event["remote_id"]]
        if event["kind"] == "delete":
            entry = replace(old, deleted=True)
        else:
            media = tuple((m[0], m[1]) for m in event["media"])
            entry = replace(
                old,
                text=event["text"],
                media=media,
                record=event["record"],
                edits=old.edits + 1,
                deleted=False,
            )
    else:
        return None
    found[entry.platform, entry.remote_id] = entry
    return entry


def as_json(entry: Entry) -> dict[str, Any]:
    """The entry as plain JSON values."""
    return asdict(entry)


class Journal:
    """An append-only file of events: one `os.write` each, so a reader sees whole lines or a torn last one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mend()
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def _mend(self) -> None:
        # A torn last line was never acknowledged: cut it off, or the next line would be glued to it.
        if not self.path.exists():
            return
        raw = self.path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        if whole != len(raw):
            os.truncate(self.path, whole)

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event. A crash before it leaves nothing, a crash after it leaves all of it."""
        line = json.dumps(event, ensure_ascii=False).encode() + b"\n"
        if os.write(self._fd, line) != len(line):
            raise OSError(f"{self.path.name}: the disk took only part of a line")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
