"""The line to one worker: calls go out, answers come back in time, or it says why they are missing."""

from __future__ import annotations

import itertools
import select
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.domain.publisher import Capability
from scheduler.errors import PublishError
from scheduler.services.calls import Call, Nonsense, Read
from scheduler.workers.nursery import Nursery, Setup
from scheduler.workers.wire import answer_in, call_out, frame, take_frame

IN_HAND = 32  # calls that a worker has at once: what it loses when it is ended
TOGETHER = 100  # replies in one message; a worker has two messages at once, and never waits for the next


@dataclass(frozen=True, slots=True)
class Traits:
    """What a publisher says of itself."""

    server: str
    capability: Capability
    can: frozenset[str] = frozenset()


class Worker:
    """One platform's process. `ask` may be called by one thread at a time."""

    def __init__(self, nursery: Nursery, setup: Setup) -> None:
        self._sock, self._life = nursery.start(setup)
        self._sock.setblocking(False)
        self._in = bytearray()
        self._numbers = itertools.count(1)
        self.traits: Traits | None = None

    def hello(self, end: float) -> Traits:
        """Wait until it says what its publisher is; `end` on the monotonic clock. Raises Nonsense."""
        while self.traits is None:
            for said in self._exchange(b"", end)[1]:
                if isinstance(said, dict) and isinstance(said.get("trouble"), str):
                    raise Nonsense(f"does not start: {said['trouble']}")
                try:
                    server, can = str(said["server"]), frozenset(map(str, said["can"]))
                    self.traits = Traits(server, Capability(said["capability"]), can)
                except (TypeError, KeyError, ValueError):
                    raise Nonsense("does not say what it is") from None
        return self.traits

    def ask(
        self, calls: Sequence[tuple[Call[Any], str]], deadline: float, end: float, answers: dict[int, Any]
    ) -> None:
        """Put the answers to these calls (each with its secret) into `answers`, by their place, as they come.

        `deadline` (the launch's clock) is told to the worker; `end` is when its time is over (monotonic).
        Raises Nonsense, which says why answers are missing: the worker is of no more use then.
        """
        todo = deque(range(len(calls)))
        asked: dict[int, int] = {}
        out = b""
        while len(answers) < len(calls):
            if not out:
                out = self._next(calls, todo, asked, answers, deadline)
            if not asked:
                continue  # none of these could be asked: each has its answer
            out, said = self._exchange(out, end)
            for one in said:
                if not isinstance(one, list):
                    raise Nonsense("said something that is no answer")
                for pair in one:
                    self._take(calls, asked, answers, pair)

    def _next(
        self,
        calls: Sequence[tuple[Call[Any], str]],
        todo: deque[int],
        asked: dict[int, int],
        answers: dict[int, Any],
        deadline: float,
    ) -> bytes:
        """The next message, b"" while the worker has enough in hand or nothing is left."""
        said: list[dict[str, Any]] = []
        while todo:
            call, secret = calls[todo[0]]
            reading = isinstance(call, Read)
            if len(asked) >= (2 * TOGETHER if reading else IN_HAND) or len(said) >= TOGETHER:
                break
            place = todo.popleft()
            try:
                one = call_out(call)
            except PublishError as error:
                answers[place] = error
                continue
            number = next(self._numbers)
            asked[number] = place
            said.append({**one, "id": number, "secret": secret, "deadline": deadline})
        return frame(said) if said else b""

    @staticmethod
    def _take(
        calls: Sequence[tuple[Call[Any], str]], asked: dict[int, int], answers: dict[int, Any], pair: Any
    ) -> None:
        if not isinstance(pair, list) or len(pair) != 2 or type(pair[0]) is not int or pair[0] not in asked:
            raise Nonsense("answered what it was not asked")
        place = asked.pop(pair[0])
        answers[place] = answer_in(calls[place][0], pair[1])

    def _exchange(self, out: bytes, end: float) -> tuple[bytes, list[Any]]:
        """Hand over what fits and take what has come; returns what is left, and whole messages.

        Waits until either is possible, never longer than `end`. Raises Nonsense where it has ended.
        """
        poll = select.poll()
        poll.register(self._sock, select.POLLIN | (select.POLLOUT if out else 0))
        left = end - time.monotonic()
        if left <= 0:
            raise Nonsense("did not answer in time")
        try:
            for _, event in poll.poll(left * 1000):
                if event & select.POLLOUT:
                    out = out[self._sock.send(out) :]
                if event & ~select.POLLOUT:
                    piece = self._sock.recv(1 << 20)
                    if not piece:
                        raise Nonsense("ended")
                    self._in += piece
        except BlockingIOError:
            pass
        except OSError:
            raise Nonsense("ended") from None
        said = []
        while (one := take_frame(self._in)) is not None:
            said.append(one)
        return out, said

    def end(self) -> None:
        """End it and whatever it has started; does not wait for that."""
        self._sock.close()
        self._life.close()
