"""Simulated time and processes: one thread, one clock, and whoever's turn it is.

A process is a set of tasks (greenlets). Time passes only when a task sleeps or waits. At each step (a
transaction, a commit, a byte) a process may be killed or stopped for a while, as the dice say.
"""

from __future__ import annotations

import heapq
import itertools
import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenlet import greenlet

from scheduler.store import lock

from .mix import Mix


class Killed(BaseException):
    """This process was killed. No `except Exception` of the code under test stops it."""


@dataclass(eq=False)
class Process:
    """A simulated process. `fence`: the kernel kills it when it is stopped beyond that instant."""

    name: str
    host: str
    pid: int
    mortal: bool = True
    alive: bool = True
    code: int | None = None
    tasks: set[Task] = field(default_factory=set)
    stopped_until: float = 0.0
    stops: list[tuple[float, float]] = field(default_factory=list)
    fence: float | None = None
    pledge: Callable[[], None] | None = None
    last_look: float = 0.0
    ended: list[Callable[[], None]] = field(default_factory=list)


@dataclass(eq=False)
class Task:
    """One thread of a process."""

    process: Process
    run: greenlet | None = None
    turn: int = 0
    inside: int = 0  # transactions it is in: no time may pass there
    why: BaseException | None = None


class Signal:
    """What tasks wait for (the heart of events, queues and threads)."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Task, int]] = []


class World:
    """The clock, the processes and the dice of one day."""

    def __init__(
        self, dice: random.Random, mix: Mix, start: float, trace: Callable[[str], None] | None
    ) -> None:
        self.dice = dice
        self.mix = mix
        self.now = start
        self.clock_error = 0.0  # seconds that this host's clock is ahead of the true time
        self.calm = False  # nobody is killed or stopped any more: the day is ending
        self.trace = trace
        self.changes = 0  # commits and ends of processes so far
        self.horizon = float("inf")
        self.current: Task | None = None
        self.processes: list[Process] = []
        self.deaths = 0
        self.broken: list[str] = []
        self.happened: list[tuple[float, str]] = []  # what the dice said yes to, and when
        self.sockets: dict[int, Any] = {}
        self._hub = greenlet.getcurrent()
        self._heap: list[tuple[float, int, Task, int]] = []
        self._numbers = itertools.count(1)
        self._signals: list[Signal] = []

    # telling

    def say(self, line: str) -> None:
        """One line of the day's story."""
        if self.trace is not None:
            who = self.current.process.name if self.current else "world"
            self.trace(f"{self.stamp()}  {who:<18} {line}")

    def stamp(self) -> str:
        """The true time of day, to the millisecond."""
        seconds = self.now % 86_400
        return f"{int(seconds // 3600):02}:{int(seconds % 3600 // 60):02}:{seconds % 60:06.3f}"

    def wall(self) -> float:
        """What this host's clock says."""
        return self.now + self.clock_error

    def read_clock(self) -> float:
        """The same, for the code under test: reading takes 20 µs, so that waiting by reading ends."""
        self.now += 0.00002
        return self.wall()

    def happens(self, rate: str) -> bool:
        """Whether it happens this time (the least number of the dice means: no)."""
        chance = self.mix[rate]
        if chance > 0 and self.dice.random() > 1 - chance:
            self.happened.append((self.now, rate))
            return True
        return False

    # processes

    def start(
        self,
        name: str,
        work: Callable[[], int | None],
        *,
        host: str = "a",
        mortal: bool = True,
        at: float = 0.0,
    ) -> Process:
        """A new process that begins at `at` (now, if that has passed)."""
        process = Process(name, host, 1000 + next(self._numbers), mortal)
        self.processes.append(process)

        def whole() -> None:
            process.code = work() or 0

        self.spawn(process, whole, at)
        return process

    def spawn(self, process: Process, work: Callable[[], None], at: float = 0.0) -> Task:
        """A new task of a process; the process ends with its first task."""
        task = Task(process)
        first = not process.tasks

        def body() -> None:
            try:
                work()
            except Killed:
                pass
            except Exception as error:
                process.code = 1
                self.broken.append(f"{process.name} broke: {_where(error)}")
                self.say(f"!!!! {self.broken[-1]}")
            finally:
                process.tasks.discard(task)
                if first:
                    self._end(process)

        task.run = greenlet(body, self._hub)
        process.tasks.add(task)
        self._push(max(at, self.now), task)
        return task

    def kill(self, process: Process, how: str) -> None:
        """kill -9: its locks are freed, nothing of it runs any more."""
        if not process.alive:
            return
        self.say(f"KILLED {process.name} ({how})")
        self.deaths += 1
        process.code = -9
        self._end(process)

    def _end(self, process: Process) -> None:
        if not process.alive:
            return
        process.alive = False
        process.fence = None
        self.changes += 1
        for task in list(process.tasks):
            if task is not self.current:
                process.tasks.discard(task)
                self._throw(task)
        for tell in process.ended:
            tell()

    def _throw(self, task: Task) -> None:
        """Unwind a task that waits: what it holds is given back, and it cannot do anything any more."""
        if task.run is None or task.run.dead:
            return
        if not task.run:  # never begun
            task.run = None
            return
        task.turn += 1
        task.why = Killed()
        back, here = self.current, task.run.parent
        task.run.parent = greenlet.getcurrent()
        self.current = task
        try:
            task.run.switch()
        finally:
            self.current = back
            if not task.run.dead:
                task.run.parent = here

    def stop(self, process: Process, seconds: float) -> None:
        """SIGSTOP for so long; a fence that ends meanwhile kills it."""
        until = self.now + seconds
        process.stops.append((self.now, until))
        process.stopped_until = max(process.stopped_until, until)
        self.say(f"STOPPED for {seconds:.1f} s")

    # time

    def step(self, what: str) -> None:
        """An instant at which the process may be killed or stopped; it takes some milliseconds."""
        task = self._me()
        process = task.process
        chance = self.dice.random()
        if process.mortal and not self.calm:
            if chance > 1 - self.mix["killed_at_step"]:
                self.kill(process, f"at {what}")
                raise Killed
            if chance > 1 - self.mix["killed_at_step"] - self.mix["stopped_at_step"]:
                self.stop(process, self._how_long())
        self.sleep(chance * 0.004)

    def may_die(self, what: str) -> None:
        """An instant inside a transaction: no time passes, but the process may be killed."""
        process = self._me().process
        if process.mortal and not self.calm and self.happens("killed_at_step"):
            self.kill(process, f"at {what}")
            raise Killed

    def _how_long(self) -> float:
        """Stops are short or long: milliseconds, seconds, minutes, an hour."""
        return float(self.dice.choice((0.3, 2.0, 4.0, 31.0, 200.0, 900.0, 4000.0)))

    def sleep(self, seconds: float) -> None:
        """Let time pass for this task."""
        task = self._me()
        if task.inside:
            raise AssertionError("time passes inside a transaction")
        at = self.now + max(0.0, seconds)
        fence, stopped = task.process.fence, task.process.stopped_until
        free = at <= self.horizon and (not self._heap or self._heap[0][0] > at)
        if free and stopped <= at and (fence is None or at <= fence):
            self.now = at
            return
        self._push(at, task)
        self._switch(task)

    def wait(self, signal: Signal, timeout: float | None) -> None:
        """Until the signal is given or so much time has passed."""
        task = self._me()
        if task.inside:
            raise AssertionError("a task waits inside a transaction")
        signal.waiting.append((task, task.turn + 1))
        task.turn += 1
        if timeout is not None:
            self._push(self.now + max(0.0, timeout), task, new_turn=False)
        self._switch(task)

    def give(self, signal: Signal) -> None:
        """Wake all who wait for it."""
        waiting, signal.waiting = signal.waiting, []
        for task, turn in waiting:
            if task.turn == turn and task.process.alive:
                self._push(self.now, task)

    def run(self, until: float, done: Callable[[], bool] = lambda: False) -> None:
        """Let everything happen until then, or until `done` says so."""
        self.horizon = until
        while self._heap and not done():
            at, _, task, turn = self._heap[0]
            if at > until:
                break
            heapq.heappop(self._heap)
            if turn != task.turn or not task.process.alive or task.run is None:
                continue
            self.now = max(self.now, at)
            if task.process.stopped_until > self.now:
                self._push(task.process.stopped_until, task)
                continue
            process = task.process
            if process.fence is not None and self.now > process.fence:
                self.kill(process, "by its fence")
                continue
            self._enter(task)
            task.run.switch()
            self.current = None
        self.now = max(self.now, until) if not self._heap or self._heap[0][0] > until else self.now

    def end(self) -> None:
        """The power goes: every process is killed."""
        self.calm = True
        for process in self.processes:
            process.alive and self._end(process)

    def _enter(self, task: Task) -> None:
        self.current = task
        lock.HOST = task.process.host

    def _me(self) -> Task:
        task = self.current
        if task is None:
            raise AssertionError("only a simulated process may do this")
        if not task.process.alive:
            raise Killed
        return task

    def _push(self, at: float, task: Task, *, new_turn: bool = True) -> None:
        if new_turn:
            task.turn += 1
        heapq.heappush(self._heap, (at, next(self._numbers), task, task.turn))

    def _switch(self, task: Task) -> None:
        parent = task.run.parent if task.run is not None else self._hub
        assert parent is not None
        parent.switch()
        if task.why is not None or not task.process.alive:
            raise Killed


def _where(error: Exception) -> str:
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({at.filename.rpartition('/')[2]}:{at.lineno})"
