"""An independent witness: writes down what people decided, and judges each first byte by that alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .campaign import DIRECTORY, HELP, PARTNER, Wanted
from .world import Process, World

LOOK = 0.012  # seconds between the last look and the first byte; a stop within them comes too late
FENCE = 6.0  # seconds that a process may be stopped between its last look and its last byte


@dataclass
class Known:
    """What stands for one delivery: what it says, when, and who said yes to exactly that."""

    wanted: Wanted
    revision: int
    author: str
    mover: str = ""
    due: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    granted: dict[str, str] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    cancelled_at: float = float("inf")
    granted_at: float = float("inf")
    changed_at: float = 0.0
    before: Known | None = None

    @property
    def needs(self) -> list[str]:
        """The organisations whose word it needs."""
        owner = self.wanted.account.partition("/")[0]
        return [owner, *([PARTNER] if HELP in self.wanted.words and owner != PARTNER else [])]


@dataclass
class Witness:
    """The witness's book. `violations` are sentences; the first bytes are kept for the end of the day."""

    world: World
    ask: Callable[[str], list[Any]]
    book: dict[str, Known] = field(default_factory=dict)
    holds: dict[str, float] = field(default_factory=dict)
    stops: list[tuple[float, str]] = field(default_factory=list)
    firsts: list[tuple[float, str, str, str]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    ended_rejections: float = 0.0

    # what people did, written down at the instant of its commit

    def stored(self) -> dict[str, tuple[int, str, str]]:
        """(revision, state, due) of every delivery, read by hand."""
        rows = self.ask("select name, revision, state, due from deliveries order by id")
        return {r[0]: (r[1], r[2], r[3]) for r in rows}

    def queued(self, files: dict[str, Wanted], author: str) -> None:
        """New words or times: whatever was approved of the old ones counts no more."""
        for name, (revision, state, _) in self.stored().items():
            old = self.book.get(name)
            if state == "cancelled":
                if old is not None:
                    old.cancelled_at = min(old.cancelled_at, self.world.now)
            elif name in files and (
                old is None or old.revision != revision or old.cancelled_at < self.world.now
            ):
                wanted = files[name]
                self.book[name] = Known(
                    wanted, revision, author, due=wanted.due, before=old, changed_at=self.world.now
                )

    def moved(self, names: Iterable[str], to: datetime, mover: str) -> None:
        """Another time: the same."""
        stored = self.stored()
        for name in names:
            old = self.book[name]
            if stored[name][0] != old.revision:
                self.book[name] = Known(
                    old.wanted, stored[name][0], old.author, mover, to, before=old, changed_at=self.world.now
                )

    def cancelled(self) -> None:
        """What is cancelled by now stays so."""
        for name, (_, state, _) in self.stored().items():
            if state == "cancelled" and name in self.book:
                known = self.book[name]
                known.cancelled_at = min(known.cancelled_at, self.world.now)

    def approved(self, person: str, names: Iterable[tuple[str, int]]) -> None:
        """A yes counts for what was shown, by somebody who speaks for a need and did not write or move it."""
        speaks = DIRECTORY.people[person].organisation
        for name, revision in names:
            known = self.book[name]
            if (
                known.revision == revision
                and speaks in known.needs
                and person not in (known.author, known.mover)
            ):
                known.granted[person] = speaks
                known.granted_at = self.world.now
                known.rejected.discard(person)

    def refused(self, person: str, name: str) -> None:
        """A no counts until the same person says yes."""
        known = self.book[name]
        if DIRECTORY.people[person].organisation in known.needs:
            known.rejected.add(person)
            known.granted.pop(person, None)
            known.changed_at = self.world.now

    def held(self, scope: str) -> None:
        """A stop, from now on."""
        self.holds.setdefault(scope, self.world.now)
        self.stops.append((self.world.now, scope))

    def released(self, scope: str) -> None:
        """Its end (`all` ends every one)."""
        for one in list(self.holds):
            if scope in ("all", one):
                del self.holds[one]

    # what leaves

    def first_byte(self, process: Process, account: str, words: str, key: str) -> None:
        """Judge it: approved, free, in time, in these words."""
        now = self.world.now
        self.firsts.append((now, account, words, key))
        grace = LOOK
        if any(a <= now and now - b < FENCE for a, b in process.stops):
            grace = FENCE
        known = next(
            (k for k in self.book.values() if k.wanted.account == account and k.wanted.words == words), None
        )
        while known is not None and known.before is not None and now - known.changed_at < grace:
            known = known.before
        if known is None:
            older = [k.before for k in self.book.values() if now - k.changed_at < grace and k.before]
            known = next((k for k in older if (k.wanted.account, k.wanted.words) == (account, words)), None)
        if known is None:
            self.object(f"{account} was sent words that no file asks for: “{words}”")
            return
        self._judge(known, now, grace)

    def _judge(self, known: Known, now: float, grace: float) -> None:
        name, clock = known.wanted.name, self.world.wall()
        said = set(known.granted.values())
        lacking = [need for need in known.needs if need not in said]
        if lacking and not (known.rejected and now - known.changed_at < grace):
            self.object(f"{name} was sent without the word of {', '.join(lacking)}")
        if known.rejected and now - known.changed_at > grace:
            self.object(f"{name} was sent though {', '.join(known.rejected)} rejected it")
        if now - known.cancelled_at > grace:
            self.object(f"{name} was sent though it was cancelled")
        for scope, since in self.holds.items():
            if now - since > grace and _covers(scope, known.wanted):
                self.object(f"{name} was sent though {scope} was held for {now - since:.3f} s")
        due = known.due.timestamp()
        free = max(due, known.wanted.embargo.timestamp() if known.wanted.embargo else due)
        if clock < free:
            self.object(f"{name} was sent {free - clock:.3f} s early")
        if clock > due + 600 + grace:
            self.object(f"{name} was sent {clock - due - 600:.3f} s after its window")
        if known.wanted.blackout:
            start, end = (t.timestamp() for t in known.wanted.blackout)
            if start <= clock - (grace if grace > LOOK else 0) and clock < end:
                self.object(f"{name} was sent in a blackout")

    def object(self, sentence: str) -> None:
        """A violation."""
        self.world.say(f"!!!! {sentence}")
        self.violations.append(f"{self.world.stamp()} {sentence}")


def _covers(scope: str, wanted: Wanted) -> bool:
    kind, _, name = scope.partition(":")
    organisation, platform = wanted.account.split("/")
    named = {
        "campaign": "spring",
        "org": organisation,
        "platform": platform,
        "account": wanted.account,
        "post": f"spring/{wanted.post}",
    }
    return kind == "all" or named[kind] == name
