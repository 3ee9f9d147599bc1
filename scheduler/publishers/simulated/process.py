"""Starting, finding and stopping the process of the simulated platforms."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scheduler.errors import TryLater

READY_S = 15.0


@dataclass(slots=True)
class Running:
    """The simulated platforms of a folder. `servers` is platform → base URL; `pid` serves them."""

    directory: Path
    pid: int
    servers: Mapping[str, str]
    child: subprocess.Popen[bytes] | None = None
    pipe: int = field(default=-1, repr=False)

    def stop(self) -> None:
        """End it in order and wait until it has ended."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        held = _held(self.directory)
        if held and (self.child is None or self.child.poll() is None):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
        if self.child is not None:
            self.child.wait()
        elif held:
            _wait_for_lock(self.directory)
        if self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1

    def faults(self, rules: Sequence[Mapping[str, Any]]) -> None:
        """Replace the scripted faults from now on (an empty list: all is well)."""
        self._door("POST", "/_sim/faults", list(rules))

    def fired(self) -> list[int]:
        """How often each scripted fault has fired."""
        return list(self._door("GET", "/_sim/faults")["fired"])

    def advance(self, seconds: float) -> None:
        """Move the platforms' clock ahead (expiries; arrivals keep the wall clock)."""
        self._door("POST", "/_sim/clock", {"advance_s": seconds})

    def _door(self, method: str, path: str, value: Any = None) -> Any:
        address = next(iter(self.servers.values())).removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=30)
        try:
            body = None if value is None else json.dumps(value)
            connection.request(method, path, body, {"Content-Type": "application/json"})
            reply = connection.getresponse()
            answer = json.loads(reply.read())
        finally:
            connection.close()
        if reply.status != 200:
            raise ValueError(answer["error"])
        return answer


def start(
    directory: str | os.PathLike[str], faults: Sequence[Mapping[str, Any]] = (), *, tied: bool = False
) -> Running:
    """Start the simulated platforms and wait until they serve.

    `tied` lets them end with this process; otherwise they outlive it. Raises TryLater where the folder's
    platforms run already, or do not come up.
    """
    where = Path(directory).absolute()
    where.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "scheduler.publishers.simulated", str(where)]
    if faults:
        script = where / "faults.json"
        script.write_text(json.dumps(list(faults)))
        argv += ["--faults", str(script)]
    theirs, ours = os.pipe() if tied else (-1, -1)
    if tied:
        argv += ["--parent-fd", str(theirs)]
    with (where / "log.txt").open("ab") as log:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(theirs,) if tied else (),
            start_new_session=True,  # a Ctrl-C meant for the terminal's job must not take the platforms down
        )
    if tied:
        os.close(theirs)
    found = _wait_until_ready(where, child)
    if found is None:
        if tied:
            os.close(ours)
        child.kill()
        child.wait()
        last = (where / "log.txt").read_text().strip().splitlines()[-1:]
        why = last[0] if last else "they said nothing"
        raise TryLater(f"The simulated platforms did not start: {why}", help=f"See {where / 'log.txt'}.")
    found.child, found.pipe = child, ours
    return found


def _wait_until_ready(where: Path, child: subprocess.Popen[bytes]) -> Running | None:
    gone = os.pidfd_open(child.pid)
    try:
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            found = _ready(where)
            if found is not None and found.pid == child.pid:
                return found
            # Wakes at once when the child ends; otherwise looks for the ready file again.
            if select.select([gone], [], [], 0.01)[0]:
                return None
        return None
    finally:
        os.close(gone)


def running(directory: str | os.PathLike[str]) -> Running | None:
    """The platforms that already serve this folder, or None. A stale ready file is not believed."""
    where = Path(directory).absolute()
    return _ready(where) if _held(where) else None


def stop(directory: str | os.PathLike[str]) -> bool:
    """End the platforms of this folder; says whether there were any."""
    found = running(directory)
    if found is None:
        return False
    found.stop()
    return True


def _ready(where: Path) -> Running | None:
    try:
        told = json.loads((where / "ready.json").read_text())
    except (OSError, ValueError):
        return None
    return Running(where, told["pid"], told["servers"])


def _held(where: Path) -> bool:
    """Whether somebody holds the folder's lock."""
    try:
        lock = os.open(where / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _wait_for_lock(where: Path) -> None:
    """Until the process that is no child of ours has let go of its lock."""
    lock = os.open(where / "lock", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(lock)
