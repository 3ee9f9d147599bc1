"""The fence: a sender that was stopped or suspended dies instead of sending late.

Once the gate has let a wave through, its bytes may leave for a few seconds and no longer. A process cannot
watch that itself: it may be stopped between the look at the clock and the write. So the kernel does, with a
timer whose signal is SIGKILL: that one can be neither blocked, ignored nor handled, and it ends a stopped
process where it stands. The timer runs on CLOCK_BOOTTIME: no step of the wall clock moves it, and it goes on
while the machine is suspended (`setitimer` is held off then, and Python 3.11 has no `timer_create`).
"""

from __future__ import annotations

import ctypes
import signal
import time
from collections.abc import Callable
from typing import Any

# Seconds after T0 (or after a gate that began later than that) in which bytes may leave: the gate takes under
# one, the first pass over 5,000 connections 0.07 (measured), the rest of large requests `Timeouts.finish`.
BUDGET = 4.0

_SIGEV_SIGNAL = 0
_ABSOLUTE = 1  # TIMER_ABSTIME


class _Event(ctypes.Structure):
    """`struct sigevent` of <signal.h>: 64 bytes on every Linux."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_char * 48),
    )


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Spec(ctypes.Structure):
    """`struct itimerspec`: an interval of 0 means once."""

    _fields_ = (("interval", _Time), ("value", _Time))


class Fence:
    """The kernel's timer of this process. Made before the gate, so that what fails fails before it.

    `counts_suspend` is False where the system has no `timer_create` to call: a plain interval timer then
    stands in, which is held off while the machine sleeps. A child of fork has no fence.
    """

    def __init__(self) -> None:
        self._timer = ctypes.c_void_p()
        self._libc = _library()
        self.counts_suspend = self._libc is not None and self._made()

    def _made(self) -> bool:
        event = _Event(signo=signal.SIGKILL, notify=_SIGEV_SIGNAL)
        clock = ctypes.c_int(time.CLOCK_BOOTTIME)
        made: int = self._libc.timer_create(clock, ctypes.byref(event), ctypes.byref(self._timer))
        return made == 0

    def set(self, at: float, now: Callable[[], float]) -> None:
        """Die `BUDGET` seconds after `at`, or after this moment where `at` is past, unless lifted before.

        `at` is in seconds of the clock `now`.
        """
        # In this order: a stop between the two looks makes the deadline earlier, never later.
        started = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._set(started + max(0.0, at - now()) + BUDGET)

    def lift(self) -> None:
        """The last byte is handed over, or none will be: live on."""
        self._set(0.0)

    def _set(self, deadline: float) -> None:
        """`deadline` in seconds of CLOCK_BOOTTIME (one that is past kills at once); 0 = none."""
        if not self.counts_suspend:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # it may have been ignored by whoever started us
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
            left = deadline - time.clock_gettime(time.CLOCK_BOOTTIME)
            signal.setitimer(signal.ITIMER_REAL, max(left, 1e-3) if deadline else 0.0)
            return
        whole = int(deadline)
        spec = _Spec(_Time(0, 0), _Time(whole, int((deadline - whole) * 1e9)))
        if self._libc.timer_settime(self._timer, _ABSOLUTE, ctypes.byref(spec), None):
            # It cannot fail with these arguments; going on without a fence is what must not happen.
            raise OSError(ctypes.get_errno(), "the fence could not be set")


def _library() -> Any:
    """The C library that has `timer_create` (older glibc keeps it in librt), or None."""
    for name in (None, "librt.so.1"):
        try:
            found = ctypes.CDLL(name, use_errno=True)
            found.timer_create.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
            found.timer_settime.argtypes = (
                ctypes.c_void_p,
                ctypes.c_int,
                ctypes.c_void_p,
                ctypes.c_void_p,
            )
        except (OSError, AttributeError):
            continue
        return found
    return None
