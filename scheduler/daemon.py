"""The background process: APScheduler wakes it, the database decides, senders do the sending.

It holds no token. `kill -9` at any moment leaves the truth in the database; the next start reconciles.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from scheduler.app import App, refresh_accounts
from scheduler.domain.content import instant, parse_instant
from scheduler.domain.delivery import State
from scheduler.errors import TryLater
from scheduler.jobs import AGAIN, Jobs
from scheduler.publishers.simulated import process as platforms
from scheduler.services import waves
from scheduler.services.after import is_due, unread
from scheduler.services.lease import LOST
from scheduler.services.lookout import Lookout
from scheduler.services.notify import waits
from scheduler.services.standing import Standing
from scheduler.services.windows import close_windows
from scheduler.store import lock, notices, outbox
from scheduler.store.beat import Beat
from scheduler.transport.systemd import Systemd
from scheduler.workers.limits import ENDS_WITH, die_with_parent, keep_memory_private

TICK = 1  # seconds
ASK = 5.0  # seconds between two looks whether somebody is to be told something
QUIET = timedelta(seconds=10)  # so near to a wave's instant no process is started that could cost it time


@dataclass(slots=True)
class Daemon:
    """One running daemon. `say` prints a line for people; `crash_after` rehearses a power failure."""

    app: App
    say: Callable[[str], None]
    organisation: str = ""
    crash_after: int = 0
    _jobs: Jobs = field(init=False)
    _beat: Beat = field(init=False)
    _accounts_trouble: str = ""
    _trouble: str = ""
    _systemd: Systemd = field(default_factory=lambda: Systemd(os.environ))
    _asked: float = float("-inf")
    _in_hand: dict[str, frozenset[datetime]] = field(default_factory=dict)  # job → waves, by their due time
    _told: set[str] = field(default_factory=set)
    _standing: Standing | None = None
    _lookout: Lookout = field(init=False)
    _idle_since: float = field(default_factory=time.monotonic)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._lookout = Lookout(self.app.db, self.app.clock, self.app.timing, self.organisation)
        self._jobs = Jobs(self._stopping)
        self._beat = Beat(self.app.folder, self.organisation)

    def run(self, *, once_until: datetime | None = None) -> None:
        """Work until SIGTERM or SIGINT; with `once_until`, until all that is due by then has an outcome.

        Raises TryLater where another daemon has this database.
        """
        # The secrets that senders are started with stand in our environment, too: not for workers to read.
        keep_memory_private()
        if (parent := self.app.environ.get(ENDS_WITH, "")).isdecimal():
            die_with_parent(int(parent))
        app, folder = self.app, self.app.folder
        with (
            lock.Lock(folder / "daemon.lock", "a daemon runs on this database"),
            Standing(app.db, app.clock, folder, app.timing.reply_within, self.organisation) as self._standing,
        ):
            pid_files = self._announce()
            waker = self._waker()
            try:
                with _Signals(self._stopping):
                    self._accounts()
                    self._start_platforms()
                    waker.start()
                    self.tick()
                    self._systemd.ready("publishes what is approved and due")
                    while not self._stopping.wait(60 if once_until is None else 0.2):
                        if once_until is not None and not self._work_left(once_until):
                            break
            finally:
                self._systemd.stopping("a wave that has begun is finished first")
                waker.shutdown(wait=True)
                self._jobs.finish(self.say)
                self._reap()
                if self.app.mode == "simulation":
                    platforms.stop(folder / "platforms")
                self._lookout.close()
                self._beat.write(stopped=True)
                for path in pid_files:
                    path.unlink(missing_ok=True)
            if self._standing.lost:
                raise TryLater(LOST.sentence, help="launchday status; end one of the two")

    def _waker(self) -> BackgroundScheduler:
        """In memory, never the truth: a late job is run and a missed one is merged, none is dropped."""
        waker = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(4)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        waker.add_job(self.tick, IntervalTrigger(seconds=TICK, timezone=UTC), id="tick")
        with self.app.db.read() as conn:
            waves = outbox.waves(conn)
        for at, n in waves:
            wake = at - self.app.timing.arming(n) - self.app.clock.offset
            if wake > datetime.now(UTC):
                waker.add_job(self.tick, DateTrigger(wake, timezone=UTC), id=f"wave {instant(at)}")
        return waker

    def tick(self) -> None:
        """Look what is due; harmless at any time and any number of times."""
        if not self._one_at_a_time.acquire(blocking=False):
            return
        try:
            worked = self._carefully(self._reap, self._look_where_we_stand)
            # What a jump of the clock carried over its time is held first, or nothing is started.
            settled = self._standing is None or not self._standing.unsettled
            if settled and (self._lookout.wanted() or self._jobs.names):
                looks = (
                    self._follow_clock,
                    self._start_senders,
                    self._start_reconciling,
                    self._start_after,
                    self._close_windows,
                )
                worked = self._carefully(*looks) and self._carefully(self._lookout.looked) and worked
            worked = self._carefully(self._tell_people, self._beat.write) and worked
        finally:
            self._one_at_a_time.release()
        if worked:  # a tick that hangs or fails each time is restarted by systemd's watchdog
            self._trouble = ""
            self._systemd.alive()

    def _carefully(self, *steps: Callable[[], None]) -> bool:
        """Whether all went well. A bad step (a busy database, a full disk) costs neither the others nor us.

        The next tick looks again.
        """
        worked = True
        for step in steps:
            try:
                step()
            except Exception as error:
                worked = False
                self._say_trouble(error)
        return worked

    def _say_trouble(self, error: Exception) -> None:
        line = self._standing.met(error) if self._standing else f"trouble     {type(error).__name__}"
        if line != self._trouble:  # once, not every second
            self.say(line)
        self._trouble = line

    def _follow_clock(self) -> None:
        self.app.clock.follow(self.app.db)

    def _look_where_we_stand(self) -> None:
        if self._standing:
            for line in self._standing.look():
                self.say(line)
            if self._standing.lost:
                self._stopping.set()

    def _close_windows(self) -> None:
        for one in close_windows(self.app.db, self.app.clock):
            self.say(f"missed      {one.name}: its window closed")

    def _start_senders(self) -> None:
        app = self.app
        wanted = waves.wanted(app.db, app.clock, app.timing, app.approvers, self.organisation)
        for at, dues in wanted.coming.items():
            self._send(f"wave {instant(at)}", ["--at", instant(at)], dues)
        # What is late goes together, as soon as it can; a wave that a sender has in hand is not late.
        late = {instant(at): dues for at, dues in wanted.late.items()}
        late = {at: dues for at, dues in late.items() if f"wave {at}" not in self._jobs.names}
        if late:
            words = ["--overdue", *(word for at in late for word in ("--at", at))]
            self._send("overdue", words, frozenset().union(*late.values()))

    def _send(self, name: str, words: list[str], dues: frozenset[datetime]) -> None:
        if self._spawn(name, ["wave", *words]):
            self._in_hand[name] = dues

    def _start_reconciling(self) -> None:
        with self.app.db.read() as conn:
            doubt = outbox.find(
                conn, states=[State.UNCONFIRMED, State.PUBLISHING], organisation=self.organisation
            )
        if any(d.state is State.UNCONFIRMED for d in doubt) or (doubt and not self._jobs.sending):
            if "reconcile" not in self._jobs.names:
                self.say(f"recovery    {len(doubt)} deliver{'y' if len(doubt) == 1 else 'ies'} in doubt")
            self._spawn("reconcile", ["reconcile"], again=1.0)

    def _start_after(self) -> None:
        """Removing does not wait for anybody; reading back waits until no wave is being sent."""
        removing, reading = is_due(self.app.db, self.app.clock, self.app.timing, self.organisation)
        if removing or (reading and not self._jobs.sending):
            self._spawn("after", ["after"], again=1.0)

    def _tell_people(self) -> None:
        """Start the process that tells people, where something waits to be told and there is a channel."""
        if time.monotonic() - self._asked < ASK or not self.app.directory.has_channel:
            return
        self._asked = time.monotonic()
        waves = [n.removeprefix("wave ") for n in self._jobs.names if n.startswith("wave ")]
        now = self.app.clock.now()
        if not any(abs(parse_instant(at) - now) < QUIET for at in waves) and waits(self.app.db, now):
            self._spawn("notify", [], module="scheduler.notifier")

    def _spawn(
        self, name: str, arguments: list[str], *, again: float = AGAIN, module: str = "scheduler.sender"
    ) -> bool:
        """Start a worker process unless one of that name runs or has just ended; says whether it did."""
        if not self._jobs.wanted(name, again):
            return False
        if self._standing and self._standing.low and name.startswith(("wave", "overdue")):
            return False  # its gate would refuse; arming for nothing would upload media again and again
        if self._standing and self._standing.damaged and module == "scheduler.sender":
            return False  # what is left of the database is not written to any more
        if module == "scheduler.sender":
            self._start_platforms()
        command = [sys.executable, "-m", module, *arguments, "--root", str(self.app.root)]
        command += ["--mode", self.app.mode, "--accounts", str(self._accounts())]
        if module == "scheduler.sender":
            command += ["--org", self.organisation]
            if self._standing:
                command += ["--lease", str(self._standing.tenure.lease)]
                command += ["--clocks", str(self._standing.reading)]
        if self.crash_after and name.startswith("wave"):
            command += ["--crash-after", str(self.crash_after)]
        self._jobs.start(name, command)
        return True

    def _accounts(self) -> Path:
        """The folder of the last accounts.yaml that was right; a person is told once what is wrong."""
        kept, trouble = refresh_accounts(self.app)
        if trouble and trouble != self._accounts_trouble:
            self.say(
                f"trouble     accounts.yaml is wrong, the last good one holds. {trouble}; launchday check"
            )
        self._accounts_trouble = trouble
        return kept

    def _reap(self) -> None:
        for name, code in self._jobs.ended():
            dues = self._in_hand.pop(name, frozenset())
            if code == 0:
                self._say_waves(dues)
            else:
                self.say(
                    f"trouble     the process for '{name}' ended with {code}; what it left is looked for"
                )

    def _say_waves(self, dues: frozenset[datetime]) -> None:
        for line in waves.became(self.app.db, dues, self.app.directory.zone, self.organisation):
            if line not in self._told:  # a wave that is put off again and again is told of once
                self.say(f"wave        {line}")
                self._systemd.status(line)
            self._told.add(line)

    def _work_left(self, until: datetime) -> bool:
        with self._one_at_a_time:
            self._reap()
            if any(name != "after" for name in self._jobs.names):
                self._idle_since = time.monotonic()
                return True
            with self.app.db.read() as conn:
                doubt = outbox.find(
                    conn, states=[State.UNCONFIRMED, State.PUBLISHING], organisation=self.organisation
                )
        # What was due by then and was deferred is waited for, as long as it will be tried soon.
        soon = max(until, self.app.clock.now() + self.app.timing.arm_lead)
        left = waves.due(self.app.db, self.app.clock, self.app.approvers, soon, self.organisation)
        if self.app.directory.has_channel and waits(self.app.db, self.app.clock.now() + notices.GATHER):
            return True
        if doubt or any(d.due <= until for d in left):
            self._idle_since = time.monotonic()
            return True
        # A first look at what went out is worth some seconds, a platform that answers slowly is not worth
        # minutes: the next run looks again.
        patience = (self.app.timing.read_after + self.app.timing.soon).total_seconds()
        return time.monotonic() - self._idle_since < patience and unread(
            self.app.db, self.app.clock, self.organisation
        )

    def _start_platforms(self) -> None:
        if self.app.mode == "live":
            return
        folder = self.app.folder / "platforms"
        if platforms.running(folder) is None:
            # They outlive this process on purpose: after a crash the next start asks them what they have.
            # Where they were killed themselves, the next sender finds them again, with what they had.
            platforms.start(folder)

    def _announce(self) -> list[Path]:
        self._beat.write()
        files = [self.app.folder / "daemon.pid"]
        if self.app.mode == self.app.directory.mode:
            files.append(self.app.root / ".launchday" / "daemon.pid")
        for path in set(files):
            path.write_text(f"{os.getpid()}\n", "ascii")
        return files


class _Signals:
    """SIGTERM and SIGINT set the event; what was set before is put back."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping
        self.interrupted = False

    def __enter__(self) -> _Signals:
        def stop(number: int, _frame: object) -> None:
            self.interrupted = number == signal.SIGINT
            self._stopping.set()

        self._before = [(s, signal.signal(s, stop)) for s in (signal.SIGTERM, signal.SIGINT)]
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before:
            signal.signal(number, before)
        if self.interrupted:
            raise KeyboardInterrupt
