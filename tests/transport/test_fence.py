"""The fence: who is stopped or slept too long is dead before its next instruction; who lifted it lives."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable

import pytest

from scheduler.transport import fence
from scheduler.transport.connect import Timeouts
from scheduler.transport.fence import Fence


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "BUDGET", 0.2)


def child(story: Callable[[Fence], None]) -> int:
    """How a process of its own ends that lives through the story: 7 where it comes to its end."""
    pid = os.fork()
    if pid == 0:
        try:
            story(Fence())
            os._exit(7)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait(seconds: float) -> None:
    select.select([], [], [], seconds)


def stopped(one: Fence) -> None:
    one.set(time.time(), time.time)
    os.kill(os.getpid(), signal.SIGSTOP)  # nobody sends SIGCONT: the fence ends it where it stands


def deaf(one: Fence) -> None:
    """Every signal that can be blocked is."""
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    one.set(time.time(), time.time)
    wait(5)


def past(one: Fence) -> None:
    """Stopped between the two looks at the clocks: the deadline has come when the timer is set."""
    one._set(time.clock_gettime(time.CLOCK_BOOTTIME) - 1)
    wait(5)


def late_already(one: Fence) -> None:
    """A gate that began after T0 has the same time from that moment, not a time that is over."""
    one.set(time.time() - 60, time.time)
    one.lift()


def set_back(one: Fence) -> None:
    """The wall clock is set back by an hour once the fence stands: that gives nobody an hour more."""
    one.set(time.time(), time.time)
    time.time = lambda: time.clock_gettime(time.CLOCK_REALTIME) - 3600  # type: ignore[assignment]
    wait(5)


@pytest.mark.parametrize("story", [stopped, deaf, past, set_back])
def test_who_has_no_time_left_is_dead(short: None, story: Callable[[Fence], None]) -> None:
    assert child(story) == -signal.SIGKILL


def test_who_lifts_it_in_time_lives(short: None) -> None:
    def lifted(one: Fence) -> None:
        one.set(time.time(), time.time)
        one.lift()
        wait(0.5)

    assert (child(lifted), child(late_already)) == (7, 7)


def test_a_fence_for_later_lets_live_until_then(short: None) -> None:
    def waits(one: Fence) -> None:
        one.set(time.time() + 60, time.time)
        wait(0.5)

    assert child(waits) == 7


def test_without_timer_create_an_interval_timer_stands_in_and_says_so(
    short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fence, "_library", lambda: None)
    assert not Fence().counts_suspend

    def ignored(one: Fence) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # as whoever started it may have left it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        one.set(time.time(), time.time)
        wait(5)

    def lifted(one: Fence) -> None:
        one.set(time.time(), time.time)
        one.lift()
        wait(0.5)

    assert (child(ignored), child(lifted)) == (-signal.SIGALRM, 7)


def test_this_system_has_the_real_one() -> None:
    assert Fence().counts_suspend


def test_the_rest_of_large_requests_fits_into_its_budget() -> None:
    """A gate of a second and a burst of another, then what did not fit the socket buffers."""
    assert Timeouts().finish + 2.0 <= fence.BUDGET
