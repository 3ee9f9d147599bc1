"""Collecting the replies of a volley: each is read by its publisher and recorded, in groups, as it comes."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

from sqlalchemy.exc import DBAPIError, IntegrityError

from scheduler.domain.content import Content
from scheduler.domain.publisher import Receipt, Reply
from scheduler.errors import PublishError, RefusedTransition, TryLater
from scheduler.services.arm import Armed
from scheduler.services.calls import Read
from scheduler.services.clock import Clock
from scheduler.services.gate import Passed
from scheduler.services.reach import Reach
from scheduler.services.settle import Outcome, keep, never_answered, settle
from scheduler.services.spill import Spill
from scheduler.store.database import Database
from scheduler.store.disk import is_full
from scheduler.transport.volley import Fired, Volley

GROUP = 50  # outcomes per commit: an fsync costs 6 ms (measured), a group shares one
LARGEST = 1000  # and at most so many, where more than a group has come already
GATHER = 0.02  # seconds that the first outcome of a group waits for others
READ_AT_ONCE = 500  # replies of one platform that are put to its publisher together
READ_WITHIN = 5.0  # seconds its publisher has for them: reading is pure


def collect(
    db: Database,
    clock: Clock,
    reach: Reach,
    volley: Volley,
    by_id: Mapping[str, Armed],
    passed: Passed,
    fired: Fired,
    within: timedelta,
    spill: Spill | None = None,
) -> None:
    """Record outcomes in groups as replies come: a slow platform does not keep others unrecorded."""
    contents = {a.delivery.content_sha256: a.delivery.content for a in by_id.values()}
    _record(
        db, clock, [Outcome(i, passed.attempts[i], why) for i, why in fired.not_sent.items()], contents, spill
    )
    open_still = set(passed.attempts) - set(fired.not_sent)
    inbox = _read(clock, reach, volley, by_id, within)
    more = True
    while more:
        group, more = _together(inbox)
        outcomes = []
        for delivery_id, result in group:
            open_still.discard(delivery_id)
            late = fired.started[delivery_id] - by_id[delivery_id].delivery.due.timestamp()
            outcomes.append(
                Outcome(delivery_id, passed.attempts[delivery_id], result, max(1, int(late * 1e6)))
            )
        _record(db, clock, outcomes, contents, spill)
    _record(
        db, clock, [Outcome(i, passed.attempts[i], never_answered()) for i in open_still], contents, spill
    )


Result = tuple[str, Receipt | PublishError]


def _together(inbox: queue.Queue[Result | None]) -> tuple[list[Result], bool]:
    """What is recorded together, and whether more may come: what is there, or comes in a moment."""
    group: list[Result] = []
    end = float("inf")
    while len(group) < LARGEST:
        left = end - time.monotonic() if len(group) < GROUP else 0.0
        try:
            one = inbox.get(timeout=max(0.0, left) if group else None)
        except queue.Empty:
            break
        if one is None:
            return group, False
        if not group:
            end = time.monotonic() + GATHER
        group.append(one)
    return group, True


def _read(
    clock: Clock, reach: Reach, volley: Volley, by_id: Mapping[str, Armed], within: timedelta
) -> queue.Queue[Result | None]:
    """Results as they come, and None once there are no more.

    Each platform's replies are put to its publisher by a thread of their own: one that hangs holds up its
    own platform's only.
    """
    inbox: queue.Queue[Result | None] = queue.Queue()
    desks: dict[str, queue.Queue[tuple[str, Reply] | None]] = {
        platform: queue.Queue() for platform in {a.delivery.platform for a in by_id.values()}
    }

    def replies() -> None:
        try:
            for delivery_id, reply in volley.replies(within.total_seconds()):
                if isinstance(reply, PublishError):
                    inbox.put((delivery_id, reply))
                else:
                    desks[by_id[delivery_id].delivery.platform].put((delivery_id, reply))
        finally:
            for desk in desks.values():
                desk.put(None)

    def classify(desk: queue.Queue[tuple[str, Reply] | None]) -> None:
        more = True
        while more:
            group = [desk.get()]
            with suppress(queue.Empty):
                while len(group) < READ_AT_ONCE:
                    group.append(desk.get_nowait())
            more = None not in group
            those = [one for one in group if one is not None]
            calls = [
                Read(a.prepared.account, a.prepared, reply, a.stored)
                for a, reply in ((by_id[i], reply) for i, reply in those)
            ]
            results = reach.ask(calls, clock.seconds() + READ_WITHIN)
            for (delivery_id, _), result in zip(those, results, strict=True):
                inbox.put((delivery_id, result))

    def all_of_it() -> None:
        try:
            threads = [threading.Thread(target=classify, args=[d], daemon=True) for d in desks.values()]
            for one in (*threads, reader := threading.Thread(target=replies, name="replies", daemon=True)):
                one.start()
            for one in (*threads, reader):
                one.join()
        finally:
            # Whatever happened to the reading: what has no outcome by now is unknown, and is looked for.
            inbox.put(None)

    threading.Thread(target=all_of_it, name="collect", daemon=True).start()
    return inbox


def _record(
    db: Database,
    clock: Clock,
    outcomes: Sequence[Outcome],
    contents: Mapping[str, Content],
    spill: Spill | None,
) -> None:
    """Settle, again and again while the database is busy: a receipt in hand is not thrown away.

    One that does not fit what is stored costs only itself: it is kept as evidence, and looked for. What a
    full disk or a database that does not answer any more cannot take is spilled, for the next start.
    """
    try:
        patiently(lambda: settle(db, clock, outcomes, contents))
    except (RefusedTransition, IntegrityError, ArithmeticError, ValueError, TypeError) as odd:
        if len(outcomes) == 1:
            sys.stderr.write(f"an outcome fits nothing that is stored ({odd}); it is kept and looked for\n")
            patiently(lambda: keep(db, clock, outcomes[0]))
            return
        half = len(outcomes) // 2
        for some in (outcomes[:half], outcomes[half:]):
            _record(db, clock, some, contents, spill)
    except (TryLater, DBAPIError) as error:
        if spill is None:
            raise
        spill.keep(outcomes)
        why = "the disk is full" if is_full(error) else "the database takes nothing"
        sys.stderr.write(
            f"{why}: {len(outcomes)} outcomes are kept in {spill.path.name} for the next start\n"
        )


def patiently(work: Callable[[], None], seconds: float = 60.0) -> None:
    """Do it again while the database is busy. Raises what it raised after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        try:
            return work()
        except IntegrityError:
            raise
        except (TryLater, DBAPIError) as error:
            if time.monotonic() > end or is_full(error):
                raise
            time.sleep(0.2)
