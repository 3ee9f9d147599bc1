"""The posting log's rows: append in the caller's transaction, read, verify."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from scheduler import __version__
from scheduler.domain.content import canonical, instant
from scheduler.errors import LogBroken
from scheduler.evidence.entry import Disclosure, Event, Plate, Press, digest, printed
from scheduler.store.bulk import each, made
from scheduler.store.tables import Control, DisclosureRow, EntryRow, table_of

_HOST = socket.gethostname()
_control = table_of(Control)
_entries = table_of(EntryRow)
_disclosures = table_of(DisclosureRow)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as read: its number, its parsed leaf, and the opened reason text ("" if none or erased)."""

    seq: int
    body: dict[str, Any]
    reason_text: str = ""


Pressed = tuple[Event, Plate, tuple[Disclosure, ...]]
"""An entry but for its instant and its number."""

_COLUMNS = ("seq", "leaf", "at", "type", "actor", "campaign", "organisation", "account", "delivery")


def press(at: datetime, events: Sequence[Event]) -> list[Pressed]:
    """Entries as they will be written about `at`, all but the instant and the number."""
    writing = Press(at, __version__, _HOST)
    return [(event, *writing.plate(event)) for event in events]


def append(conn: Connection, now: datetime, events: Sequence[Event]) -> int:
    """Write entries with the next numbers, in the transaction that also changes what they record.

    Returns the last number. The caller holds the control row, so numbers have no gaps: a transaction
    that is rolled back takes its numbers with it.
    """
    return append_pressed(conn, now, press(now, events))


def append_pressed(conn: Connection, now: datetime, pressed: Sequence[Pressed]) -> int:
    """The same for entries that were put together beforehand."""
    if not pressed:
        return 0
    first: int = conn.execute(select(_control.c.next_seq)).scalar_one()
    written = instant(now)
    rows = [
        (
            seq,
            printed(plate, written, seq),
            written,
            event.type,
            event.actor.id,
            event.campaign,
            event.organisation,
            event.account,
            event.delivery,
        )
        for seq, (event, plate, _) in enumerate(pressed, first)
    ]
    made(conn.dialect, insert(_entries), _COLUMNS, rows)(conn)
    opened = [
        {"seq": seq, "field": d.field, "salt": d.salt, "value": d.value}
        for seq, (_, _, disclosures) in enumerate(pressed, first)
        for d in disclosures
    ]
    each(conn, insert(_disclosures), opened)
    conn.execute(update(_control).values(next_seq=first + len(pressed)))
    return first + len(pressed) - 1


def read(
    conn: Connection,
    *,
    since: datetime | None = None,
    organisation: str = "",
    account: str = "",
    actor: str = "",
    type: str = "",
    campaign: str = "",
    delivery: str = "",
    after: int = 0,
) -> Iterator[Entry]:
    """Entries in order of number, filtered; `type` may be a family (`publish`)."""
    query = select(_entries.c.seq, _entries.c.leaf).where(_entries.c.seq > after).order_by(_entries.c.seq)
    if since:
        query = query.where(_entries.c.at >= instant(since))
    for column, value in (
        (_entries.c.organisation, organisation),
        (_entries.c.account, account),
        (_entries.c.actor, actor),
        (_entries.c.campaign, campaign),
        (_entries.c.delivery, delivery),
    ):
        if value:
            query = query.where(column == value)
    if type:
        query = query.where(
            (_entries.c.type == type) | _entries.c.type.startswith(f"{type}.", autoescape=True)
        )
    texts = select(_disclosures.c.value)
    for seq, raw in conn.execute(query):
        body = json.loads(raw)
        said = ""
        if "text" in body.get("reason", {}):
            said = conn.execute(texts.where(_disclosures.c.seq == seq)).scalar() or ""
        yield Entry(seq, body, said)


def count(conn: Connection) -> int:
    """How many entries there are."""
    return int(conn.execute(select(func.count()).select_from(_entries)).scalar_one())


def verify(conn: Connection) -> int:
    """Read every entry: canonical bytes, numbers without gaps, columns and disclosures true to the leaf.

    Returns how many there are. Raises LogBroken with a sentence saying what was changed.
    """
    expected = 0
    columns = select(_entries).order_by(_entries.c.seq)
    for row in conn.execute(columns):
        expected += 1
        _check_row(row, expected)
    known: int = conn.execute(select(_control.c.next_seq)).scalar_one() - 1
    if known != expected:
        raise LogBroken(
            f"the log ends at entry {expected}, but {known} were written: entries were removed from its end",
            help="keep the database as it is and compare it with a backup",
        )
    leaves = {r.seq: json.loads(r.leaf) for r in conn.execute(_with_text())}
    for one in conn.execute(select(_disclosures)):
        committed = leaves.get(one.seq, {}).get("reason", {}).get("text", {}).get("$sd")
        if committed != digest(Disclosure(one.field, one.salt, one.value)):
            raise LogBroken(
                f"the reason shown for entry {one.seq} is not the one that was written",
                help="keep the database as it is and compare it with a backup",
            )
    return expected


def _with_text() -> Any:
    return select(_entries.c.seq, _entries.c.leaf).where(
        _entries.c.seq.in_(select(_disclosures.c.seq).distinct())
    )


def _check_row(row: Any, expected: int) -> None:
    keep = "keep the database as it is and compare it with a backup"
    if row.seq != expected:
        raise LogBroken(f"entry {expected} is missing: the log goes on at {row.seq}", help=keep)
    try:
        body = json.loads(row.leaf)
        canon = canonical(body)
        names = ("campaign", "org", "account", "delivery")
        meant = (body["at"], body["type"], body["actor"]["id"], *(body.get(n, "") for n in names))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise LogBroken(
            f"entry {expected} is not an entry in canonical JSON: its bytes were changed", help=keep
        ) from None
    if canon != row.leaf or body.get("seq") != expected:
        raise LogBroken(f"entry {expected} is not the bytes that were written", help=keep)
    shown = (row.at, row.type, row.actor, row.campaign, row.organisation, row.account, row.delivery)
    if shown != meant:
        raise LogBroken(f"the columns of entry {expected} do not say what its bytes say", help=keep)
