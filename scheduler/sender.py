"""The process that sends one wave, or looks for what is in doubt: `python -m scheduler.sender`.

Tokens live only here and in its workers, which run the publishers' code: here are only bytes. It holds its
own lock while it lives, so that others can prove it dead.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from scheduler.app import App, open_app
from scheduler.domain.content import parse_instant
from scheduler.domain.delivery import Delivery, State
from scheduler.errors import LaunchdayError, NotSent, StoreError, TryLater
from scheduler.evidence.entry import ulid
from scheduler.services import after, reconcile
from scheduler.services.arm import Armed
from scheduler.services.arming import Due, arm_wave
from scheduler.services.clock import Reading
from scheduler.services.clocks import read_clocks
from scheduler.services.collect import collect, patiently
from scheduler.services.foresight import Foresight
from scheduler.services.gate import Passed, Ready, gate, stand_down
from scheduler.services.ground import Ground
from scheduler.services.lived import Lived, hold_waves
from scheduler.services.mishap import POINTS, Mishap
from scheduler.services.reach import Reach
from scheduler.services.readback import EQUAL
from scheduler.services.spill import Spill, replay
from scheduler.store import desk, lock, outbox
from scheduler.store.lease import Lease
from scheduler.transport.fence import Fence
from scheduler.transport.volley import Fired, Volley
from scheduler.workers.limits import keep_memory_private
from scheduler.workers.nursery import Nursery
from scheduler.workers.worker import work

LATE_CONNECTING = timedelta(seconds=5)  # for a wave that is late already (it goes on once all are connected)
LOOKS = 5  # how often a wave goes back to its gate when somebody stops something at the last moment
RECONCILE_FOR = 60.0  # seconds; the daemon starts another one while anything is in doubt


def main(argv: Sequence[str] | None = None) -> int:
    """Run one job and leave; errors go to stderr as one line."""
    parser = argparse.ArgumentParser(prog="python -m scheduler.sender")
    parser.add_argument("job", choices=["wave", "reconcile", "after"])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--mode", required=True)
    parser.add_argument("--at", type=parse_instant, action="append")
    parser.add_argument(
        "--overdue", action="store_true", help="what was due at these instants, as soon as it is ready"
    )
    parser.add_argument("--org", default="")
    parser.add_argument("--lease", type=Lease.parse, help="SCOPE:EPOCH under which its daemon started it")
    parser.add_argument("--clocks", type=Reading.parse, help="the three clocks when its daemon started it")
    parser.add_argument("--accounts", type=Path, help="the folder of the accounts.yaml to believe")
    parser.add_argument(
        "--crash-after", type=int, default=0, help="simulations: kill this process and its parent"
    )
    parser.add_argument("--stop-at", choices=POINTS, default="", help="simulations: SIGSTOP at this point")
    parser.add_argument("--unfenced", action="store_true", help="simulations: without the fence")
    asked = parser.parse_args(argv)
    try:
        # First of all: what is forked later would inherit the database, the lock and the threads.
        with Nursery(work) as nursery:
            return _run(asked, nursery)
    except LaunchdayError as error:
        sys.stderr.write(f"{error.message} ({error.help})\n" if error.help else f"{error.message}\n")
        return error.exit_code
    except Exception as error:
        if os.environ.get("LAUNCHDAY_DEBUG") == "1":
            raise
        # What this process had in hand is looked for by the next one, as after a crash.
        sys.stderr.write(f"the sender broke: {type(error).__name__}: {str(error).splitlines()[:1]}\n")
        return 1


def _run(asked: argparse.Namespace, nursery: Nursery) -> int:
    keep_memory_private()
    app = open_app(asked.root, asked.mode, accounts=asked.accounts)
    number = ulid(app.clock.wall())
    with lock.Lock(app.folder / "senders" / f"{number}.lock", "this sender runs"):
        if asked.job == "reconcile":
            return look_for_all(app, app.reach(nursery), asked.org, Ground(asked.lease))
        if asked.job == "after":
            return follow_up(app, app.reach(nursery), asked.org)
        lived = Lived(app.clock, asked.clocks or app.clock.reading(), tuple(asked.at))
        due = Due(tuple(asked.at), asked.overdue, asked.org, Ground(asked.lease, app.folder, lived))
        mishap = Mishap(asked.crash_after, asked.stop_at, asked.unfenced)
        return send(app, nursery, number, due, mishap if app.mode != "live" else Mishap())


def send(app: App, nursery: Nursery, number: str, due: Due, mishap: Mishap) -> int:
    """Arm, gate, fire and settle one wave; returns 0 where everything that was armed was sent or recorded."""
    if due.overdue:
        # A waker may call early: what is not due yet is another sender's, in its own time.
        past = tuple(i for i in due.instants if i <= app.clock.now())
        due = replace(due, instants=past)
    if not due.instants:
        return 0
    reach = app.reach(nursery)
    try:
        clocks = partial(read_clocks, reach.transport, app.clock.source)
        ready, unapproved = arm_wave(app.db, app.clock, app.timing, reach, app.approvers, due, clocks)
        if not ready and not unapproved:
            return 0
        at = app.clock.now() if due.overdue else max(due.instants)
        volley = Volley(reach.transport, [a.shot for a in ready])
        try:
            return launch(app, reach, volley, Wave(number, at, ready, unapproved, due.ground), mishap)
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


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector: what was armed stays, and looking through it again takes time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@_uncollected()
def launch(app: App, reach: Reach, volley: Volley, wave: Wave, mishap: Mishap) -> int:
    """Connect, ask the gate, fire and settle what is armed; returns an exit code.

    Raises StoreError where the disk has no room even for outcomes: then nothing was sent.
    """
    path = app.folder / "senders" / f"{wave.number}.spill"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        begun = time.monotonic()
        spill = Spill(path, len(wave.ready))
        disk = time.monotonic() - begun  # a commit of this wave writes about as much
    except OSError as error:
        raise StoreError(f"nothing was sent: there is no room for outcomes ({error.strerror})") from error
    armed = {
        a.delivery.id: Ready(a.delivery.content_sha256, a.stored, a.delivery.content) for a in wave.ready
    }
    armed |= {d.id: Ready(d.content_sha256) for d in wave.unapproved}
    foresight = Foresight(app.db, app.clock, armed, app.approvers, wave.at)
    try:
        return _let_go(app, reach, volley, wave, mishap, spill, foresight, disk)
    finally:
        foresight.close()
        spill.close()


def _let_go(
    app: App,
    reach: Reach,
    volley: Volley,
    wave: Wave,
    mishap: Mishap,
    spill: Spill,
    foresight: Foresight,
    disk: float,
) -> int:
    at, lead = wave.at, app.timing.gate_lead(len(wave.ready))
    connecting = app.timing.connecting(len(wave.ready))
    by_id = {a.delivery.id: a for a in wave.ready}
    _sleep_until(app, at - connecting)
    now = app.clock.now()
    # A wave that is late already gives its connections their time; one that is on time none beyond its gate.
    late = now + connecting / 2 > at - lead
    volley.connect((now + LATE_CONNECTING if late else at - lead).timestamp())
    fence = Fence()
    if not fence.counts_suspend:
        sys.stderr.write(
            "this system's timers stand still while it is suspended: keep it awake at launches\n"
        )
    foresight.until(at - lead)
    if foresight.ready:  # it says how quick this machine is today
        lead = app.timing.foreseen_lead(foresight.took, disk)
        foresight.until(at - lead)
    for _ in range(LOOKS):
        _sleep_until(app, at - lead)

        def gating(at: datetime = at) -> None:
            """From the moment at which the gate decides, time runs for the last byte."""
            if not mishap.unfenced:
                fence.set(at.timestamp(), app.clock.seconds)
            mishap.reached("gating")

        passed = gate(
            app.db,
            app.clock,
            foresight.armed,
            app.approvers,
            sender=lock.sender_name(wave.number),
            at=at,
            reply_within=app.timing.reply_within,
            ground=wave.ground,
            deciding=gating,
            foreseen=foresight.now,
        )
        mishap.reached("gate")
        for stop in passed.stops:
            sys.stderr.write(f"nothing was sent: {stop.sentence}\n")
        if wave.ground.lived and (jumped := wave.ground.lived.crossed()):
            hold_waves(app.db, app.clock, wave.ground.lived.instants, jumped)
        if not passed.attempts:
            fence.lift()
            return TryLater.exit_code if passed.stops else 0
        try:
            wave.ground.secure(app.db)
        except StoreError as error:
            fence.lift()
            patiently(partial(stand_down, app.db, app.clock, passed.attempts, NotSent("mark", error.message)))
            raise
        fired = _fire(app, volley, passed, at, wave.ground, mishap)
        fence.lift()
        if not fired.held:
            within = app.timing.reply_within
            collect(app.db, app.clock, reach, volley, by_id, passed, fired, within, spill)
            return 0
        why = NotSent("stopped", "somebody held or changed something at the last moment; nothing was sent")
        # Until this is recorded the intents stand, though nothing was sent: it is worth some patience.
        patiently(partial(stand_down, app.db, app.clock, passed.attempts, why))
        # A stop that was for others must cost this wave no more than a moment: ask the gate again.
        at = max(at, app.clock.now() + lead)
    return 0


def _fire(app: App, volley: Volley, passed: Passed, at: datetime, ground: Ground, mishap: Mishap) -> Fired:
    with app.db.engine.connect() as looking:

        def nothing_stopped() -> bool:
            """The last look: has anybody held, cancelled or rejected anything, or moved the clock?"""
            if ground.lived and ground.lived.crossed():
                return False
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

        def last_look() -> bool:
            mishap.reached("look")
            clear = nothing_stopped()
            mishap.reached("looked")
            return clear

        try:
            return volley.fire(
                list(passed.attempts),
                at.timestamp(),
                now=app.clock.seconds,
                last_look=last_look,
                after_each=mishap.begun if mishap.watches else None,
            )
        finally:
            looking.invalidate()


def look_for_all(app: App, reach: Reach, organisation: str, ground: Ground) -> int:
    """Look until nothing is in doubt, or for a minute; one line for each thing found out.

    Where another daemon has taken over, the looking is its own: what two find out at once would be guarded by
    the states they saw, but one of them is enough.
    """
    end = time.monotonic() + RECONCILE_FOR
    try:
        while time.monotonic() < end:
            if replayed := replay(app.db, app.clock, app.folder / "senders"):
                sys.stderr.write(
                    f"recovery    {replayed} outcomes that a full disk had kept back are recorded\n"
                )
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


def follow_up(app: App, reach: Reach, organisation: str) -> int:
    """Remove and read back what is due. Nothing is published here, so it asks for no lease."""
    equal: list[str] = []

    def say(one: reconcile.Reconciled) -> None:
        if one.said == EQUAL:
            equal.append(one.delivery.name)  # a wave of them is one line
        else:
            sys.stderr.write(f"after       {one.delivery.name}    {one.said}\n")

    try:
        after.follow_up(
            app.db, app.clock, reach, app.timing, say, organisation=organisation, seconds=RECONCILE_FOR
        )
    finally:
        reach.close()
        if equal:
            posts = f"{len(equal)} posts" if len(equal) > 1 else equal[0]
            sys.stderr.write(f"after       {posts}    {EQUAL}\n")
    return 0


def _sleep_until(app: App, at: datetime) -> None:
    while (left := (at - app.clock.now()).total_seconds()) > 0:
        time.sleep(min(left, 0.25))


if __name__ == "__main__":
    sys.exit(main())
