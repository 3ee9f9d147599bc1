"""The process that sends one wave, or looks for what is in doubt: `python -m scheduler.sender`.

Tokens live only here. It holds its own lock while it lives, so that others can prove it dead.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from scheduler.app import App, open_app
from scheduler.domain.content import parse_instant
from scheduler.domain.delivery import Delivery, State
from scheduler.domain.gates import gates
from scheduler.domain.retry import next_try
from scheduler.errors import LaunchdayError, NotSent, PublishError, Rejected, RetryLater, TryLater
from scheduler.evidence.entry import ulid
from scheduler.services import reconcile
from scheduler.services.arm import Armed, arm, stored
from scheduler.services.collect import collect, patiently
from scheduler.services.events import whole_second
from scheduler.services.gate import Passed, Ready, facts, gate, not_ready, stand_down
from scheduler.services.ground import Ground
from scheduler.services.reach import Reach
from scheduler.services.settle import hold_refused_accounts
from scheduler.store import desk, lock, outbox
from scheduler.store.lease import Lease
from scheduler.transport.volley import Fired, Volley

LATE_ARMING = timedelta(seconds=10)  # what a wave that is late already may still spend on arming
LATE_CONNECTING = timedelta(seconds=5)  # and on connecting (it goes on as soon as all are connected)
LOOKS = 5  # how often a wave goes back to its gate when somebody stops something at the last moment
RECONCILE_FOR = 60.0  # seconds; the daemon starts another one while anything is in doubt


def main(argv: Sequence[str] | None = None) -> int:
    """Run one job and leave; errors go to stderr as one line."""
    parser = argparse.ArgumentParser(prog="python -m scheduler.sender")
    parser.add_argument("job", choices=["wave", "reconcile"])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--mode", required=True)
    parser.add_argument("--at", type=parse_instant, action="append")
    parser.add_argument(
        "--overdue", action="store_true", help="what was due at these instants, as soon as it is ready"
    )
    parser.add_argument("--org", default="")
    parser.add_argument("--lease", type=Lease.parse, help="SCOPE:EPOCH under which its daemon started it")
    parser.add_argument("--accounts", type=Path, help="the folder of the accounts.yaml to believe")
    parser.add_argument(
        "--crash-after", type=int, default=0, help="simulations: kill this process and its parent"
    )
    asked = parser.parse_args(argv)
    try:
        app = open_app(asked.root, asked.mode, accounts=asked.accounts)
        number = ulid(app.clock.wall())
        with lock.Lock(app.folder / "senders" / f"{number}.lock", "this sender runs"):
            if asked.job == "reconcile":
                return look_for_all(app, asked.org, Ground(asked.lease))
            crash = crasher(asked.crash_after) if asked.crash_after and app.mode != "live" else None
            due = Due(tuple(asked.at), asked.overdue, asked.org, Ground(asked.lease))
            return send(app, number, due, after_each=crash)
    except LaunchdayError as error:
        sys.stderr.write(f"{error.message} ({error.help})\n" if error.help else f"{error.message}\n")
        return error.exit_code
    except Exception as error:
        if os.environ.get("LAUNCHDAY_DEBUG") == "1":
            raise
        # What this process had in hand is looked for by the next one, as after a crash.
        sys.stderr.write(f"the sender broke: {type(error).__name__}: {str(error).splitlines()[:1]}\n")
        return 1


@dataclass(frozen=True, slots=True)
class Due:
    """Which deliveries are meant: those of these instants; `overdue`: as soon as they are ready.

    `ground` is what their gate asks first.
    """

    instants: tuple[datetime, ...]
    overdue: bool = False
    organisation: str = ""
    ground: Ground = field(default_factory=Ground)


def send(app: App, number: str, due: Due, *, after_each: Callable[[int], None] | None = None) -> int:
    """Arm, gate, fire and settle one wave; returns 0 where everything that was armed was sent or recorded."""
    if due.overdue:
        # A waker may call early: what is not due yet is another sender's, in its own time.
        past = tuple(i for i in due.instants if i <= app.clock.now())
        due = replace(due, instants=past)
    if not due.instants:
        return 0
    reach = app.reach()
    try:
        ready, unapproved = _arm_until(app, reach, due)
        if not ready and not unapproved:
            return 0
        at = app.clock.now() if due.overdue else max(due.instants)
        volley = Volley(reach.transport, [a.shot for a in ready])
        try:
            return _launch(app, reach, volley, Wave(number, at, ready, unapproved, due.ground), after_each)
        finally:
            volley.close()
    finally:
        reach.close()


@dataclass(frozen=True, slots=True)
class Wave:
    """What goes together at `at`.

    `unapproved` were not armed: nothing of them is uploaded; the gate decides.
    """

    number: str
    at: datetime
    ready: Sequence[Armed]
    unapproved: Sequence[Delivery]
    ground: Ground


def _arm_until(app: App, reach: Reach, due: Due) -> tuple[list[Armed], list[Delivery]]:
    """Arm what is due and approved, until the connections have to be opened.

    What is not ready is tried again with growing pauses (or when the platform said), never what was refused:
    a slow or refusing platform costs its own deliveries, not the wave's punctuality.
    """
    at = max(due.instants)
    stop = at - app.timing.connect_lead - timedelta(seconds=1)
    soon = app.clock.now() + timedelta(seconds=2)
    end = stop if stop > soon and not due.overdue else app.clock.now() + LATE_ARMING
    armed: dict[str, Armed] = {}
    refused: dict[str, tuple[Delivery, PublishError]] = {}
    tries: dict[str, tuple[int, datetime]] = {}
    while True:
        now = app.clock.now()
        left, unapproved = _to_arm(app, due, armed)
        todo = [d for d in left if tries.get(d.id, (0, now))[1] <= now]
        ready, failed = arm(app.db, reach, todo, end.timestamp())
        armed |= {a.delivery.id: a for a in ready}
        for one, error in failed:
            n = tries.get(one.id, (0, now))[0] + 1
            tries[one.id] = (n, _armed_again(app, error, n))
            refused[one.id] = (one, error)
        if due.overdue or app.clock.now() + timedelta(seconds=1) >= stop:
            _not_ready(app, at, [r for i, r in refused.items() if i not in armed])
            return list(armed.values()), unapproved
        time.sleep(1.0)


def _armed_again(app: App, error: PublishError, n: int) -> datetime:
    now = app.clock.now()
    if isinstance(error, Rejected):
        return now + timedelta(days=1)
    asked = error.at + app.clock.offset if isinstance(error, RetryLater) and error.at else None
    return next_try(now, asked, n, 0.0)


def _to_arm(app: App, due: Due, done: Collection[str]) -> tuple[list[Delivery], list[Delivery]]:
    """What of the wave is not armed yet and may be: approved, not held, the part before it out."""
    with app.db.read() as conn:
        wave = outbox.find(
            conn,
            states=[State.SCHEDULED],
            organisation=due.organisation,
            fire_at=due.instants,
        )
        left = [d for d in wave if d.id not in done]
        known = facts(conn, app.clock, left, app.approvers)
    shut = {d.id: {g.code for g in gates(d, known)} for d in left}
    todo = [
        d
        for d in left
        if not shut[d.id] & {"unapproved", "hold", "after", "in_doubt", "attempts", "too_late"}
    ]
    return todo, [d for d in left if "unapproved" in shut[d.id]]


def _not_ready(app: App, at: datetime, refused: Sequence[tuple[Delivery, PublishError]]) -> None:
    """They stay scheduled, with the reason for people, and are armed again while their window is open."""
    if not refused:
        return
    now = app.clock.now()
    with app.db.write() as conn:
        fresh = {d.id: d for d in outbox.find(conn, ids=[d.id for d, _ in refused], states=[State.SCHEDULED])}
        for one, error in refused:
            if one.id in fresh:
                reason = f"not ready: {error.code}" + (f": {error.detail}" if error.detail else "")
                again = max(now, at) + app.timing.soon
                if isinstance(error, RetryLater) and error.at:
                    again = max(again, error.at + app.clock.offset)
                not_ready(conn, now, fresh[one.id], error, whole_second(again), reason)
        hold_refused_accounts(conn, now, [(fresh[d.id], e) for d, e in refused if d.id in fresh])


def _launch(
    app: App, reach: Reach, volley: Volley, wave: Wave, after_each: Callable[[int], None] | None
) -> int:
    at, lead = wave.at, app.timing.gate_lead(len(wave.ready))
    _sleep_until(app, at - app.timing.connect_lead)
    now = app.clock.now()
    # A wave that is late already gives its connections their time; one that is on time none beyond its gate.
    late = now + app.timing.connect_lead / 2 > at - lead
    volley.connect((now + LATE_CONNECTING if late else at - lead).timestamp())
    by_id = {a.delivery.id: a for a in wave.ready}
    armed = {i: Ready(a.delivery.content_sha256, stored(a.prepared)) for i, a in by_id.items()}
    armed |= {d.id: Ready(d.content_sha256) for d in wave.unapproved}
    for _ in range(LOOKS):
        _sleep_until(app, at - lead)
        passed = gate(
            app.db,
            app.clock,
            armed,
            app.approvers,
            sender=lock.sender_name(wave.number),
            at=at,
            reply_within=app.timing.reply_within,
            ground=wave.ground,
        )
        for stop in passed.stops:
            sys.stderr.write(f"nothing was sent: {stop.sentence}\n")
        if not passed.attempts:
            return TryLater.exit_code if passed.stops else 0
        fired = _fire(app, volley, passed, at, after_each)
        if not fired.held:
            collect(app.db, app.clock, reach, volley, by_id, passed, fired, app.timing.reply_within)
            return 0
        why = NotSent("stopped", "somebody held or changed something at the last moment; nothing was sent")
        # Until this is recorded the intents stand, though nothing was sent: it is worth some patience.
        patiently(partial(stand_down, app.db, app.clock, passed.attempts, why))
        # A stop that was for others must cost this wave no more than a moment: ask the gate again.
        at = max(at, app.clock.now() + lead)
    return 0


def _fire(
    app: App, volley: Volley, passed: Passed, at: datetime, after_each: Callable[[int], None] | None
) -> Fired:
    with app.db.engine.connect() as looking:

        def nothing_stopped() -> bool:
            """The last look: has anybody held, cancelled or rejected anything since the gate?"""
            try:
                with looking.begin():
                    return desk.stop_epoch(looking) == passed.epoch
            except Exception:
                return False  # a look that fails is a stop

        # The connection is made and warm before T0; the look itself is one small read. A database that is
        # busy at that moment means stop, not wait: whoever is writing may be writing a hold.
        patience = "PRAGMA busy_timeout=100" if app.db.is_sqlite else "SET statement_timeout = 100"
        looking.exec_driver_sql(patience)
        looking.commit()
        nothing_stopped()
        try:
            return volley.fire(
                list(passed.attempts),
                at.timestamp(),
                now=app.clock.seconds,
                last_look=nothing_stopped,
                after_each=after_each,
            )
        finally:
            looking.invalidate()


def look_for_all(app: App, organisation: str, ground: Ground) -> int:
    """Look until nothing is in doubt, or for a minute; one line for each thing found out.

    Where another daemon has taken over, the looking is its own: what two find out at once would be guarded by
    the states they saw, but one of them is enough.
    """
    reach = app.reach()
    end = time.monotonic() + RECONCILE_FOR
    try:
        while time.monotonic() < end:
            reconcile.adopt(app.db, app.clock, app.timing, app.is_dead, organisation)
            for one in reconcile.reconcile(app.db, app.clock, reach, app.timing, app.is_dead, organisation):
                sys.stderr.write(f"recovery    {one.delivery.name}    {one.said}\n")
            with app.db.read() as conn:
                if ground.stops(conn) or not outbox.find(
                    conn, states=[State.UNCONFIRMED, State.PUBLISHING], organisation=organisation
                ):
                    return 0
            time.sleep(app.timing.look_every.total_seconds())
    finally:
        reach.close()
    return 0


def crasher(after: int) -> Callable[[int], None]:
    """Rehearsing a power failure: kill the daemon and this process once `after` requests were begun."""

    def crash(begun: int) -> None:
        if begun >= after:
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    return crash


def _sleep_until(app: App, at: datetime) -> None:
    while (left := (at - app.clock.now()).total_seconds()) > 0:
        time.sleep(min(left, 0.25))


if __name__ == "__main__":
    sys.exit(main())
