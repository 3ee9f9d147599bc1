"""The whole launch against simulated platforms: queue, stand-in approvals, the real daemon, and the count.

Duplicates and losses are counted from the platforms' own ledger, never from our records.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from scheduler.app import App, database_url, open_app, state_folder
from scheduler.domain.account import Directory
from scheduler.domain.campaign import Campaign, Rendered
from scheduler.domain.delivery import IN_DOUBT, OUT, Delivery, State
from scheduler.errors import ApprovalError, DeliveriesFailed, UsageError
from scheduler.evidence.entry import Actor
from scheduler.publishers.simulated import faults as scripted
from scheduler.publishers.simulated import ledger, words
from scheduler.publishers.simulated import process as platforms
from scheduler.services import clock as clocks
from scheduler.services.plan import plan
from scheduler.services.queue import queue
from scheduler.services.review import approve
from scheduler.services.timing import SIMULATION
from scheduler.store import lock, outbox
from scheduler.store.database import wipe
from scheduler.workers.limits import ENDS_WITH

STAND_IN = Actor("rehearsal", "", "author", "service", "rehearsal")
PATIENCE = 150.0  # seconds after T0 until every delivery must have an outcome
SETTLED = frozenset({*OUT, State.FAILED, State.MISSED, State.ASKING})


@dataclass(slots=True)
class Rehearsal:
    """What is rehearsed and how. `lead`: how many seconds before T0 the daemon starts (0: enough)."""

    root: Path
    campaign: Campaign
    rendered: Sequence[Rendered]
    pictures: Mapping[str, bytes]
    environ: Mapping[str, str]
    faults: bool = False
    crash: bool = False
    lead: float = 0.0
    say: Callable[[str], None] = field(default=lambda _: None)
    watch: Callable[[App], None] = field(default=lambda _: None)

    @property
    def t0(self) -> datetime:
        """The launch wave's instant: the launch, or the first wave where no post goes at it."""
        dues = sorted({r.plan.due for r in self.rendered})
        if not dues:
            raise UsageError("the campaign has no post that goes anywhere", help="launchday check")
        return self.campaign.launch if self.campaign.launch in dues else dues[0]

    def run(self) -> dict[str, Any]:
        """Do it all and count. The state stays in `.launchday/rehearsal/` to be looked at.

        Raises TryLater where another rehearsal runs, ApprovalError where an organisation has no approver.
        """
        folder = state_folder(self.root, "rehearsal")
        wave = sum(r.plan.due == self.t0 for r in self.rendered)
        self.lead = self.lead or SIMULATION.arming(wave).total_seconds() + 1.5
        with lock.Lock(folder.parent / "rehearsal.lock", "a rehearsal runs"):
            self._clear(folder)
            app = open_app(self.root, "rehearsal", environ=self.environ)
            try:
                self._queue_and_approve(app)
                rules = scripted.PRESETS["launch-day"] if self.faults else ()
                shown = platforms.start(folder / "platforms", rules, tied=True)
                try:
                    in_doubt = self._launch(app)
                finally:
                    shown.stop()
                return self._count(app, in_doubt)
            finally:
                app.close()

    def _clear(self, folder: Path) -> None:
        """Every rehearsal begins anew; what an interrupted one left running is ended."""
        platforms.stop(folder / "platforms")
        if pid := lock.holder(folder / "daemon.lock"):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)
        wipe(database_url(folder, "rehearsal", self.environ), "rehearsal")

    def _queue_and_approve(self, app: App) -> None:
        close = min(r.plan.close for r in self.rendered)
        # Approvals are given while they are still taken: an hour before the first of them closes.
        clocks.move_to(app.db, app.clock, close - timedelta(hours=1))
        differences = plan(app.db, self.campaign.slug, self.rendered, app.clock.now(), pacing=app.pacing())
        queue(app.db, app.clock, STAND_IN, differences, self.pictures)
        with app.db.read() as conn:
            waiting = outbox.find(conn)
        for person, mine in _approvers(app.directory, waiting):
            who = app.directory.people[person]
            actor = Actor(person, who.organisation, "approver", "person", "rehearsal")
            approve(app.db, app.clock, app.directory, actor, mine, "Rehearsal: a stand-in's approval.")

    def _launch(self, app: App) -> int:
        """Start the real daemon, wait for every outcome; returns how many a crash left in doubt."""
        clocks.move_to(app.db, app.clock, self.t0 - timedelta(seconds=self.lead))
        wave = [d for d in _all(app) if d.due == self.t0]
        in_doubt = 0
        self.say(f"  launch wave, T0 = in {self.lead:.0f} s")
        if self.crash:
            in_doubt = self._crash(app, max(1, len(wave) * 3 // 5))
        end = time.monotonic() + self.lead + PATIENCE
        while self._until_settled(app, end):
            # Whoever kills it by hand sees what a service manager would make of it: it begins again.
            self.say("KILLED. The daemon was killed by somebody else. Starting again.")
            end += self.lead  # arming has to be done again
        return in_doubt

    def _until_settled(self, app: App, end: float) -> bool:
        """Run one daemon until every outcome is there or the time is over; whether it was killed instead."""
        with self._daemon(app) as daemon:
            while time.monotonic() < end and daemon.poll() is None:
                self.watch(app)
                if all(d.state in SETTLED for d in _all(app) if d.due == self.t0):
                    break
                time.sleep(0.1)
            self.watch(app)
            return daemon.poll() == -signal.SIGKILL

    def _crash(self, app: App, after: int) -> int:
        """Let daemon and sender be killed in the middle of the volley."""
        with self._daemon(app, "--crash-after", str(after)) as daemon:
            end = time.monotonic() + self.lead + 30
            while daemon.poll() is None and time.monotonic() < end:
                self.watch(app)
                time.sleep(0.1)
            if daemon.poll() is None:
                raise DeliveriesFailed(
                    "the crash did not come: nothing of the launch wave was sent",
                    help="launchday rehearse without --crash",
                )
        found = [d for d in _all(app) if d.due == self.t0]
        doubt = sum(d.state in IN_DOUBT for d in found)
        out = sum(d.state in OUT for d in found)
        self.say(f"CRASH. Daemon and sender were killed (SIGKILL) after {after} of {len(found)} requests.")
        self.say(f"  {out} published   {doubt} in doubt (their intent was on disk). Starting again.")
        return doubt

    @contextmanager
    def _daemon(self, app: App, *more: str) -> Iterator[subprocess.Popen[bytes]]:
        """The daemon as users start it, its talk in `daemon.txt`. Nothing of a rehearsal outlives it."""
        command = [sys.executable, "-m", "scheduler", "--rehearsal", "-C", str(self.root), "run", *more]
        with (app.folder / "daemon.txt").open("ab") as talk:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=talk,
                stderr=talk,
                env={**self.environ, ENDS_WITH: str(os.getpid())},
                start_new_session=True,
            )
        try:
            yield child
        finally:
            if child.poll() is None:
                child.terminate()
            try:
                child.wait()
            except KeyboardInterrupt:
                child.kill()  # a second Ctrl-C: it is only a rehearsal
                child.wait()
                raise

    def _count(self, app: App, in_doubt: int) -> dict[str, Any]:
        """The figures of the launch wave. Arrivals, duplicates and losses are the platforms' word."""
        wave = [d for d in _all(app) if d.due == self.t0]
        posts = ledger.read(app.folder / "platforms")
        mine = {(d.platform, d.account, words.same_words(d.content.text)): d for d in wave}
        arrived: dict[str, list[int]] = {}
        for post in posts:
            found = mine.get((post.platform, post.account, words.same_words(post.text)))
            if found is not None and not post.deleted:
                arrived.setdefault(found.id, []).append(post.arrived_ns)
        t0_ns = int((self.t0 - app.clock.offset).timestamp() * 1000) * 1_000_000
        offsets = sorted((at - t0_ns) / 1e6 for ats in arrived.values() for at in ats)
        told = {State.FAILED, State.MISSED, State.ASKING}
        states = [d.state for d in wave]
        return {
            "campaign": self.campaign.slug,
            "organisations": len({d.organisation for d in wave}),
            "platforms": len({d.platform for d in wave}),
            "deliveries": len(wave),
            "published": sum(s in OUT for s in states),
            "failed": states.count(State.FAILED) + states.count(State.MISSED),
            "unconfirmed": sum(s in IN_DOUBT for s in states),
            "asking": states.count(State.ASKING),
            "duplicates": sum(len(ats) - 1 for ats in arrived.values()),
            "lost": sum(d.id not in arrived and d.state not in told for d in wave),
            "in_doubt_after_crash": in_doubt,
            "spread_ms": round(offsets[-1] - offsets[0], 3) if offsets else None,
            "p99_ms": round(percentile(offsets, 0.99), 3) if offsets else None,
            "earliest_ms": round(offsets[0], 3) if offsets else None,
        }


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values do not exceed (nearest rank)."""
    rank = max(1, -(-len(ordered) * int(share * 100) // 100))
    return ordered[rank - 1]


def _all(app: App) -> list[Delivery]:
    with app.db.read() as conn:
        return outbox.find(conn)


def _approvers(directory: Directory, waiting: Sequence[Delivery]) -> list[tuple[str, list[Delivery]]]:
    """For every need a stand-in: people of that organisation, as many as the policy asks for."""
    plans: dict[str, list[Delivery]] = {}
    for d in waiting:
        taken: set[str] = set()
        for need in d.needs:
            organisation = need.partition(":")[2]
            person = next(
                (p.slug for p in directory.people_of(organisation, "approver") if p.slug not in taken), None
            )
            if person is None:
                raise ApprovalError(
                    f"{d.name} needs an approver of '{organisation}', and accounts.yaml has too few",
                    help="add a person with roles: [approver] to that organisation",
                )
            taken.add(person)
            plans.setdefault(person, []).append(d)
    return list(plans.items())
