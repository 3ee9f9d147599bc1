"""What a worker may use, what it may see, and how all that it left behind is ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import threading
import time
from pathlib import Path
from typing import Any

MEMORY = 512 * 1024 * 1024  # bytes of data beyond what a worker begins with
ADDRESSES = 2 * 1024 * 1024 * 1024  # bytes of address space beyond that: threads reserve what they do not use
CPU = 600  # seconds in its life, which is that of one wave or one minute of looking
FILES = 512
FILE_SIZE = 16 * 1024 * 1024  # bytes of any file it writes
PROCESSES = 16  # descendants that are still borne for a moment; a publisher has no need of any
_STACK = 512 * 1024  # bytes for each of its threads

# What finds programs, libraries and words: no secret is under these names.
_KEPT = frozenset({"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TZDIR", "TMPDIR"})
_KEPT_AS = ("LC_", "PYTHON", "SSL_CERT_")

# In a daemon's environment: the process id of the rehearsal that it must not outlive.
ENDS_WITH = "LAUNCHDAY_ENDS_WITH"
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
_M_ARENA_MAX = -8


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Be killed when the process that started us ends; at once where it has ended already."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Descendants whose parent ends become our children, wherever they have run to (setsid, double fork)."""
    _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def keep_memory_private() -> None:
    """No other process of this user may read our memory or environment (root still may)."""
    _libc().prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def silence() -> None:
    """Standard input, output and error are not ours to give: a reader of theirs waits for their end."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.close(nothing)


def close_others(*kept: int) -> None:
    """Close every file but 0, 1, 2 and these."""
    low = 3
    for number in sorted(kept):
        os.closerange(low, number)
        low = number + 1
    os.closerange(low, max(low, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))


def forget_environment() -> None:
    """Keep only what is no secret, and wipe the block that /proc/self/environ shows as well."""
    kept = {n: v for n, v in os.environ.items() if n in _KEPT or n.startswith(_KEPT_AS)}
    os.environ.clear()
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        start, end = int(fields[47]), int(fields[48])  # env_start and env_end, proc(5)
        if 0 < start < end:
            ctypes.memset(start, 0, end - start)
    os.environ.update(kept)


def confine() -> None:
    """The limits of a worker. Soft and hard: it cannot raise them again (root could)."""
    os.umask(0o077)
    threading.stack_size(_STACK)
    with contextlib.suppress(AttributeError):  # musl has no arenas to be limited
        _libc().mallopt(_M_ARENA_MAX, 2)
    pages = [int(n) for n in Path("/proc/self/statm").read_text("ascii").split()]
    size, data = (pages[i] * resource.getpagesize() for i in (0, 5))
    for which, wanted in (
        (resource.RLIMIT_DATA, data + MEMORY),
        (resource.RLIMIT_AS, size + ADDRESSES),
        (resource.RLIMIT_CPU, CPU),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_FSIZE, FILE_SIZE),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(which)
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(which, (most, most))


def families() -> dict[int, set[int]]:
    """The children of every process of this machine; zombies too, until they are reaped.

    Read from each process's `stat`: not every kernel has a list of children.
    """
    found: dict[int, set[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{name}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
                found.setdefault(int(fields[1]), set()).add(int(name))
    return found


def below(roots: set[int], children: dict[int, set[int]]) -> set[int]:
    """Every descendant of these, wherever it has put itself (a session of its own does not change that)."""
    found: set[int] = set()
    todo = list(roots)
    while todo:
        new = children.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return found


def memory_of(pids: set[int]) -> int:
    """Bytes of memory that these processes have in use together."""
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            pages += int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


def end_below(root: int, seconds: float = 5.0) -> None:
    """Kill everything below `root`, until nothing is left.

    All are stopped first: what forks faster than it is killed would never come to an end.
    """
    end = time.monotonic() + seconds
    while (every := below({root}, families())) and time.monotonic() < end:
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in every | (below({root}, families()) if number == signal.SIGKILL else set()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        if root == os.getpid():
            reap()
        time.sleep(0.005)


def reap() -> set[int]:
    """Bury children that have ended; returns their process ids."""
    gone: set[int] = set()
    with contextlib.suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            gone.add(pid)
    return gone
