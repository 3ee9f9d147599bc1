"""Collecting the replies of a volley: each is read by its publisher and recorded, in groups, as it comes."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from sqlalchemy.exc import DBAPIError, IntegrityError

from scheduler.domain.publisher import Receipt, Reply
from scheduler.errors import OutcomeUnknown, PublishError, RefusedTransition, TryLater
from scheduler.services.arm import Armed, Reach
from scheduler.services.clock import Clock
from scheduler.services.gate import Passed
from scheduler.services.settle import Outcome, never_answered, settle
from scheduler.store.database import Database
from scheduler.transport.volley import Fired, Volley

GROUP = 50  # outcomes per commit: an fsync costs 6 ms (measured), a group shares one


def collect(
    db: Database,
    clock: Clock,
    reach: Reach,
    volley: Volley,
    by_id: Mapping[str, Armed],
    passed: Passed,
    fired: Fired,
    within: timedelta,
) -> None:
    """Record outcomes in groups as replies come: a slow platform does not keep others unrecorded."""
    inbox: queue.Queue[tuple[str, Reply | PublishError] | None] = queue.Queue()

    def read() -> None:
        try:
            for one in volley.replies(within.total_seconds()):
                inbox.put(one)
        finally:
            # Whatever happened to the reading: what has no outcome by now is unknown, and is looked for.
            inbox.put(None)

    reader = threading.Thread(target=read, name="replies", daemon=True)
    reader.start()
    waiting = [Outcome(i, passed.attempts[i], why) for i, why in fired.not_sent.items()]
    open_still = set(passed.attempts) - set(fired.not_sent)
    done = False
    while not done:
        try:
            item = inbox.get(timeout=0.1)
            if item is None:
                done = True
            else:
                delivery_id, reply = item
                open_still.discard(delivery_id)
                armed = by_id[delivery_id]
                late = fired.started[delivery_id] - armed.delivery.due.timestamp()
                result = _classify(reach, armed, reply)
                waiting.append(
                    Outcome(delivery_id, passed.attempts[delivery_id], result, max(1, int(late * 1e6)))
                )
        except queue.Empty:
            pass
        if done or len(waiting) >= GROUP or (waiting and inbox.empty()):
            _record(db, clock, waiting)
            waiting = []
    _record(db, clock, [Outcome(i, passed.attempts[i], never_answered()) for i in open_still])


def _record(db: Database, clock: Clock, outcomes: Sequence[Outcome]) -> None:
    """Settle, again and again while the database is busy: a receipt in hand is not thrown away.

    One that does not fit what is stored costs only itself: it stays open and is looked for.
    """
    try:
        patiently(lambda: settle(db, clock, outcomes))
    except (RefusedTransition, IntegrityError) as odd:
        if len(outcomes) == 1:
            sys.stderr.write(f"an outcome was not recorded ({odd}); the post is looked for\n")
            return
        for one in outcomes:
            _record(db, clock, [one])


def patiently(work: Callable[[], None], seconds: float = 60.0) -> None:
    """Do it again while the database is busy. Raises what it raised after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        try:
            return work()
        except IntegrityError:
            raise
        except (TryLater, DBAPIError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def _classify(reach: Reach, armed: Armed, reply: Reply | PublishError) -> Receipt | PublishError:
    """What the publisher says of the reply; anything it does not say is unknown."""
    if isinstance(reply, PublishError):
        return reply
    try:
        return reach.publisher(armed.delivery.platform).receipt(armed.prepared, reply)
    except PublishError as error:
        return error
    except Exception as error:
        return OutcomeUnknown("publisher", f"its publisher broke on the reply: {type(error).__name__}")
