"""Is it alright? Counts, what wants a person, what stands in the way, and what to do next."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scheduler.domain.account import Directory
from scheduler.domain.delivery import IN_DOUBT, OUT, WANTS_A_PERSON, Delivery, State
from scheduler.domain.gates import Hold
from scheduler.domain.when import show
from scheduler.services.board import Standing, item, standings
from scheduler.services.clock import Clock
from scheduler.store import desk, notices, outbox
from scheduler.store.database import Database


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that `launchday status` says."""

    standings: tuple[Standing, ...]
    holds: tuple[Hold, ...]
    now: datetime
    safe_mode: desk.SafeMode | None = None
    notices: tuple[Any, ...] = ()  # open ones, rows of NoticeRow

    @property
    def deliveries(self) -> list[Delivery]:
        """All that are not cancelled."""
        return [s.delivery for s in self.standings]

    @property
    def counts(self) -> dict[str, int]:
        """How many deliveries are in each state (those with none left out)."""
        found: dict[str, int] = {}
        for d in self.deliveries:
            found[d.state.value] = found.get(d.state.value, 0) + 1
        return found

    @property
    def troubled(self) -> list[Delivery]:
        """What failed, was missed, is a question, or is in doubt."""
        return [d for d in self.deliveries if d.state in WANTS_A_PERSON | IN_DOUBT]

    @property
    def next_wave(self) -> list[Standing]:
        """The deliveries of the next wave that waits."""
        waiting = [s for s in self.standings if s.delivery.state is State.SCHEDULED]
        first = min((s.delivery.fire_at for s in waiting), default=None)
        return [s for s in waiting if s.delivery.fire_at == first]

    def exit_code(self, *, daemon_alive: bool) -> int:
        """7 daemon needed and down, 6 something failed or is in doubt, 1 safe mode, 5 approvals lack, 0."""
        working = IN_DOUBT | {State.SCHEDULED, State.RETRACTING}
        needed = any(d.state in working for d in self.deliveries)
        if needed and not daemon_alive:
            return 7
        if self.troubled:
            return 6
        if self.safe_mode:
            return 1  # nothing is sent, whatever was approved
        return 5 if any(s.missing for s in self.next_wave) else 0

    def next_step(self, *, daemon_alive: bool) -> str:
        """The command to give now."""
        if self.safe_mode and not daemon_alive:
            return "launchday run: in safe mode it looks for what was due, and sends nothing"
        if not self.standings and not self.safe_mode:
            return "launchday queue"
        if any(d.state in IN_DOUBT | {State.RETRACTING} for d in self.deliveries) and not daemon_alive:
            return "launchday run"
        if any(d.state is State.ASKING for d in self.deliveries):
            return "launchday list --state asking, then launchday resolve DELIVERY"
        if self.safe_mode:
            return 'launchday release --safe-mode --note "…", when you know what was lost'
        if self.holds:
            return "launchday release, when it is over"
        if any(s.missing for s in self.standings):
            return "launchday approve"
        if any(d.state is State.SCHEDULED for d in self.deliveries):
            return "launchday watch" if daemon_alive else "launchday run"
        if any(d.state in (State.FAILED, State.MISSED) for d in self.deliveries):
            return "launchday retry, launchday move WAVE --to LATER, or launchday cancel"
        return "launchday log"

    def items(self, directory: Directory) -> list[dict[str, Any]]:
        """Every delivery as `list` shows it."""
        return [item(s, directory) for s in self.standings]

    def notice_lines(self, directory: Directory) -> list[str]:
        """What nobody has acknowledged yet, and whether anybody was told."""
        if not self.notices:
            return []
        told = sum(n.state == "told" for n in self.notices)
        waiting = len(self.notices) - told
        found = [f"  notices: {told} told and not acknowledged, {waiting} not told yet: launchday notices"]
        if not directory.has_channel:
            found.append("  nobody could be told: no channel is set (notify: in accounts.yaml)")
        found += [f"  notice: {n.topic}: {n.said}" for n in self.notices if not n.delivery_id]
        return found

    def lines(self, directory: Directory) -> list[str]:
        """The screen, line by line."""
        out = sum(d.state in OUT for d in self.deliveries)
        doubt = sum(d.state in IN_DOUBT for d in self.deliveries)
        waiting = sum(d.state is State.SCHEDULED for d in self.deliveries)
        person = sum(d.state in WANTS_A_PERSON for d in self.deliveries)
        found = [f"  {out} published   {doubt} in doubt   {waiting} waiting   {person} want a person"]
        if self.safe_mode:
            since = show(self.safe_mode.since, directory.zone)
            found.append(f"  SAFE MODE since {since}. NOTHING IS SENT: {self.safe_mode.reason}")
        if doubt:
            found.append("  Nothing is lost and nothing will be sent twice: what is in doubt is looked for.")
        for hold in self.holds:
            found.append(
                f"  HELD {hold.scope} by {hold.person} since "
                f"{show(hold.started_at, directory.zone)}: {hold.reason}"
            )
        for d in [d for d in self.troubled if d.state in WANTS_A_PERSON][:20]:
            found.append(f"  {d.state}: {d.name}: {d.reason}")
        found += self.notice_lines(directory)
        if wave := self.next_wave:
            lacking = sum(bool(s.missing) for s in wave)
            ready = "all approved" if not lacking else f"{lacking} of {len(wave)} lack an approval"
            found.append(
                f"  next wave {show(wave[0].delivery.fire_at, directory.zone)}: "
                f"{len(wave)} deliveries, {ready}"
            )
        return found


def status(
    db: Database, clock: Clock, approvers: Mapping[str, Collection[str]], campaign: str = ""
) -> Status:
    """Look at everything, in one read transaction."""
    with db.read() as conn:
        every = [d for d in outbox.find(conn, campaign=campaign) if d.state is not State.CANCELLED]
        return Status(
            tuple(standings(conn, clock, every, approvers)),
            tuple(desk.holds(conn)),
            clock.now(),
            desk.safe_mode(conn),
            tuple(notices.find(conn)),
        )
