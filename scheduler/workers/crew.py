"""The sender's workers, one for each platform: started when they are asked, ended when they misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from scheduler.domain.account import Account
from scheduler.domain.publisher import Capability
from scheduler.errors import NotReady, PublishError
from scheduler.services.calls import Call, Nonsense
from scheduler.services.reach import Reach, scrubbed
from scheduler.transport.http import Transport
from scheduler.workers.line import Traits, Worker
from scheduler.workers.nursery import Nursery, Setup

T = TypeVar("T")

STARTS = 4  # how often a platform's worker is started in the life of a sender
HELLO = 10.0  # seconds a worker has for its imports
GRACE = 0.5  # seconds beyond a call's deadline, for a publisher that keeps it to come back by itself


@dataclass(slots=True)
class _Platform:
    """What is known of one platform: its worker while it has one, and how often one was started."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    worker: Worker | None = None
    traits: Traits | None = None
    starts: int = 0
    trouble: str = "was never asked"


class Crew(Reach):
    """Publishers in processes of their own: one that misbehaves costs its own platform's calls.

    `installed` are the platforms that have a publisher here; `offset` is the launch's clock against the wall.
    """

    def __init__(
        self,
        nursery: Nursery,
        installed: Collection[str],
        transport: Transport,
        place: Callable[[Account], Account],
        secret: Callable[[Account], str],
        *,
        proxy: str = "",
        ca: str = "",
        offset: float = 0.0,
    ) -> None:
        super().__init__({}, transport, place, secret)
        self._nursery = nursery
        self._setup = (proxy, ca, offset)
        self._platforms = {name: _Platform() for name in installed}

    def begin(self, platforms: Collection[str]) -> None:
        """Start the workers of these platforms already, so that they are there when they are asked."""
        for name in platforms:
            if known := self._platforms.get(name):
                # One that cannot be started says so when it is asked.
                with known.lock, suppress(Nonsense):
                    self._start(name, known)

    def capability(self, platform: str) -> Capability:
        """The platform's class; without a publisher only a person can look.

        A worker that does not say is no reason to ask a person at once: it is a look that could not answer.
        """
        known = self._platforms.get(platform)
        if known is None:
            return Capability.WRITE_ONLY
        traits = self._traits(platform, known)
        return traits.capability if traits else Capability.LISTING

    def base_url(self, account: Account) -> str:
        """Where the account's platform is: what its token is pinned to. Raises NotReady."""
        if account.server:
            return account.server
        known = self._platforms.get(account.platform)
        traits = self._traits(account.platform, known) if known else None
        if traits is None:
            raise NotReady("no_publisher", f"no publisher for {account.platform} runs here")
        return traits.server

    def close(self) -> None:
        """End every worker."""
        for known in self._platforms.values():
            self._end(known)
        super().close()

    def _of(self, platform: str, calls: Sequence[Call[T]], deadline: float) -> list[T | PublishError]:
        known = self._platforms.get(platform)
        if known is None:
            missing = NotReady("no_publisher", f"no installed package publishes to {platform}")
            return [missing for _ in calls]
        answers: dict[int, Any] = {}
        going: dict[int, tuple[Call[Any], str]] = {}
        for place, call in enumerate(calls):
            try:
                going[place] = (call, self.secret(call))
            except PublishError as error:
                answers[place] = error
        given: dict[int, Any] = {}
        with known.lock:
            trouble = self._ask(platform, known, list(going.values()), deadline, given)
        for i, (place, (call, secret)) in enumerate(going.items()):
            said = given.get(i, _MISSING)
            answers[place] = call.broke(trouble) if said is _MISSING else _checked(call, secret, said, known)
        return [answers[place] for place in range(len(calls))]

    def _ask(
        self,
        platform: str,
        known: _Platform,
        calls: Sequence[tuple[Call[Any], str]],
        deadline: float,
        answers: dict[int, Any],
    ) -> str:
        """Fill `answers`; returns why some are missing, if any are."""
        end = time.monotonic() + deadline - self.transport.now() + GRACE
        try:
            worker = self._start(platform, known)
            known.traits = worker.hello(min(end, time.monotonic() + HELLO))
            worker.ask(calls, deadline, end, answers)
        except Nonsense as what:
            self._end(known)
            known.trouble = str(what)
        return known.trouble

    def _start(self, platform: str, known: _Platform) -> Worker:
        """The platform's worker, a new one where it has none. Raises Nonsense after too many."""
        if known.worker is None:
            if known.starts >= STARTS:
                raise Nonsense(known.trouble)
            known.starts += 1
            proxy, ca, offset = self._setup
            try:
                known.worker = Worker(self._nursery, Setup(platform, proxy, ca, offset))
            except OSError as error:
                raise Nonsense(f"cannot be started: {type(error).__name__}") from None
        return known.worker

    def _traits(self, platform: str, known: _Platform) -> Traits | None:
        with known.lock:
            if known.traits is None:
                self._ask(platform, known, (), self.transport.now() + HELLO, {})
            return known.traits

    @staticmethod
    def _end(known: _Platform) -> None:
        if known.worker is not None:
            known.worker.end()
            known.worker = None


_MISSING = object()


def _checked(call: Call[Any], secret: str, answer: Any, known: _Platform) -> Any:
    """A worker checks what its publisher says, but the worker itself may be the publisher's by now."""
    try:
        if isinstance(answer, PublishError):
            return scrubbed(call.error(answer), secret)
        assert known.traits
        return scrubbed(call.checked(answer, known.traits.capability), secret)
    except Nonsense as what:
        return call.broke(str(what))
