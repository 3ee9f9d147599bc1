"""Deliveries and attempts: read as domain values; every change is guarded and brings its log entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Dialect, bindparam, func, insert, select, update

from scheduler.domain.content import Content, instant, parse_instant
from scheduler.domain.delivery import (
    ATTEMPT_MAY_BECOME,
    MAY_BECOME,
    OPEN_ATTEMPT,
    WANTS_A_PERSON,
    AttemptState,
    Delivery,
    State,
)
from scheduler.errors import RefusedTransition
from scheduler.evidence.entry import Event
from scheduler.store import log, notices
from scheduler.store.bulk import Run, among, each, made
from scheduler.store.reading import NAMES, read_delivery
from scheduler.store.tables import AttemptRow, DeliveryRow, table_of

_d = table_of(DeliveryRow)
_a = table_of(AttemptRow)

# What a Delivery is made of; the other columns are wide, and seldom wanted.
_COLUMNS = [_d.c[name] for name in NAMES]
# Put together once: that takes longer than asking for a few of them.
_IN_ORDER = select(*_COLUMNS).order_by(
    _d.c.due, _d.c.post, _d.c.organisation, _d.c.account, _d.c.part, _d.c.id
)


def find(
    conn: Connection,
    *,
    campaign: str = "",
    states: Iterable[State] = (),
    organisation: str = "",
    platform: str = "",
    post: str = "",
    name: str = "",
    fire_at: Sequence[datetime] = (),
    until: datetime | None = None,
    ids: Sequence[str] | None = None,
    after: Sequence[str] = (),
    contents: Mapping[str, Content] = MappingProxyType({}),
) -> list[Delivery]:
    """Deliveries that match all that is given, by time, post, organisation, platform, part.

    `contents` are known by their hash: stored bytes with such a hash are not parsed again.
    """
    query = _IN_ORDER
    for column, value in (
        (_d.c.campaign, campaign),
        (_d.c.organisation, organisation),
        (_d.c.platform, platform),
        (_d.c.post, post),
        (_d.c.name, name),
    ):
        if value:
            query = query.where(column == value)
    if wanted := [s.value for s in states]:
        query = query.where(_d.c.state.in_(wanted))
    if until:
        query = query.where(_d.c.fire_at <= instant(until))
    if fire_at:
        query = query.where(_d.c.fire_at.in_([instant(at) for at in fire_at]))
    if after:
        query = query.where(among(conn, _d.c.after, after))
    if ids is not None:
        query = query.where(among(conn, _d.c.id, ids))
    return [read_delivery(row, contents) for row in conn.execute(query).all()]


def column(conn: Connection, ids: Sequence[str], name: str) -> dict[str, Any]:
    """One stored column that is not part of the domain value (`plan`, `policy`, `prepared` …) by id."""
    return {one: value for one, (value,) in columns(conn, ids, name).items()}


def columns(conn: Connection, ids: Sequence[str], *names: str) -> dict[str, Sequence[Any]]:
    """Several of them at once, as they are named."""
    query = select(_d.c.id, *(_d.c[name] for name in names)).where(among(conn, _d.c.id, ids))
    return {one: values for one, *values in conn.execute(query).all()}


def owners(conn: Connection, posts: Sequence[str]) -> dict[tuple[str, str], str]:
    """Which deliveries have these ids of platforms: (account, id) → delivery id."""
    known = among(conn, _d.c.remote_id, [p for p in posts if p])
    query = select(_d.c.account, _d.c.remote_id, _d.c.id).where(known)
    return {(account, remote): delivery for account, remote, delivery in conn.execute(query)}


def receipts(conn: Connection, accounts: Sequence[str]) -> dict[tuple[str, str], str]:
    """Which delivery has which post: (account, the platform's id of the post) → delivery id."""
    query = select(_d.c.account, _d.c.remote_id, _d.c.id).where(
        _d.c.account.in_(sorted(set(accounts))), _d.c.remote_id != ""
    )
    return {(account, remote): delivery for account, remote, delivery in conn.execute(query)}


def add(conn: Connection, now: datetime, rows: Sequence[Mapping[str, Any]], events: Sequence[Event]) -> None:
    """Store new deliveries and their log entries."""
    each(conn, insert(_d), rows)
    log.append(conn, now, events)


def revise(conn: Connection, delivery: Delivery, fields: Mapping[str, Any]) -> None:
    """Put new words or a new time into a delivery that waits; the caller appends the entry.

    Raises RefusedTransition where it began to publish meanwhile.
    """
    to = State(fields.get("state", delivery.state))
    if to is not delivery.state and to not in MAY_BECOME[delivery.state]:
        raise RefusedTransition(f"{delivery.name} is {delivery.state} and cannot become {to}")
    done = conn.execute(
        update(_d)
        .where(_d.c.id == delivery.id, _d.c.state == delivery.state.value, _d.c.revision == delivery.revision)
        .values(**fields)
    )
    if done.rowcount != 1:
        raise RefusedTransition(
            f"{delivery.name} was changed by somebody else meanwhile", help="give the command again"
        )
    if delivery.state in WANTS_A_PERSON and "state" in fields:
        notices.close(conn, deliveries=[delivery.id])  # a person has seen to it


def note(conn: Connection, ids: Sequence[str], **fields: Any) -> None:
    """Store facts that are not a change of state (`prepared`, `reason`)."""
    conn.execute(update(_d).where(among(conn, _d.c.id, ids)).values(**fields))


def note_each(conn: Connection, name: str, values: Mapping[str, str]) -> None:
    """Store one column for many deliveries, each its own value."""
    if values:
        statement = update(_d).where(_d.c.id == bindparam("the_id")).values({name: bindparam("the_value")})
        conn.execute(statement, [{"the_id": i, "the_value": v} for i, v in values.items()])


Change = tuple[Delivery, State, Mapping[str, Any], Event]


@dataclass(frozen=True, slots=True)
class Planned:
    """Changes that are put into statements already: what is left is to run them."""

    changes: Sequence[Change]
    updates: Sequence[tuple[Run, int]]  # each with the number of rows that it must hit
    entries: Sequence[log.Pressed]


def change(conn: Connection, now: datetime, changes: Sequence[Change]) -> None:
    """Change states as the table allows, each guarded by the state that was seen, with the log entries.

    What becomes missed, failed or a question brings its notice too, so that no verb can forget to tell.
    One transaction of the caller: a crash before its commit leaves neither change, entry nor notice.
    Raises RefusedTransition, and then nothing of it may be committed.
    """
    carry_out(conn, now, planned(conn.dialect, now, changes))


def planned(dialect: Dialect, at: datetime, changes: Sequence[Change]) -> Planned:
    """The same but for carrying it out, about `at`. Raises RefusedTransition where the table forbids it."""
    groups: dict[tuple[State, State, tuple[str, ...]], list[Change]] = {}
    for one in changes:
        seen, to, fields, _ = one
        if to not in MAY_BECOME[seen.state]:
            raise RefusedTransition(f"{seen.name} is {seen.state} and cannot become {to}")
        groups.setdefault((seen.state, to, tuple(sorted(fields))), []).append(one)
    updates = []
    for (was, to, names), members in groups.items():
        statement = (
            update(_d)
            .where(
                _d.c.id == bindparam("the_id"), _d.c.state == was.value, _d.c.revision == bindparam("the_rev")
            )
            .values(state=to.value, **{n: bindparam(f"v_{n}") for n in names})
        )
        rows = [(d.id, d.revision, *[fields[n] for n in names]) for d, _, fields, _ in members]
        bound = ["the_id", "the_rev", *(f"v_{n}" for n in names)]
        updates.append((made(dialect, statement, bound, rows), len(rows)))
    return Planned(changes, updates, log.press(at, [event for *_, event in changes]))


def carry_out(conn: Connection, now: datetime, what: Planned) -> None:
    """Make planned changes in the caller's transaction; guarded as `change` is."""
    for run, rows in what.updates:
        _expect(run(conn), rows, "a delivery was changed")
    notices.follow(conn, now, what.changes)
    log.append_pressed(conn, now, what.entries)


def _expect(hit: int, rows: int, what: str) -> None:
    """Each row of parameters names one row of the table by its id, and must have hit it."""
    if hit != rows:
        raise RefusedTransition(f"{what} by somebody else meanwhile", help="give the command again")


# Attempts


def open_attempts(conn: Connection, now: datetime, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write intents. The partial unique index refuses a second open attempt of a delivery."""
    each(conn, insert(_a), rows)


def settle_attempts(
    conn: Connection, rows: Sequence[tuple[str, AttemptState, AttemptState, Mapping[str, Any]]]
) -> None:
    """(attempt id, state seen, new state, other columns): guarded as deliveries are."""
    groups: dict[tuple[AttemptState, AttemptState, tuple[str, ...]], list[tuple[Any, ...]]] = {}
    for attempt, was, to, fields in rows:
        if to not in ATTEMPT_MAY_BECOME[was]:
            raise RefusedTransition(f"an attempt that is {was} cannot become {to}")
        names = tuple(sorted(fields))
        groups.setdefault((was, to, names), []).append((attempt, *[fields[n] for n in names]))
    for (was, to, names), members in groups.items():
        statement = update(_a).where(_a.c.id == bindparam("the_id"), _a.c.state == was.value)
        statement = statement.values(state=to.value, **{n: bindparam(f"v_{n}") for n in names})
        run = made(conn.dialect, statement, ["the_id", *(f"v_{n}" for n in names)], members)
        _expect(run(conn), len(members), "an attempt was settled")


def attempts_of(conn: Connection, ids: Sequence[str]) -> dict[str, list[Any]]:
    """All attempts by delivery id, oldest first (rows with the columns of AttemptRow)."""
    found: dict[str, list[Any]] = {}
    wanted = among(conn, _a.c.delivery_id, ids)
    # A try that a stop took back gives its number to the next one: then the clock says which was first.
    for row in conn.execute(select(_a).where(wanted).order_by(_a.c.n, _a.c.intent_at, _a.c.id)).all():
        found.setdefault(row.delivery_id, []).append(row)
    return found


def with_attempt(conn: Connection, ids: Sequence[str], states: Iterable[AttemptState]) -> set[str]:
    """Those of the deliveries that have an attempt in one of these states."""
    query = select(_a.c.delivery_id).where(
        among(conn, _a.c.delivery_id, ids), _a.c.state.in_([s.value for s in states])
    )
    return set(conn.execute(query).scalars().all())


def doubt_anew(conn: Connection, deadline: datetime) -> None:
    """Give every open attempt a new deadline and forget its looks: something else may have happened since."""
    open_still = _a.c.state.in_([s.value for s in OPEN_ATTEMPT])
    conn.execute(update(_a).where(open_still).values(deadline=instant(deadline), looks=0, looked_at=""))


def looked(conn: Connection, attempt: str, at: datetime, looks: int) -> None:
    """Remember an absent look, so that a restart does not forget it."""
    conn.execute(update(_a).where(_a.c.id == attempt).values(looks=looks, looked_at=instant(at)))


def waves(conn: Connection, until: datetime | None = None) -> list[tuple[datetime, int]]:
    """(instant, how many) of each wave that waits, in order of time."""
    query = (
        select(_d.c.fire_at, func.count())
        .where(_d.c.state == State.SCHEDULED.value)
        .group_by(_d.c.fire_at)
        .order_by(_d.c.fire_at)
    )
    if until:
        query = query.where(_d.c.fire_at <= instant(until))
    return [(parse_instant(at), n) for at, n in conn.execute(query)]


def counts(conn: Connection, campaign: str = "") -> dict[State, int]:
    """How many deliveries are in each state."""
    query = select(_d.c.state, func.count()).group_by(_d.c.state)
    if campaign:
        query = query.where(_d.c.campaign == campaign)
    return {State(s): n for s, n in conn.execute(query)}


def next_close(conn: Connection) -> list[datetime]:
    """When the next window of a delivery that waits closes; empty where none waits."""
    first = conn.execute(select(func.min(_d.c.not_after)).where(_d.c.state == State.SCHEDULED.value)).scalar()
    return [parse_instant(first)] if first else []


def due_past(conn: Connection, now: datetime) -> list[Delivery]:
    """Deliveries that wait though their window has closed."""
    query = select(*_COLUMNS).where(_d.c.state == State.SCHEDULED.value, _d.c.not_after < instant(now))
    return [read_delivery(r) for r in conn.execute(query)]
