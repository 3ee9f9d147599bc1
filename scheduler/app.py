"""The one place where the parts are put together; tests start it too."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from sqlalchemy.engine import make_url

from scheduler.domain.account import Account, Directory
from scheduler.domain.publisher import Publisher
from scheduler.domain.skew import Reading
from scheduler.errors import FilesWrong, LaunchdayError, StoreError, UsageError
from scheduler.files.accounts import read_accounts
from scheduler.files.source import Findings, read_source
from scheduler.publishers import registry
from scheduler.publishers.simulated import process as platforms
from scheduler.services import safe, secret
from scheduler.services.clock import Clock
from scheduler.services.clocks import read_clocks
from scheduler.services.pace import Pacing
from scheduler.services.reach import Reach
from scheduler.services.timing import LIVE, SIMULATION, Timing
from scheduler.store import lock, mark
from scheduler.store.database import Database, open_database
from scheduler.transport.http import Transport
from scheduler.workers.crew import Crew
from scheduler.workers.nursery import Nursery

Mode = Literal["live", "simulation", "rehearsal"]


@dataclass(slots=True)
class App:
    """Launchday for one workspace in one mode. `folder` holds its database, locks and simulated platforms."""

    root: Path
    mode: Mode
    folder: Path
    directory: Directory
    db: Database
    clock: Clock
    timing: Timing
    environ: Mapping[str, str] = field(repr=False)

    @property
    def approvers(self) -> dict[str, tuple[str, ...]]:
        """Who may speak for each organisation today."""
        return {
            slug: tuple(p.slug for p in self.directory.people_of(slug, "approver"))
            for slug in self.directory.organisations
        }

    def is_dead(self, sender: str) -> bool:
        """Whether a sender is certainly dead."""
        return lock.proven_dead(self.folder / "senders", sender)

    def publishers(self) -> dict[str, Publisher]:
        """The publishers of the platforms that accounts.yaml names."""
        return registry.load({a.platform for a in self.directory.accounts})

    def pacing(self) -> Pacing:
        """What platforms take in how much time, and what accounts.yaml states besides."""
        return Pacing(self.publishers(), self.directory.pace)

    def clocks(self) -> list[Reading]:
        """What the accounts' servers say of this machine's clock. A simulation has one clock."""
        if self.mode != "live":
            return []
        usual = {name: one.server for name, one in self.publishers().items()}
        servers = {a.server or usual.get(a.platform, "") for a in self.directory.accounts} - {""}
        transport = Transport(proxy=self.directory.proxy, ca=self.directory.ca)
        try:
            return read_clocks(transport, self.clock.source, servers, float("inf"))
        finally:
            transport.close()

    def reach(self, nursery: Nursery) -> Reach:
        """How a sender reaches the platforms: through workers of the nursery, one for each platform.

        Raises UsageError where the simulated platforms do not run.
        """
        live = self.mode == "live"
        proxy, ca = (self.directory.proxy, self.directory.ca) if live else ("", "")
        crew = Crew(
            nursery,
            registry.installed(),
            Transport(proxy=proxy, ca=ca, now=self.clock.seconds),
            self._place(),
            self._secret(),
            proxy=proxy,
            ca=ca,
            offset=self.clock.offset.total_seconds(),
        )
        crew.begin({a.platform for a in self.directory.accounts})
        return crew

    def _place(self) -> Callable[[Account], Account]:
        if self.mode == "live":
            return lambda account: account
        running = platforms.running(self.folder / "platforms")
        if running is None:
            raise UsageError("the simulated platforms do not run", help="launchday run starts them")
        servers = dict(running.servers)
        # An address that no simulated platform has: a simulation never falls back to a real one.
        return lambda account: replace(account, server=servers.get(account.platform, "http://127.0.0.1:1"))

    def _secret(self) -> Callable[[Account], str]:
        if self.mode == "live":
            return lambda account: secret.read(account.secret, root=self.root, environ=self.environ)
        return lambda account: f"sim:{account.id}"

    def keep_mark(self) -> None:
        """Let the high-water mark follow the log (nothing where the database is behind it)."""
        with self.db.read() as conn:
            mark.advance(conn, mark.path_in(self.folder))

    def close(self) -> None:
        """Give the database back. A mark that could not follow lags, which is safe: the next one follows."""
        with suppress(Exception):
            self.keep_mark()
        self.db.close()


def read_directory(root: Path) -> Directory:
    """Just accounts.yaml, for commands that must work whatever the posts look like. Raises FilesWrong."""
    found = Findings()
    source = read_source(root, "accounts.yaml", found, secret=True)
    directory = read_accounts(source, found, registry.installed()) if source else None
    found.raise_errors()
    if directory is None:
        raise UsageError("accounts.yaml names no organisation", help="launchday check")
    return directory


def open_app(
    root: Path,
    mode: Mode | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    accounts: Path | None = None,
) -> App:
    """Open the workspace's database for `mode` (None: what accounts.yaml says) and join the parts.

    `accounts` is another folder to read accounts.yaml from (a daemon's copy of the last one that was right).
    Raises FilesWrong, StoreError, UsageError.
    """
    environ = os.environ if environ is None else environ
    directory = read_directory(accounts or root)
    chosen: Mode = mode or directory.mode
    folder = state_folder(root, chosen)
    _keep_out_of_git(root / ".launchday")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    clock = clock or Clock()
    url = database_url(folder, chosen, environ)
    # Two first commands at once: the second waits until the first has made the tables.
    # PostgreSQL orders them itself.
    with _opening(folder) if url.startswith("sqlite") else nullcontext():
        db = open_database(url, chosen, clock.wall())
    clock.follow(db)
    timing = LIVE if chosen == "live" else SIMULATION
    safe.check(db, clock, folder, timing.reply_within)
    return App(root, chosen, folder, directory, db, clock, timing, environ)


def refresh_accounts(app: App) -> tuple[Path, str]:
    """Take accounts.yaml anew if it is right; returns the folder of the last good one, and what is wrong.

    Somebody who is half-way through editing it must not leave every organisation behind at T0: what was
    approved goes by the last good one.
    """
    kept = app.folder / "accounts"
    new = kept / "new"
    new.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        shutil.copyfile(app.root / "accounts.yaml", new / "accounts.yaml")
        app.directory = read_directory(new)
        (new / "accounts.yaml").replace(kept / "accounts.yaml")
    except FilesWrong as wrong:
        return kept, f"{wrong.problems[0].at}: {wrong.problems[0].message}"
    except (LaunchdayError, OSError) as error:
        return kept, str(error)
    return kept, ""


def last_good(root: Path, mode: Mode | None) -> Path | None:
    """The folder of the last accounts.yaml that a daemon of this workspace found right, or None."""
    modes: tuple[Mode, ...] = (mode,) if mode else ("live", "simulation")
    folders = [state_folder(root, one) / "accounts" for one in modes]
    return next((f for f in folders if (f / "accounts.yaml").exists()), None)


def _opening(folder: Path) -> lock.Lock:
    return lock.Lock(folder / "open.lock", "the database is being opened", patience=20.0)


def state_folder(root: Path, mode: Mode) -> Path:
    """Where a mode keeps its state: simulation and live never share a file."""
    base = root / ".launchday"
    return base if mode == "live" else base / mode


def database_url(folder: Path, mode: Mode, environ: Mapping[str, str]) -> str:
    """LAUNCHDAY_DATABASE_URL, or SQLite in the state folder.

    A SQLite file named there serves live; a simulation has its own file beside it. On PostgreSQL each mode
    has its own schema.
    """
    named = environ.get("LAUNCHDAY_DATABASE_URL", "")
    if not named:
        return f"sqlite:///{folder.resolve() / 'launchday.db'}"
    try:
        url = make_url(named)
    except Exception as error:
        raise StoreError(
            "LAUNCHDAY_DATABASE_URL is not a database address",
            help="sqlite:////path/to/file.db or postgresql://user@host/database",
        ) from error
    if url.drivername.startswith("sqlite") and mode != "live" and url.database:
        path = Path(url.database)
        return f"sqlite:///{path.with_name(f'{path.stem}-{mode}{path.suffix}')}"
    return named


def _keep_out_of_git(folder: Path) -> None:
    """The state folder ignores itself, so that the workspace's git status stays clean."""
    folder.mkdir(exist_ok=True, mode=0o700)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", "utf-8")
