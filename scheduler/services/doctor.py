"""Check what a launch stands on: clock, disk, database, secrets, daemon. One finding, one fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import text

from scheduler.domain.account import Account, Directory
from scheduler.domain.recipients import recipients
from scheduler.domain.skew import Reading, skew
from scheduler.errors import LaunchdayError
from scheduler.services.clocks import kept_right
from scheduler.store import desk, disk, log, notices
from scheduler.store.database import Database, wal_is_safe


@dataclass(frozen=True, slots=True)
class Finding:
    """`level`: ok, warn or bad. `fix` is one command or one sentence ("" where nothing is to be done)."""

    level: Literal["ok", "warn", "bad"]
    what: str
    said: str
    fix: str = ""
    code: int = 1


def examine(
    db: Database,
    folder: Path,
    accounts: Sequence[Account],
    secret: Callable[[Account], str],
    *,
    live: bool,
    daemon: tuple[str, bool],
    needed: bool,
    readings: Sequence[Reading] = (),
) -> Iterator[Finding]:
    """Each check in turn; none changes anything."""
    yield _clock(readings)
    yield _disk(folder)
    yield _database(db)
    yield _log(db)
    yield _safe_mode(db)
    yield from _secrets(accounts, secret, live=live)
    said, alive = daemon
    if alive or not needed:
        yield Finding("ok", "daemon", said)
    else:
        yield Finding("bad", "daemon", said, f"launchday run{' --live' if live else ''}", 7)


def _clock(readings: Sequence[Reading]) -> Finding:
    """What servers say of this machine's clock, and the kernel's word on whether anything keeps it right."""
    measured = ""
    if readings:
        least, most = min(r.low for r in readings), max(r.high for r in readings)
        measured = f"; {len(readings)} servers say it is between {least:+.1f} and {most:+.1f} s ahead"
    if wrong := skew(readings):
        return Finding("bad", "clock", f"{wrong.sentence}: nothing is armed", "timedatectl set-ntp true")
    kept = kept_right()
    if kept is None:
        said = f"nothing here says whether the clock is kept right{measured}"
        return Finding("warn", "clock", said, "run an NTP service, for example chrony")
    right, most_wrong = kept
    if not right:
        fix = "timedatectl set-ntp true"
        return Finding("warn", "clock", f"no time service keeps it right{measured}", fix)
    return Finding("ok", "clock", f"kept right by a time service, to {most_wrong:.2f} s{measured}")


def _disk(folder: Path) -> Finding:
    free = disk.free(folder)
    said = f"{free // (1024 * 1024)} MB free"
    if free < disk.RESERVE:
        return Finding("bad", "disk", said, f"free some space on the disk of {folder}")
    return Finding("ok", "disk", said)


def _database(db: Database) -> Finding:
    if not db.is_sqlite:
        with db.read() as conn:
            version = conn.execute(text("show server_version")).scalar()
        return Finding("ok", "database", f"PostgreSQL {version} answers")
    with db.read() as conn:
        said = conn.execute(text("pragma quick_check")).scalar()
    if said != "ok":
        return Finding("bad", "database", f"damaged: {said}", "stop the daemon, then launchday restore FILE")
    journal = (
        "WAL" if wal_is_safe() else "rollback journal (this SQLite's WAL is not safe with several writers)"
    )
    return Finding("ok", "database", f"whole; {journal}")


def _log(db: Database) -> Finding:
    try:
        with db.read() as conn:
            entries = log.verify(conn)
    except LaunchdayError as error:
        return Finding("bad", "posting log", error.message, error.help, 8)
    return Finding("ok", "posting log", f"{entries} entries, whole")


def _safe_mode(db: Database) -> Finding:
    with db.read() as conn:
        stop = desk.safe_mode(conn)
    if stop is None:
        return Finding("ok", "safe mode", "off")
    return Finding("bad", "safe mode", f"nothing is sent: {stop.reason}", "launchday release --safe-mode")


def _secrets(
    accounts: Sequence[Account], secret: Callable[[Account], str], *, live: bool
) -> Iterator[Finding]:
    if not live:
        yield Finding("ok", "secrets", "a simulation needs none")
        return
    good = 0
    for account in accounts:
        if account.publisher == "assisted":
            continue
        try:
            secret(account)
            good += 1
        except LaunchdayError as error:
            yield Finding("bad", "secrets", f"{account.id}: {error.message}", error.help, 4)
    yield Finding("ok", "secrets", f"{good} of {len(accounts)} can be read")


def telling(
    db: Database, directory: Directory, now: datetime, secret: Callable[[str], str], *, live: bool
) -> Iterator[Finding]:
    """Whether people can be told what wants them, and what they have been told and not answered."""
    with db.read() as conn:
        standing = notices.find(conn)
    if standing:
        untold = sum(n.state == "waiting" for n in standing)
        said = f"{len(standing)} open, {untold} of them not told yet"
        yield Finding("warn", "notices", said, "launchday notices, then launchday ack")
    if not directory.has_channel:
        yield Finding(
            "warn", "notify", "nobody could be told: no channel is set", "add notify: to accounts.yaml"
        )
        return
    alone = [slug for slug in directory.organisations if not _reachable(directory, slug, now)]
    if alone:
        fix = "give their people email: in accounts.yaml"
        yield Finding("warn", "notify", f"nobody can be told for {', '.join(alone)}", fix)
    for reference in directory.notify.secrets if live else ():
        try:
            secret(reference)
        except LaunchdayError as error:
            yield Finding("bad", "notify", error.message, error.help, 4)
    if not alone:
        yield Finding("ok", "notify", "every organisation has somebody who can be told")


def _reachable(directory: Directory, organisation: str, now: datetime) -> bool:
    """Whether a channel leads to anybody who is told first."""
    notify = directory.notify
    whose = [hook.organisations for hook in notify.webhooks] + [one.organisations for one in notify.apprise]
    if any(not named or organisation in named for named in whose):
        return True
    people = recipients(directory, organisation, 0, now)
    return any(p.apprise or (notify.mail and p.email) for p in people)
