"""A delivery and log events without any file, for the tests of the store."""

from __future__ import annotations

from scheduler.evidence.entry import Actor, Event
from scheduler.services.clock import Clock
from scheduler.services.plan import plan
from scheduler.services.queue import queue
from scheduler.store import log, outbox
from scheduler.store.database import Database
from tests.services.house import NOON, actor, rendered

ANN = Actor("ann", "dorset", "author", "person", "as")


def event(type: str = "content.queued", **fields: str) -> Event:
    return Event(type, ANN, **fields)  # type: ignore[arg-type]


def write(db: Database, *types: str, said: str = "") -> None:
    with db.write() as conn:
        log.append(conn, NOON, [event(t, reason_text=said) for t in types])


def one_delivery(db: Database, clock: Clock) -> outbox.Delivery:
    queue(db, clock, actor("ann"), plan(db, "spring", [rendered()], clock.now()), {})
    with db.read() as conn:
        (one,) = outbox.find(conn)
    return one
