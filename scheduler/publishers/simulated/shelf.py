"""What the simulated platforms remember: accounts, uploads and posts, restored from the ledger."""

from __future__ import annotations

import hashlib
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from scheduler.publishers.simulated import ledger
from scheduler.publishers.simulated.ledger import Entry
from scheduler.publishers.simulated.wire import Answer, Incoming

# What may follow a second colon is a secret of its own, which no platform shows again.
_TOKEN = re.compile(r"(sim|revoked|noscope):([^\s/]+/[^\s:]+)(?::\S*)?")


@dataclass(frozen=True, slots=True)
class Route:
    """What a request asks for: which step it is, for whom, with what key, and how to do it."""

    step: str
    account: str
    run: Callable[[], Answer]
    key: str = ""


Table = Iterable[tuple[str, str, str, Callable[..., Answer]]]
"""Method, pattern of the path, step, and what answers: called with the request and the pattern's groups."""


def pick(table: Table, call: Incoming, path: str) -> tuple[str, Callable[[], Answer]] | None:
    """The row that a request is for, as its step and what remains to be called."""
    for method, pattern, step, run in table:
        found = re.fullmatch(pattern, path) if method == call.method else None
        if found:
            return step, partial(run, call, *found.groups())
    return None


@dataclass(frozen=True, slots=True)
class Who:
    """What a token says: an account, and `sim`, `revoked`, `noscope`, or "" for no token of ours."""

    account: str
    state: str


@dataclass(slots=True)
class Upload:
    """An uploaded picture. `polls` is how often it still says it is being processed (-1: for ever)."""

    platform: str
    account: str
    id: str
    sha256: str
    mime: str
    size: int
    alt: str = ""
    polls: int = 0
    at_ns: int = 0
    attached: bool = False


def who(token: str) -> Who:
    """Read a token."""
    found = _TOKEN.fullmatch(token)
    return Who(found.group(2), found.group(1)) if found else Who("", "")


def number(*parts: str, digits: int = 18) -> str:
    """A number that depends on nothing but its parts: ids of accounts are the same in every run."""
    value = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big")
    low = int(10 ** (digits - 1))
    return str(low + value % (9 * low))


class Shelf:
    """All memory of all platforms. Every change is an event, written before it is applied."""

    def __init__(self, directory: Path) -> None:
        self.posts: dict[tuple[str, str], Entry] = {}
        self.uploads: dict[tuple[str, str], Upload] = {}
        self.known: dict[tuple[str, str], str] = {}
        self.keys: dict[tuple[str, str, str], str] = {}
        self._order: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        self._sequence = 0
        self._ahead_ns = 0
        self.journal = ledger.Journal(directory / ledger.LEDGER)
        for event in ledger.events(directory / ledger.LEDGER):
            self._apply(event)

    def now_ns(self) -> int:
        """The platforms' clock: the wall clock, moved ahead where a test asked for it."""
        return time.time_ns() + self._ahead_ns

    def advance(self, seconds: float) -> None:
        """Move the platforms' clock ahead (for expiries; arrivals keep the wall clock)."""
        self._ahead_ns += int(seconds * 1e9)

    def snowflake(self, shift: int, epoch_ms: int = 0) -> str:
        """The next id, ordered by time as Mastodon's and X's ids are."""
        self._sequence += 1
        return str((self.now_ns() // 1_000_000 - epoch_ms << shift) + self._sequence % (1 << shift))

    def write(self, kind: str, **fields: Any) -> None:
        """Record an event and apply it. A crash in between is mended by restoring from the file."""
        event = {"kind": kind, **fields}
        self.journal.append(event)
        self._apply(event)

    def _apply(self, event: Mapping[str, Any]) -> None:
        kind = event["kind"]
        if kind == "upload":
            upload = Upload(**{name: value for name, value in event.items() if name != "kind"})
            self.uploads[upload.platform, upload.id] = upload
        elif kind == "alt":
            self.uploads[event["platform"], event["id"]].alt = event["alt"]
        elif kind == "known":
            self.known[event["platform"], event["name"]] = event["value"]
        entry = ledger.fold(self.posts, event)
        if entry is None:
            return
        self._sequence += 1
        self._order[entry.platform, entry.account][entry.remote_id] = None
        if kind == "post" and entry.key:
            self.keys[entry.platform, entry.account, entry.key] = entry.remote_id
        for upload_id in entry.record.get("media_ids", ()):
            if (entry.platform, upload_id) in self.uploads:
                self.uploads[entry.platform, upload_id].attached = True

    def publish(self, call: Incoming, entry: Entry) -> Entry:
        """Accept a post: the fault's tricks applied, the event written, the entry as it now stands."""
        now = self.now_ns()
        fields = asdict(entry)
        fields["arrived_ns"] = call.arrived_ns
        fields["accepted_ns"] = now
        fields["visible_ns"] = now + int(call.trick.get("hide_s", 0) * 1e9)
        self.write("post", **fields)
        return self.posts[entry.platform, entry.remote_id]

    def remember(self, platform: str, name: str, value: str) -> str:
        """The value first remembered under this name; remembers this one where there is none."""
        if (platform, name) not in self.known:
            self.write("known", platform=platform, name=name, value=value)
        return self.known[platform, name]

    def upload(self, upload: Upload) -> Upload:
        """Keep an uploaded picture (its hash, not its bytes)."""
        upload.at_ns = self.now_ns()
        self.write("upload", **asdict(upload))
        return self.uploads[upload.platform, upload.id]

    def post(self, platform: str, remote_id: str) -> Entry | None:
        """A live post that can be seen by now."""
        entry = self.posts.get((platform, remote_id))
        if entry is None or entry.deleted or entry.visible_ns > self.now_ns():
            return None
        return entry

    def posts_of(self, platform: str, account: str) -> list[Entry]:
        """The live posts of an account, whether a reader can see them yet or not."""
        every = (self.posts[platform, remote_id] for remote_id in self._order[platform, account])
        return [entry for entry in every if not entry.deleted]

    def listing(self, platform: str, account: str) -> list[Entry]:
        """The live posts of an account that can be seen by now, newest first."""
        found = (self.post(platform, remote_id) for remote_id in self._order[platform, account])
        return [entry for entry in found if entry is not None][::-1]


def words_of(call: Incoming, text: str) -> str:
    """The words as this platform stores them: its own, where the fault `wrong_text` is on."""
    return f"{text[:-1]}…" if call.trick.get("rewrite") else text


def when(ns: int) -> datetime:
    """A stamp as a UTC instant."""
    return datetime.fromtimestamp(ns / 1e9, UTC)
