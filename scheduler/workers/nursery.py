"""The nursery: a process forked from the sender at its very start, of which all workers are forked.

A worker must be had within milliseconds, with the imports done, also in the middle of a wave. It cannot be
forked from the sender then: it would inherit its database, its threads' locks, the lock that proves it dead.
So the sender forks this small process before it has any of them. For each worker there is a keeper between:
its parent, which ends whatever the worker has left behind, and which is all that a worker can kill by killing
its parent. sender > nursery > keeper > worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass

from scheduler.workers import limits

WATCH = 0.5  # seconds between two looks at what the workers have started
CLEAN_UP = 3.0  # seconds for the keepers to end what is below them once the sender is gone


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker is told at its birth. `offset`: seconds of the launch's clock ahead of the wall."""

    platform: str
    proxy: str = ""
    ca: str = ""
    offset: float = 0.0


Work = Callable[[socket.socket, Setup], None]


class Nursery:
    """The sender's end of it. `work` is what a worker does with its socket."""

    def __init__(self, work: Work) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            _never_return(lambda: _run(theirs.detach(), work))
        theirs.close()
        self._control = ours

    def start(self, setup: Setup) -> tuple[socket.socket, socket.socket]:
        """A new worker: its calls and answers, and its lifeline. Closing that ends it and all it started.

        Raises OSError where the nursery is gone.
        """
        calls, far_calls = socket.socketpair()
        life, far_life = socket.socketpair()
        with far_calls, far_life:
            try:
                asked = json.dumps(asdict(setup)).encode()
                socket.send_fds(self._control, [asked], [far_calls.fileno(), far_life.fileno()])
            except OSError:
                calls.close()
                life.close()
                raise
        return calls, life

    def close(self) -> None:
        """End it and all workers, and wait for that; harmless a second time."""
        self._control.close()
        if self._pid:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = 0

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _never_return(life: Callable[[], None]) -> None:
    """What a forked process does, and its end: nothing of the process it was forked from is run on."""
    try:
        life()
    finally:
        os._exit(0)


def _begin(*files: int) -> None:
    """Nothing of the parent's is ours: neither its terminal, nor its files, nor its handlers of signals."""
    os.setsid()
    limits.silence()
    limits.close_others(*files)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def _run(control_file: int, work: Work) -> None:
    """The nursery: fork a keeper for each setup that comes, watch over all, leave when the sender has."""
    _begin(control_file)
    # Before anything else: keepers and workers are copies of this process.
    limits.keep_memory_private()
    limits.forget_environment()
    limits.adopt_orphans()
    with socket.socket(fileno=control_file) as control:
        keepers: set[int] = set()
        while True:
            if select.select([control], [], [], WATCH)[0]:
                said, files, _, _ = socket.recv_fds(control, 4096, 2)
                if len(files) < 2:
                    break  # the sender has ended or wants us to
                setup = Setup(**json.loads(said))
                keepers.add(_fork_keeper(files[0], files[1], setup, work))
                for one in files:
                    os.close(one)
            keepers -= limits.reap()
            _watch(keepers)
    _leave(keepers)


def _fork_keeper(calls: int, life: int, setup: Setup, work: Work) -> int:
    pid = os.fork()
    if pid == 0:
        _never_return(lambda: _keep(calls, life, setup, work))
    return pid


def _watch(keepers: set[int]) -> None:
    """End a worker that has multiplied or taken too much, and what outlived its keeper and became ours."""
    me = os.getpid()
    if not keepers:
        return
    children = limits.families()
    for stray in children.get(me, set()) - keepers:
        limits.end_below(stray)
        with contextlib.suppress(ProcessLookupError):
            os.kill(stray, signal.SIGKILL)
    for keeper in keepers:
        brood = limits.below({keeper}, children)
        if len(brood) > limits.PROCESSES or limits.memory_of(brood) > 3 * limits.MEMORY:
            limits.end_below(keeper)


def _leave(keepers: set[int]) -> None:
    """The lifelines of all workers are cut: their keepers end them. What is left then is killed."""
    waited = 0.0
    while keepers and waited < CLEAN_UP:
        keepers -= limits.reap()
        select.select([], [], [], 0.01)
        waited += 0.01
    limits.end_below(os.getpid())


def _keep(calls: int, life: int, setup: Setup, work: Work) -> None:
    """The keeper: start the worker; when it ends or the lifeline is cut, end everything below."""
    _begin(calls, life)
    limits.adopt_orphans()
    me = os.getpid()
    worker = os.fork()
    if worker == 0:
        _never_return(lambda: _live(calls, me, setup, work))
    os.close(calls)
    ended = os.pidfd_open(worker)
    select.select([life, ended], [], [])
    limits.end_below(me)


def _live(calls: int, keeper: int, setup: Setup, work: Work) -> None:
    """The worker: limits first, then foreign code."""
    _begin(calls)
    limits.die_with_parent(keeper)
    limits.confine()
    with socket.socket(fileno=calls) as sock:
        work(sock, setup)
