"""Tell a named person: what is not a delivery's change of state (a held account, safe mode, a full disk)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from scheduler.domain.notice import MOST, Urgency
from scheduler.services.events import plain
from scheduler.store import notices


def tell(
    conn: Connection,
    now: datetime,
    topic: str,
    about: str,
    said: str,
    *,
    severity: Urgency = "now",
    organisation: str = "",
    delivery_id: str = "",
) -> None:
    """Leave a notice, in the caller's write transaction; it is sent when that is committed.

    `topic` is a short stable word (`held`, `safe_mode`, `disk`, `database`, `clock` …), `about` what it
    concerns (an account, a wave; "" = everything), `organisation` whose people are told ("" = those who
    look after the machine). While the same thing stands, saying it again does nothing, so a caller may
    repeat itself; other words are news and are told. So `said` should hold no figure that changes by itself.
    It is one or two sentences that say what to do next, without a secret or a post's words.
    """
    said = plain(said)[:MOST]
    before = [n for n in notices.standing(conn, topic, about) if n.organisation == organisation]
    if any(row.said == said for row in before):
        return
    notices.close(conn, ids=[row.id for row in before])
    notices.add(
        conn,
        now,
        topic,
        about,
        said,
        severity=severity,
        organisation=organisation,
        delivery_id=delivery_id,
    )


def over(conn: Connection, topic: str, about: str = "") -> bool:
    """What was told is over: its notice is closed. Returns whether there was one."""
    found = notices.standing(conn, topic, about)
    notices.close(conn, ids=[row.id for row in found])
    return bool(found)
