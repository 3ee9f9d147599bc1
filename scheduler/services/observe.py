"""What an independent observer can see of a launch: each condition in one sentence that stays the same.

Nothing here needs a daemon, and nothing changes anything. No sentence holds a figure that moves by itself:
people are told once of each condition, and again when it changes or ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from scheduler.domain.account import Directory
from scheduler.domain.content import instant, parse_instant
from scheduler.domain.delivery import IN_DOUBT, Delivery, State
from scheduler.domain.when import show
from scheduler.errors import LaunchdayError
from scheduler.services.clock import Clock
from scheduler.store import desk, lock, notices, outbox
from scheduler.store.database import Database
from scheduler.store.disk import RESERVE, free

STALE = timedelta(minutes=2)  # a daemon says every few seconds that it lives
LATE = timedelta(minutes=1)  # what is due goes within seconds
UNTOLD = timedelta(minutes=5)
_QUICK = 64 * 1024 * 1024  # bytes of a database that is small enough to be looked through every minute


@dataclass(frozen=True, slots=True)
class Condition:
    """Something is wrong. `code` is the exit code that says so, `topic` and `about` name it."""

    topic: str
    said: str
    code: int = 1
    about: str = ""

    @property
    def name(self) -> str:
        """What it is remembered by."""
        return f"{self.topic} {self.about}".strip()


def daemon(
    folder: Path, beat: Mapping[str, object], needed: str, now: datetime, *, live: bool
) -> Iterator[Condition]:
    """A daemon that is gone or stands still. `needed` says what waits for it ("" = nothing does).

    `now` is the machine's clock, UTC.
    """
    start = f"launchday run{' --live' if live else ''}"
    if lock.holder(folder / "daemon.lock") is None:
        if needed:
            how = (
                "was stopped"
                if beat.get("stopped")
                else "was killed or crashed"
                if beat
                else "never ran here"
            )
            yield Condition("daemon_down", f"The daemon does not run (it {how}), and {needed}: {start}", 7)
        return
    try:
        at = parse_instant(str(beat["at"]))
    except (KeyError, ValueError):
        return  # it has just started
    if now - at > STALE:
        since = instant(at)
        said = f"The daemon stands still: it has said nothing since {since}. End its process, then: {start}"
        yield Condition("daemon_still", said, 7)


def waits(db: Database, directory: Directory, clock: Clock) -> str:
    """What a daemon is needed for, in words ("" = nothing)."""
    with db.read() as conn:
        counts, waves = outbox.counts(conn), outbox.waves(conn)
    if doubt := sum(counts.get(s, 0) for s in IN_DOUBT):
        return f"{doubt} deliveries are in doubt"
    if not waves:
        return ""
    at, n = waves[0]
    verb = "are" if at > clock.now() else "were"
    return f"{n} deliveries {verb} due {show(at, directory.zone)}"


def deliveries(db: Database, directory: Directory, clock: Clock) -> Iterator[Condition]:
    """What was due and has neither gone nor been given up, though nobody holds it."""
    now = clock.now()
    with db.read() as conn:
        due = outbox.find(conn, states=[State.SCHEDULED], until=now - LATE)
        holds = desk.holds(conn)
    stuck = [d for d in due if not d.after and not any(h.covers(d) for h in holds)]
    waves: dict[datetime, list[Delivery]] = {}
    for one in stuck:
        waves.setdefault(one.due, []).append(one)
    for at, wave in sorted(waves.items()):
        when = show(at, directory.zone)
        said = f"{len(wave)} deliveries were due {when} and have not gone: launchday status says why"
        yield Condition("late", said, 6, when)


def safe_mode(db: Database) -> Iterator[Condition]:
    """Nothing is sent until a person has looked."""
    with db.read() as conn:
        found = desk.safe_mode(conn)
    if found:
        yield Condition(
            "safe_mode", f"Safe mode: nothing is sent. {found.reason}. launchday status says more"
        )


def untold(db: Database, directory: Directory, clock: Clock) -> Iterator[Condition]:
    """Notices that reached nobody, or that everybody who is called leaves lying."""
    with db.read() as conn:
        rows = [r for r in notices.find(conn) if r.severity == "now"]
    old = instant(clock.now() - UNTOLD)
    if nobody := [r for r in rows if r.state == "waiting" and r.at < old]:
        first = nobody[0].about or nobody[0].topic
        said = f"Nobody could be told of {len(nobody)} notices, the first about {first}"
        yield Condition("untold", f"{said}: launchday notices")
    last = directory.notify.steps[-1].after if directory.notify.steps else UNTOLD
    ignored = [r for r in rows if r.state == "told" and r.at < instant(clock.now() - last - UNTOLD)]
    if ignored:
        said = f"{len(ignored)} notices were told to everybody and nobody has acknowledged them"
        yield Condition("unacknowledged", f"{said}: launchday notices")


def database(db: Database) -> Iterator[Condition]:
    """Damage that a look through the file finds (a large one is left to `launchday doctor`)."""
    if not db.is_sqlite:
        return
    path = Path(db.engine.url.database or "")
    if not path.exists() or path.stat().st_size > _QUICK:
        return
    with db.read() as conn:
        said = conn.execute(text("pragma quick_check")).scalar()
    if said != "ok":
        yield Condition("database", "The database is damaged: stop the daemon, then launchday restore FILE")


def disk(folder: Path) -> Iterator[Condition]:
    """Less room than a launch needs."""
    if free(folder) < RESERVE:
        yield Condition(
            "disk", f"The disk of {folder} is nearly full: free some space, or nothing can be sent"
        )


def secrets(directory: Directory, read: Callable[[str], str]) -> Iterator[Condition]:
    """Secrets of accounts and channels that cannot be read from here."""
    wanted = {a.secret: a.id for a in directory.accounts if a.secret and a.publisher != "assisted"}
    wanted |= dict.fromkeys(directory.notify.secrets, "notify")
    for reference, of in wanted.items():
        try:
            read(reference)
        except LaunchdayError as error:
            yield Condition("secret", f"{of}: {error.message}. {error.help}", 4, reference)


def wall() -> datetime:
    """The machine's clock, UTC."""
    return datetime.now(UTC)
