"""Positive controls: designs that are known to be wrong. The same day must find that they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scheduler.domain.delivery import State
from scheduler.errors import NotSent, OutcomeUnknown
from scheduler.store import desk, outbox
from scheduler.transport.http import Transport

from .publishers import PUBLISHERS

if TYPE_CHECKING:
    from .day import Day

LEASE = 60.0  # seconds after which at-least-once cron believes that a worker is dead


@dataclass
class Naive:
    """A cron job: each ten seconds it sends what is due. `marks` is its durable memory."""

    day: Day
    retry_on_error: bool = False
    mark_first: bool = False
    lease: bool = False
    marks: dict[str, float] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def run(self) -> int:
        """As a process that is restarted when it dies; what it has marked survives it."""
        world, machine = self.day.world, self.day.machine("a")
        transport = Transport(now=machine.clock.seconds)
        while True:
            for one in self._due():
                self._send(one, transport)
            world.sleep(10.0)

    def _due(self) -> list[Any]:
        """Approved, not held, due: asked once, as cron jobs do."""
        now = self.day.world.wall()
        with self.day.db.read() as conn:
            every = outbox.find(conn, states=[State.SCHEDULED])
            said = desk.decisions(conn, [d.id for d in every])
            standing = desk.holds(conn)
        return [
            d
            for d in every
            if d.due.timestamp() <= now <= d.not_after.timestamp()
            and not any(h.covers(d) for h in standing)
            and set(d.needs) <= {s.role for s in said.get(d.id, ()) if s.verdict == "granted"}
            and d.id not in self.done
            and (not self.lease or self.marks.get(d.id, -LEASE) + LEASE <= now)
        ]

    def _send(self, one: Any, transport: Transport) -> None:
        world = self.day.world
        if self.mark_first:
            self.done.add(one.id)  # "sent", and then it sends
            world.step("marked as sent")
        self.marks[one.id] = world.wall()
        publisher = PUBLISHERS[one.platform]
        body = {"text": one.content.text, "key": one.key, "parent": ""}
        request = publisher._post("posts", body)
        deadline = world.now + 20
        for _ in range(3 if self.retry_on_error else 1):
            try:
                http = transport.http(publisher.server, f"sim:{one.account}", deadline=deadline)
                reply = http.send(request)
            except (NotSent, OutcomeUnknown):
                deadline = world.now + 20
                continue
            if reply.status == 200 and isinstance(reply.json(), dict):
                world.step("sent, and not recorded yet")
                self.done.add(one.id)
                break
            if not self.retry_on_error:
                break


def _design(**how: bool) -> Callable[[Day], Naive]:
    return lambda day: Naive(day, **how)


DESIGNS: dict[str, Callable[[Any], Naive]] = {
    "retry on error": _design(retry_on_error=True, mark_first=True),
    "mark, then send": _design(mark_first=True),
    "at-least-once cron with a lease": _design(lease=True),
    "send, then record": _design(),
}
