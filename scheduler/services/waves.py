"""Which waves want a sender now, and what became of one, in a line for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from scheduler.domain.delivery import OUT, Delivery, State
from scheduler.domain.gates import gates
from scheduler.domain.when import show
from scheduler.services.clock import Clock
from scheduler.services.facts import facts
from scheduler.services.timing import Timing
from scheduler.store import outbox
from scheduler.store.database import Database

# Gates that no sender opens: people, time or the part before do.
NOTHING_TO_DO = frozenset(
    {"hold", "blackout", "after", "corrects", "in_doubt", "attempts", "too_late", "safe_mode"}
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What wants a sender: when it goes (UTC) → when it was due, which differs once it was put off."""

    coming: Mapping[datetime, frozenset[datetime]]
    late: Mapping[datetime, frozenset[datetime]]


def due(
    db: Database,
    clock: Clock,
    approvers: Mapping[str, Sequence[str]],
    until: datetime,
    organisation: str = "",
) -> list[Delivery]:
    """What a sender could do something for by `until`; what lacks approval is the gate's to miss."""
    with db.read() as conn:
        waiting = outbox.find(conn, states=[State.SCHEDULED], until=until, organisation=organisation)
        known = facts(conn, clock, waiting, approvers)
    return [d for d in waiting if not {g.code for g in gates(d, known)} & NOTHING_TO_DO]


def wanted(
    db: Database,
    clock: Clock,
    timing: Timing,
    approvers: Mapping[str, Sequence[str]],
    organisation: str = "",
) -> Wanted:
    """The waves that are to be armed by now, and what is late already."""
    now = clock.now()
    with db.read() as conn:
        most = outbox.counts(conn).get(State.SCHEDULED, 0)
    waves: dict[datetime, list[datetime]] = {}
    for one in due(db, clock, approvers, now + timing.arming(most), organisation):
        waves.setdefault(one.fire_at, []).append(one.due)
    waves = {at: dues for at, dues in waves.items() if at - timing.arming(len(dues)) <= now}
    coming = {at: frozenset(waves[at]) for at in sorted(waves) if at > now}
    late = {at: frozenset(waves[at]) for at in sorted(waves) if at <= now}
    return Wanted(coming, late)


def became(db: Database, dues: Iterable[datetime], zone: str, organisation: str = "") -> tuple[str, ...]:
    """One line for each of these waves: how many are published, and what the others are."""
    with db.read() as conn:
        every = outbox.find(conn, organisation=organisation)
    lines = []
    for at in sorted(dues):
        states = [d.state for d in every if d.due == at and d.state is not State.CANCELLED]
        if states:
            out = sum(s in OUT for s in states)
            rest = [f"{states.count(s)} {s}" for s in dict.fromkeys(states) if s not in OUT]
            lines.append(f"{', '.join([f'{out} of {len(states)} published', *rest])}   {show(at, zone)}")
    return tuple(lines)
