"""Deliveries and attempts: read as domain values; every change is guarded and brings its log entry."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from scheduler.domain.content import Content, instant, parse_instant
from scheduler.domain.delivery import (
    ATTEMPT_MAY_BECOME,
    MAY_BECOME,
    WANTS_A_PERSON,
    AttemptState,
    Delivery,
    State,
)
from scheduler.errors import RefusedTransition
from scheduler.evidence.entry import Event
from scheduler.store import log, notices
from scheduler.store.tables import AttemptRow, DeliveryRow, table_of

_d = table_of(DeliveryRow)
_a = table_of(AttemptRow)

# SQLite takes at most 32,766 parameters in a statement; ids are asked for in slices of this many.
_SLICE = 5_000


def _content(row: Any) -> Content:
    """The stored content; a damaged one costs its own delivery only (its hash fits nothing any more)."""
    try:
        return Content.parse(bytes(row.content))
    except (ValueError, TypeError, KeyError):
        return Content(row.organisation, row.account, row.platform, "", "[the stored words are damaged]")


def _needs(stored: str) -> tuple[str, ...]:
    """Whose word it needs; what is damaged becomes a need that nobody can meet."""
    try:
        found = json.loads(stored)
    except ValueError:
        found = None
    if isinstance(found, list) and found and all(isinstance(need, str) for need in found):
        return tuple(found)
    return ("damaged:",)


def _delivery(row: Any) -> Delivery:
    return Delivery(
        id=row.id,
        campaign=row.campaign,
        post=row.post,
        name=row.name,
        organisation=row.organisation,
        account=row.account,
        platform=row.platform,
        revision=row.revision,
        state=State(row.state),
        author=row.author,
        content=_content(row),
        content_sha256=row.content_sha256,
        plan_sha256=row.plan_sha256,
        policy_sha256=row.policy_sha256,
        key=row.key,
        due=parse_instant(row.due),
        not_after=parse_instant(row.not_after),
        embargo=parse_instant(row.embargo),
        close=parse_instant(row.close),
        fire_at=parse_instant(row.fire_at),
        needs=_needs(row.needs),
        after=row.after,
        attempts=row.attempts,
        remote_id=row.remote_id,
        url=row.url,
        published_at=parse_instant(row.published_at) if row.published_at else None,
        reason=row.reason,
        planner=row.planner,
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
) -> list[Delivery]:
    """Deliveries that match all that is given, by time, post, organisation, platform, part."""
    query = select(_d).order_by(_d.c.due, _d.c.post, _d.c.organisation, _d.c.account, _d.c.part, _d.c.id)
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
        query = query.where(_d.c.after.in_(after))
    if ids is None:
        return [_delivery(row) for row in conn.execute(query)]
    found: list[Delivery] = []
    for start in range(0, len(ids), _SLICE):
        found += [_delivery(r) for r in conn.execute(query.where(_d.c.id.in_(ids[start : start + _SLICE])))]
    return found


def column(conn: Connection, ids: Sequence[str], name: str) -> dict[str, Any]:
    """One stored column that is not part of the domain value (`plan`, `policy`, `prepared` …) by id."""
    found: dict[str, Any] = {}
    for start in range(0, len(ids), _SLICE):
        query = select(_d.c.id, _d.c[name]).where(_d.c.id.in_(ids[start : start + _SLICE]))
        found.update({row[0]: row[1] for row in conn.execute(query)})
    return found


def receipts(conn: Connection, accounts: Sequence[str]) -> dict[tuple[str, str], str]:
    """Which delivery has which post: (account, the platform's id of the post) → delivery id."""
    query = select(_d.c.account, _d.c.remote_id, _d.c.id).where(
        _d.c.account.in_(sorted(set(accounts))), _d.c.remote_id != ""
    )
    return {(account, remote): delivery for account, remote, delivery in conn.execute(query)}


def add(conn: Connection, now: datetime, rows: Sequence[Mapping[str, Any]], events: Sequence[Event]) -> None:
    """Store new deliveries and their log entries."""
    if rows:
        conn.execute(insert(_d), [dict(r) for r in rows])
    log.append(conn, now, events)


def revise(conn: Connection, delivery: Delivery, fields: Mapping[str, Any]) -> None:
    """Put new words or a new time into a delivery that waits; the caller appends the entry.

    Raises RefusedTransition where it began to publish meanwhile.
    """
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
    for start in range(0, len(ids), _SLICE):
        conn.execute(update(_d).where(_d.c.id.in_(ids[start : start + _SLICE])).values(**fields))


def note_each(conn: Connection, name: str, values: Mapping[str, str]) -> None:
    """Store one column for many deliveries, each its own value."""
    if values:
        statement = update(_d).where(_d.c.id == bindparam("the_id")).values({name: bindparam("the_value")})
        conn.execute(statement, [{"the_id": i, "the_value": v} for i, v in values.items()])


Change = tuple[Delivery, State, Mapping[str, Any], Event]


def change(conn: Connection, now: datetime, changes: Sequence[Change]) -> None:
    """Change states as the table allows, each guarded by the state that was seen, with the log entries.

    What becomes missed, failed or a question brings its notice too, so that no verb can forget to tell.
    One transaction of the caller: a crash before its commit leaves neither change, entry nor notice.
    Raises RefusedTransition, and then nothing of it may be committed.
    """
    groups: dict[tuple[State, State, tuple[str, ...]], list[Change]] = {}
    for one in changes:
        seen, to, fields, _ = one
        if to not in MAY_BECOME[seen.state]:
            raise RefusedTransition(f"{seen.name} is {seen.state} and cannot become {to}")
        groups.setdefault((seen.state, to, tuple(sorted(fields))), []).append(one)
    for (was, to, names), members in groups.items():
        statement = (
            update(_d)
            .where(
                _d.c.id == bindparam("the_id"), _d.c.state == was.value, _d.c.revision == bindparam("the_rev")
            )
            .values(state=to.value, **{n: bindparam(f"v_{n}") for n in names})
        )
        rows = [
            {"the_id": d.id, "the_rev": d.revision, **{f"v_{n}": fields[n] for n in names}}
            for d, _, fields, _ in members
        ]
        _expect(conn, statement, rows)
    notices.follow(conn, now, changes)
    log.append(conn, now, [event for *_, event in changes])


def _expect(conn: Connection, statement: Any, rows: list[dict[str, Any]]) -> None:
    """Run it for every row; each must hit exactly one row of the table."""
    done = conn.execute(statement, rows)
    if done.rowcount != len(rows):
        raise RefusedTransition(
            "a delivery was changed by somebody else meanwhile", help="give the command again"
        )


# Attempts


def open_attempts(conn: Connection, now: datetime, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write intents. The partial unique index refuses a second open attempt of a delivery."""
    if rows:
        conn.execute(insert(_a), [dict(r) for r in rows])
        conn.execute(
            update(_d).where(_d.c.id == bindparam("the_id")).values(attempts=bindparam("n")),
            [{"the_id": r["delivery_id"], "n": r["n"]} for r in rows],
        )


def settle_attempts(
    conn: Connection, rows: Sequence[tuple[str, AttemptState, AttemptState, Mapping[str, Any]]]
) -> None:
    """(attempt id, state seen, new state, other columns): guarded as deliveries are."""
    for attempt, was, to, fields in rows:
        if to not in ATTEMPT_MAY_BECOME[was]:
            raise RefusedTransition(f"an attempt that is {was} cannot become {to}")
        statement = update(_a).where(_a.c.id == attempt, _a.c.state == was.value)
        if conn.execute(statement.values(state=to.value, **fields)).rowcount != 1:
            raise RefusedTransition("an attempt was settled by somebody else meanwhile")


def attempts_of(conn: Connection, ids: Sequence[str]) -> dict[str, list[Any]]:
    """All attempts by delivery id, oldest first (rows with the columns of AttemptRow)."""
    found: dict[str, list[Any]] = {}
    for start in range(0, len(ids), _SLICE):
        wanted = _a.c.delivery_id.in_(ids[start : start + _SLICE])
        # A try that a stop took back gives its number to the next one: then the clock says which was first.
        for row in conn.execute(select(_a).where(wanted).order_by(_a.c.n, _a.c.intent_at, _a.c.id)):
            found.setdefault(row.delivery_id, []).append(row)
    return found


def with_attempt(conn: Connection, ids: Sequence[str], states: Iterable[AttemptState]) -> set[str]:
    """Those of the deliveries that have an attempt in one of these states."""
    wanted, found = [s.value for s in states], set[str]()
    for start in range(0, len(ids), _SLICE):
        query = select(_a.c.delivery_id).where(
            _a.c.delivery_id.in_(ids[start : start + _SLICE]), _a.c.state.in_(wanted)
        )
        found |= set(conn.execute(query).scalars())
    return found


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


def due_past(conn: Connection, now: datetime) -> list[Delivery]:
    """Deliveries that wait though their window has closed."""
    query = select(_d).where(_d.c.state == State.SCHEDULED.value, _d.c.not_after < instant(now))
    return [_delivery(r) for r in conn.execute(query)]
