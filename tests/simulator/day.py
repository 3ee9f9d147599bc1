"""One simulated day: the daemon, its senders, people and platforms, from queueing to the last question."""

from __future__ import annotations

import random
import shutil
import signal as signals
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event

# Every module that may be given a simulated clock has to be there before the first day.
import scheduler.sender as sender_module
from scheduler.app import App
from scheduler.daemon import Daemon
from scheduler.domain.account import Account
from scheduler.domain.content import instant
from scheduler.domain.delivery import State
from scheduler.errors import LaunchdayError, TryLater
from scheduler.services.clock import Clock
from scheduler.services.gate import Passed, gate
from scheduler.services.reach import Reach
from scheduler.services.settle import settle
from scheduler.services.timing import LIVE as REAL
from scheduler.store.database import Database, open_database
from scheduler.transport.http import Transport

from . import invariants
from .borrowed import Child, Claims, Event, Fence, _Module, lent
from .campaign import DIRECTORY, LAUNCH, campaign
from .mix import QUIET, STANDARD, Mix
from .network import Asked, Dialer
from .people import People
from .platforms import Platforms
from .publishers import PUBLISHERS
from .records import Intents
from .witness import Witness
from .world import Killed, World

BEFORE = 900.0  # seconds before T0 at which the day begins
AFTER = 3000.0  # seconds after the last wave's window: by then everything has ended
# Live timing, but for the quarter of a minute (not a whole one) that a sender arms again and again.
LIVE = replace(REAL, arm_lead=timedelta(seconds=15))
WORKING = frozenset({State.SCHEDULED, State.PUBLISHING, State.UNCONFIRMED, State.RETRACTING})


class Store:
    """A database that is emptied for each day; the engine and its compiled statements are kept."""

    def __init__(self, url: str = "") -> None:
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="launchday-sim-", dir=memory))
        self._template = self.folder / "template.db"
        open_database(f"sqlite:///{self._template}", "live", LAUNCH).close()
        self._path = self.folder / "day.db"
        shutil.copyfile(self._template, self._path)
        self.world: World | None = None
        opened = open_database(f"sqlite:///{self._path}", "live", LAUNCH)
        self.db = Watched(opened.engine, opened.mode)
        self.db.store = self
        event.listen(opened.engine, "connect", self._quick)
        ours, theirs = self._begin, list(opened.engine.dispatch.begin)
        for one in theirs:
            event.remove(opened.engine, "begin", one)
        for one in (ours, *theirs):  # whoever waits for its turn holds no lock of the database yet
            event.listen(opened.engine, "begin", one)
        opened.engine.dispose()

    @staticmethod
    def _quick(dbapi: Any, _record: Any) -> None:
        # In memory and thrown away: only what would survive a power cut is left out.
        dbapi.execute("PRAGMA synchronous=OFF")
        dbapi.execute("PRAGMA journal_mode=MEMORY")
        dbapi.execute("PRAGMA busy_timeout=0")  # transactions never overlap here: one that waits is a bug

    def _begin(self, _conn: Connection) -> None:
        task = self.world.current if self.world is not None else None
        if self.world is not None and task is not None and not task.inside:
            self.world.step("a transaction begins")

    def empty(self) -> Database:
        """The same database with nothing in it."""
        self.db.engine.dispose()
        shutil.copyfile(self._template, self._path)
        for name in ("a", "b"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        return self.db

    def ask(self, sql: str) -> list[Any]:
        """Rows, read by hand: not by the code under test."""
        raw = self.db.engine.raw_connection()
        try:
            cursor = raw.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall())
        finally:
            raw.close()

    def close(self) -> None:
        """Give everything back."""
        self.db.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Watched(Database):
    """The production database; around each transaction a process may die, the witness hears of commits."""

    store: Store

    @contextmanager
    def write(self) -> Iterator[Connection]:
        world = self.store.world
        if world is None or world.current is None:
            with super().write() as conn:
                yield conn
            return
        if world.happens("database_busy"):
            world.sleep(world.dice.random() * 20)
            raise TryLater("the database is busy with another writer; nothing was changed", help="again")
        task, process = world.current, world.current.process
        with super().write() as conn:
            task.inside += 1
            try:
                yield conn
                world.may_die("a commit")
            finally:
                task.inside -= 1
        world.changes += 1
        if task.inside:
            return
        if process.pledge is not None:
            book, process.pledge = process.pledge, None
            book()
        world.step("a commit was made")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        task = self.store.world.current if self.store.world else None
        with super().read() as conn:
            if task is not None:
                task.inside += 1
            try:
                yield conn
            finally:
                if task is not None:
                    task.inside -= 1


class Machine(App):
    """The application on one machine: production code but for where publishers and tokens come from."""

    def reach(self, nursery: Any) -> Reach:
        # Publishers answer in this process: what workers are for is proved with real ones.
        transport = Transport(now=self.clock.seconds)
        return Reach(PUBLISHERS, transport, self._place(), self._secret())

    def _secret(self) -> Callable[[Account], str]:
        return lambda account: f"sim:{account.id}"


@dataclass
class Waker:
    """APScheduler's place: ticks each second while something happens, and seldom while nothing does."""

    day: Day
    tick: Callable[[], None] = lambda: None
    _over: bool = False

    def __call__(self, **_: Any) -> Waker:
        return Waker(self.day)

    def add_job(self, work: Callable[[], None], *_: Any, **__: Any) -> None:
        self.tick = work

    def start(self) -> None:
        world = self.day.world
        assert world.current is not None
        world.spawn(world.current.process, self._run)

    def shutdown(self, **_: Any) -> None:
        self._over = True

    def _run(self) -> None:
        world, pause = self.day.world, 1.0
        while not self._over:
            before = world.changes
            self.tick()
            pause = 1.0 if world.changes != before else min(pause * 2, 600.0)
            self._rest(pause)

    def _rest(self, pause: float) -> None:
        """Until something happened or may be due."""
        world = self.day.world
        end = min(world.now + pause, max(self.day.next_due(), world.now + 1.0))
        before = world.changes
        world.sleep(1.0)
        while world.now < end and world.changes == before:
            world.sleep(min(5.0, end - world.now))


class _Patient(Event):
    """The event that ends a daemon: nobody looks at it between, so nobody has to wake up for it."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None)


@dataclass
class Day:
    """Everything of one day. `run` plays it; then `violations`, `asks` and `deliveries` say how it was."""

    store: Store
    dice: random.Random
    mix: Mix = STANDARD
    trace: Callable[[str], None] | None = None
    violations: list[str] = field(default_factory=list)
    residual: list[str] = field(default_factory=list)
    deliveries: dict[str, int] = field(default_factory=dict)
    asks: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    design: Callable[[Day], Any] | None = None  # instead of the daemon (positive controls)

    def __post_init__(self) -> None:
        self.start = LAUNCH.timestamp() - BEFORE
        self.world = World(self.dice, self.mix, self.start, self.trace)
        self.db = self.store.empty()
        self.platforms = Platforms(self.world, self._publishing)
        self.witness = Witness(self.world, self.store.ask)
        self.files = campaign(self.dice, self.mix["odd_plan"])
        clock = self._clock()
        self.people = People(self.world, self.db, clock, self.platforms, self.witness, self.files)
        self._restarts = 0
        self.intents = Intents(self)
        self.stepped = False

    # the machinery

    def _clock(self) -> Clock:
        world = self.world
        return Clock(source=world.read_clock, monotonic=lambda: world.now, boottime=lambda: world.now)

    def machine(self, host: str) -> Machine:
        """The application, as `open_app` would join it, on a machine."""
        folder = self.store.folder / host
        (folder / ".launchday").mkdir(exist_ok=True, parents=True)
        clock = self._clock()
        return Machine(folder, "live", folder, DIRECTORY, self.db, clock, LIVE, {})

    def _publishing(self, asked: Asked, account: str, words: str, key: str) -> None:
        self.witness.first_byte(asked.process, account, words, key)
        if self.design is None:
            self.intents.first_byte(account, key)

    def popen(self, command: list[str], **_: Any) -> Child:
        """The daemon starts a process: a sender."""
        assert self.world.current is not None
        host = self.world.current.process.host
        given = command[command.index("scheduler.sender") + 1 :]
        name = f"{given[0]}#{len(self.world.processes)}"
        self.world.say(
            f"starts {name} {' '.join(w for w in given[1:] if w.startswith('2') or w == '--overdue')}"
        )
        made = self.world.start(name, lambda: sender_module.main(given), host=host)
        return Child(self.world, made)

    def daemon(self, host: str, delay: float = 0.0, *, again: bool = True) -> None:
        """A daemon, and its service manager, which starts it again."""
        world = self.world

        def work() -> int:
            try:
                Daemon(self.machine(host), world.say, _stopping=_Patient(world)).run()  # type: ignore[arg-type]
            except LaunchdayError as error:
                world.say(f"the daemon ends: {error.message}")
                return error.exit_code
            return 0

        made = world.start(f"daemon {host}", work, host=host, at=world.now + delay)

        def dead() -> None:
            if again and not self._over:
                slow = world.happens("restart_slow") and not world.calm
                self.daemon(host, 60 + world.dice.random() * 500 if slow else 1 + world.dice.random() * 4)

        made.ended.append(dead)

    def _naive(self, design: Any) -> None:
        """A naive design in the daemon's place, started again when it dies."""
        made = self.world.start("naive", design.run, at=self.world.now + 5)
        made.ended.append(lambda: None if self._over else self._naive(design))

    def next_due(self) -> float:
        """The next instant at which a tick may have something to do."""
        rows = self.store.ask("select distinct fire_at, not_after from deliveries where state = 'scheduled'")
        seconds = [tuple(datetime.fromisoformat(t).timestamp() for t in row) for row in rows]
        times = [t for fire, closes in seconds for t in (fire - 15, fire + 1, closes + 1)]
        return min([t for t in times if t > self.world.wall()], default=float("inf"))

    def _lent(self) -> Mapping[tuple[str, str], Any]:
        world = self.world
        return {
            ("scheduler.sender", "open_app"): lambda *_, **__: self.machine(world.current.process.host),
            ("scheduler.transport.http", "Dialer"): lambda *_: Dialer(world, self.platforms),
            ("scheduler.daemon", "BackgroundScheduler"): Waker(self),
            ("scheduler.sender", "Nursery"): lambda _work: nullcontext(),
            ("scheduler.sender", "keep_memory_private"): lambda: None,
            ("scheduler.sender", "Fence"): lambda: Fence(world),
            ("scheduler.services.lease", "Claim"): Claims(world),
            ("scheduler.services.collect", "settle"): self._settle,
            ("scheduler.sender", "gate"): self._gate,
            ("scheduler.daemon", "refresh_accounts"): lambda app: (app.folder, ""),
            ("scheduler.daemon", "signal"): _Module(signals, signal=lambda *_: None),
        }

    def _gate(self, *given: Any, **named: Any) -> Passed:
        """Production's; between it and the first byte people are quick."""
        passed = gate(*given, **named)
        if passed.attempts and self.world.happens("person_between"):
            when = self.world.now + self.dice.random() * 0.1
            self._person("somebody quick", when, self.people.stop_or_change)
        return passed

    def _settle(self, db: Database, clock: Clock, outcomes: Any, contents: Any) -> None:
        """Production's, and what a sender has been told is recorded stays so."""
        settle(db, clock, outcomes, contents)
        self.intents.settled(outcomes)

    # the day

    def run(self) -> Day:
        """Play it, check it, forget it."""
        self._over = False
        self.store.world = self.world
        with lent(self.world, self.popen, dict(self._lent())):
            try:
                self._play()
            finally:
                self._over = True
                self.world.end()
                self.store.world = None
        self.violations = [
            *self.world.broken,
            *self.witness.violations,
            *(invariants.check(self) if self.design is None else invariants.twice_or_lost(self)),
        ]
        self._set_aside()
        return self

    def _set_aside(self) -> None:
        """What follows from a platform that does what the protocol assumes it does not is counted apart."""
        odd = {p.account for p in self.platforms.posts if p.beyond}
        self.residual = [v for v in self.violations if any(account in v for account in odd)]
        self.violations = [v for v in self.violations if v not in self.residual]

    def _play(self) -> None:
        world, people = self.world, self.people
        t0 = LAUNCH.timestamp()
        world.start("ann", lambda: people.queue(sure=True), mortal=False)
        for n, (_organisation, persons) in enumerate(invariants.APPROVERS.items()):
            late = world.happens("approved_late")
            when = t0 - self.dice.choice((30, 3, 1, 0.2, -1, -5000)) if late else self.start + 60 + 40 * n
            for person in persons[:1]:
                self._person(person, when, lambda p=person: people.approve(p))
        if self.design is not None:
            self._naive(self.design(self))
            world.run(t0 + 5400)
            return
        self.daemon("a", self.dice.random() * 100)
        if world.happens("second_daemon"):
            self.daemon(self.dice.choice(("a", "b")), self.dice.random() * 1500, again=False)
        if world.happens("clock_steps"):
            self._person("clock", t0 + self.dice.choice((-200, -3, 0.1, 100)), self._step_clock)
        last = max((w.due.timestamp() for w in self.files.values()), default=t0)
        for n in range(24 if world.happens("crowd") else 6):
            if world.happens("person_acts"):
                when, act = people.plans(last)
                self._person(f"person {n}", when, act)
        self._person("mender", t0 + 240, people.mend)
        self._person("mender", last + 300, people.mend)
        for hours in (0.5, 0.9):
            if not world.happens("answers_late"):
                self._person("bob", last + hours * 3600, people.answer)
        world.run(last + 1500)
        while self._working() and world.now < last + 5400:
            world.run(world.now + 300)
        self._calm(world.now)

    def _calm(self, since: float) -> None:
        """No more faults and no more deaths: what is left has to end by itself."""
        world = self.world
        world.say("calm")
        world.calm, world.mix, world.clock_error = True, QUIET, 0.0
        self.platforms.blind.clear()
        until = since
        while self._working() and until < since + 2 * AFTER:
            until += 120
            world.run(until)

    def _working(self) -> bool:
        states = {r[0] for r in self.store.ask("select distinct state from deliveries")}
        now = datetime.fromtimestamp(self.world.wall(), UTC)
        unread = (
            f"select 1 from deliveries where state = 'published' and look_at between '2' and '{instant(now)}'"
        )
        left = states & {s.value for s in WORKING} or self.platforms.pending or self.store.ask(unread)
        return bool(left)

    def _person(self, name: str, when: float, work: Callable[[], None]) -> None:
        self.world.start(name, work, mortal=False, at=when)

    def _step_clock(self) -> None:
        by = self.dice.choice((-200.0, -5.0, -1.0, 1.0, 5.0, 60.0, 400.0))
        self.stepped = True
        self.world.clock_error += by
        self.world.say(f"the clock was set by {by:+g} s")


__all__ = ["UTC", "Day", "Killed", "Store"]
