"""What the code under test takes from Python, lent by the simulator: time, threads, sockets, chance.

Every module of `scheduler` that says `import time` (threading, queue, select, …) is given the simulated
module of that name for the length of a day. So the production code runs unchanged, line for line.
"""

from __future__ import annotations

import itertools
import os
import queue
import random
import secrets
import select
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for_futures
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from scheduler.errors import TryLater
from scheduler.store import claim
from scheduler.transport import fence

from .world import Process, Signal, World

IN, OUT, HUNG = select.POLLIN, select.POLLOUT, getattr(select, "POLLRDHUP", 0)


class _Module:
    """A module of which some names are simulated; all others are the real ones."""

    def __init__(self, real: ModuleType, **names: Any) -> None:
        self.__dict__.update(names)
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Event:
    """threading.Event."""

    def __init__(self, world: World) -> None:
        self._world, self._signal, self._set = world, Signal(), False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._world.give(self._signal)

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set and timeout != 0:
            self._world.wait(self._signal, timeout)
        return self._set


class Thread:
    """threading.Thread: a task of the process that starts it."""

    def __init__(
        self, world: World, target: Callable[..., Any], args: tuple[Any, ...] = (), **_: Any
    ) -> None:
        self._world, self._work = world, lambda: target(*args)
        self._done = Event(world)

    def start(self) -> None:
        world = self._world
        assert world.current is not None

        def whole() -> None:
            try:
                self._work()
            finally:
                self._done.set()

        world.spawn(world.current.process, whole)

    def join(self, timeout: float | None = None) -> None:
        self._done.wait(timeout)

    def is_alive(self) -> bool:
        return not self._done.is_set()


class Queue:
    """queue.Queue and SimpleQueue, without a bound."""

    def __init__(self, world: World, *_: Any, **__: Any) -> None:
        self._world, self._signal, self._items = world, Signal(), list[Any]()

    def put(self, item: Any) -> None:
        self._items.append(item)
        self._world.give(self._signal)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not self._items and block:
            self._world.wait(self._signal, timeout)
        if not self._items:
            raise queue.Empty
        return self._items.pop(0)

    def get_nowait(self) -> Any:
        return self.get(block=False)

    def empty(self) -> bool:
        return not self._items


class Pool:
    """ThreadPoolExecutor: what it is given runs side by side, in tasks of this process."""

    def __init__(self, world: World, *_: Any, **__: Any) -> None:
        self._world = world

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def shutdown(self, **_: Any) -> None:
        pass

    def submit(self, work: Callable[..., Any], *given: Any) -> Future:
        future = Future(self._world)
        Thread(self._world, future.run, (work, given)).start()
        return future

    def map(self, work: Callable[..., Any], *many: Iterable[Any]) -> Iterator[Any]:
        futures = [self.submit(work, *given) for given in zip(*many, strict=False)]
        return iter([f.result() for f in futures])


class Future:
    """concurrent.futures.Future, as far as it is used."""

    def __init__(self, world: World) -> None:
        self._done, self._value, self._error = Event(world), None, None

    def run(self, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
        try:
            self._value = work(*given)
        except Exception as error:
            self._error = error
        finally:
            self._done.set()

    def done(self) -> bool:
        return self._done.is_set()

    def wait(self, timeout: float | None) -> None:
        self._done.wait(timeout)

    def result(self, timeout: float | None = None) -> Any:
        self._done.wait(timeout)
        if self._error is not None:
            raise self._error
        return self._value


@dataclass(frozen=True, slots=True)
class Waited:
    """What concurrent.futures.wait returns."""

    done: set[Future]
    not_done: set[Future]


def _wait(world: World, futures: Iterable[Future], timeout: float | None = None) -> Waited:
    every = list(futures)
    end = None if timeout is None else world.now + timeout
    for one in every:
        one.wait(None if end is None else max(0.0, end - world.now))
    done = {f for f in every if f.done()}
    return Waited(done, set(every) - done)


class Poll:
    """select.poll over simulated sockets."""

    def __init__(self, world: World) -> None:
        self._world, self._socks = world, dict[int, tuple[Any, int]]()

    def register(self, sock: Any, mask: int = IN | OUT) -> None:
        known = self._world.sockets[sock] if isinstance(sock, int) else sock
        self._socks[known.fileno()] = (known, mask)

    def unregister(self, sock: Any) -> None:
        del self._socks[sock if isinstance(sock, int) else sock.fileno()]

    def modify(self, sock: Any, mask: int) -> None:
        self.register(sock, mask)

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        return [
            (n, m) for n, m, _ in _poll(self._world, self._socks, None if timeout is None else timeout / 1000)
        ]


class Selector:
    """selectors.DefaultSelector over simulated sockets."""

    def __init__(self, world: World) -> None:
        self._world, self._keys = world, dict[int, selectors.SelectorKey]()

    def __enter__(self) -> Selector:
        return self

    def __exit__(self, *_: object) -> None:
        self._keys.clear()

    def register(self, sock: Any, events: int, data: Any = None) -> None:
        self._keys[sock.fileno()] = selectors.SelectorKey(sock, sock.fileno(), events, data)

    def unregister(self, sock: Any) -> None:
        self._keys.pop(sock.fileno())

    def get_map(self) -> dict[int, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        wanted = {
            n: (
                k.fileobj,
                (IN if k.events & selectors.EVENT_READ else 0)
                | (OUT if k.events & selectors.EVENT_WRITE else 0),
            )
            for n, k in self._keys.items()
        }
        found = _poll(self._world, wanted, timeout)
        return [
            (self._keys[n], selectors.EVENT_READ if m & IN else selectors.EVENT_WRITE) for n, m, _ in found
        ]

    def close(self) -> None:
        self._keys.clear()


def _poll(
    world: World, socks: dict[int, tuple[Any, int]], timeout: float | None
) -> list[tuple[int, int, Any]]:
    """Which of the sockets are ready; waits for the first of them, at most `timeout` seconds."""
    end = None if timeout is None else world.now + timeout
    while True:
        ready = [(n, mask & sock.ready(), sock) for n, (sock, mask) in socks.items() if mask & sock.ready()]
        if ready or (end is not None and world.now >= end):
            return ready
        times = [sock.next() for sock, _ in socks.values()]
        soonest = min([t for t in times if t > world.now], default=float("inf"))
        until = soonest if end is None else min(soonest, end)
        if until == float("inf"):
            raise AssertionError("a task waits for ever for sockets that say nothing")
        world.sleep(max(until - world.now, 1e-6))


def modules(world: World, popen: Callable[..., Any]) -> dict[int, Any]:
    """The simulated module for each real one, by its identity."""
    dice, numbers = world.dice, itertools.count()

    def urandom(count: int) -> bytes:
        # However few choices the dice have left, no two are the same.
        return (dice.getrandbits(8 * count) ^ next(numbers)).to_bytes(count, "big")

    def pid() -> int:
        return world.current.process.pid if world.current else 1

    def said(_: Any, line: str) -> None:
        world.say(line.rstrip())
        if "broke: " in line and "OperationalError" not in line:
            world.broken.append(line.rstrip())

    talk = type("Talk", (), {"write": said, "flush": lambda _: None})()
    lent: dict[ModuleType, Any] = {
        time: _Module(
            time,
            time=world.read_clock,
            monotonic=lambda: world.now,
            clock_gettime=lambda _: world.now,
            sleep=world.sleep,
        ),
        threading: _Module(threading, Thread=lambda **k: Thread(world, **k), Event=lambda: Event(world)),
        queue: _Module(queue, Queue=lambda *a: Queue(world), SimpleQueue=lambda: Queue(world)),
        select: _Module(select, poll=lambda: Poll(world)),
        selectors: _Module(selectors, DefaultSelector=lambda: Selector(world)),
        random: _Module(random, random=dice.random),
        secrets: _Module(
            secrets,
            token_bytes=urandom,
            token_hex=lambda n: urandom(n).hex(),
            token_urlsafe=lambda n: urandom(n).hex(),
        ),
        os: _Module(os, urandom=urandom, getpid=pid),
        sys: _Module(sys, stderr=talk, stdout=talk),
        subprocess: _Module(subprocess, Popen=popen),
    }
    return {id(real): fake for real, fake in lent.items()}


def lend(world: World, popen: Callable[..., Any], also: dict[tuple[str, str], Any]) -> Callable[[], None]:
    """Give every loaded module of `scheduler` the simulated ones; returns what takes them back.

    `also` are further names to replace: (module, name) → value.
    """
    fakes = modules(world, popen)
    undo: list[tuple[dict[str, Any], str, Any]] = []

    def put(space: dict[str, Any], name: str, value: Any) -> None:
        undo.append((space, name, space[name]))
        space[name] = value

    for module in [m for n, m in list(sys.modules.items()) if n.partition(".")[0] == "scheduler" and m]:
        for name, value in list(vars(module).items()):
            if id(value) in fakes:
                put(vars(module), name, fakes[id(value)])
            elif value is ThreadPoolExecutor:
                put(vars(module), name, lambda *a, **k: Pool(world))
            elif value is wait_for_futures:
                put(vars(module), name, lambda *a, **k: _wait(world, *a, **k))
    for (module_name, name), value in also.items():
        put(vars(sys.modules[module_name]), name, value)

    def back() -> None:
        for space, name, value in reversed(undo):
            space[name] = value

    return back


@contextmanager
def lent(world: World, popen: Callable[..., Any], also: dict[tuple[str, str], Any]) -> Iterator[None]:
    """As `lend`, for the length of a block."""
    back = lend(world, popen, also)
    try:
        yield
    finally:
        back()


class Child:
    """subprocess.Popen, as the daemon uses it: a process of the same host."""

    def __init__(self, world: World, process: Process) -> None:
        self.pid, self._world, self._process = process.pid, world, process
        self._ended = Event(world)
        process.ended.append(self._ended.set)

    def poll(self) -> int | None:
        return None if self._process.alive else self._process.code

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def wait(self, timeout: float | None = None) -> int:
        self._ended.wait(timeout)
        if self._process.alive:
            raise subprocess.TimeoutExpired("sender", timeout or 0)
        return self._process.code or 0

    def terminate(self) -> None:
        self._world.kill(self._process, "terminated")

    kill = terminate


class Fence:
    """The kernel's timer: a process that is stopped beyond it does not come back."""

    def __init__(self, world: World) -> None:
        self._world, self.counts_suspend = world, True

    def set(self, at: float, now: Callable[[], float]) -> None:
        assert self._world.current is not None
        self._world.current.process.fence = self._world.now + max(0.0, at - now()) + fence.BUDGET

    def lift(self) -> None:
        assert self._world.current is not None
        self._world.current.process.fence = None


class Claims:
    """The database server's advisory locks: whoever is silent for two minutes, or cut off, loses its own."""

    def __init__(self, world: World) -> None:
        self._world, self.holder = world, None

    def __call__(self, _db: Any, scope: str) -> Claim:
        assert self._world.current is not None
        made = Claim(self, scope, self._world.current.process)
        held: Claim | None = self.holder
        if held is not None and held.process.alive:
            stopped = held.process.stopped_until - self._world.now
            if stopped <= 0 or self._world.now - held.process.stops[-1][0] < claim.SILENT:
                raise TryLater("a daemon runs on this database already")
        self.holder = made
        return made


@dataclass(eq=False)
class Claim:
    """One that was taken."""

    claims: Claims
    scope: str
    process: Process

    def holds(self) -> bool:
        return self.claims.holder is self

    def give_back(self) -> None:
        if self.claims.holder is self:
            self.claims.holder = None
