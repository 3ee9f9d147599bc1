"""Retry: a person sends what failed or was missed through the gate once more, inside its window."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.domain.content import instant
from scheduler.domain.delivery import MAY_STILL_LAND, Delivery, State
from scheduler.evidence.entry import Actor
from scheduler.services.clock import Clock
from scheduler.services.events import about, whole_second
from scheduler.store import late, outbox
from scheduler.store.database import Database


@dataclass(frozen=True, slots=True)
class Retried:
    """What goes through the gate again and when, and what does not, with the reason."""

    going: tuple[tuple[Delivery, datetime], ...]
    refused: tuple[tuple[Delivery, str], ...]


def retry(
    db: Database, clock: Clock, actor: Actor, wanted: Sequence[Delivery], note: str, *, soon: timedelta
) -> Retried:
    """Let failed and missed deliveries be tried again, `soon` from now at the earliest.

    Only what is certainly not out and never will be; its approvals bind as before, and its tries are counted
    anew, as a move counts them. A crash before the commit leaves them as they were.
    """
    now = clock.now()
    at = whole_second(now + soon)
    with db.write() as conn:
        fresh = outbox.find(conn, ids=[d.id for d in wanted])
        ids = [d.id for d in fresh]
        landing = outbox.with_attempt(conn, ids, MAY_STILL_LAND)
        proven = late.receipts(conn, ids)
        ended = outbox.column(conn, ids, "ended_by")
        refused: list[tuple[Delivery, str]] = []
        going: list[tuple[Delivery, datetime]] = []
        for one in fresh:
            gone = {i for i in ids if ended[i]}
            if why := why_not(one, max(at, one.due), landing, proven, gone):
                refused.append((one, why))
            else:
                going.append((one, max(at, one.due)))
        outbox.change(
            conn,
            now,
            [
                (
                    one,
                    State.SCHEDULED,
                    {
                        "fire_at": instant(when),
                        "attempts": 0,
                        "reason": f"{actor.id} lets it be tried again",
                    },
                    about(
                        "schedule.retried",
                        actor,
                        one,
                        said=note,
                        facts={
                            "was": one.state.value,
                            "next_try_at": instant(when),
                            "content_sha256": one.content_sha256,
                            "plan_sha256": one.plan_sha256,
                        },
                    ),
                )
                for one, when in going
            ],
        )
    return Retried(tuple(going), tuple(refused))


def why_not(
    d: Delivery,
    at: datetime,
    landing: Collection[str],
    proven: Collection[str],
    ended: Collection[str] = (),
) -> str:
    """Why it may not be tried again at `at` ("" = it may)."""
    if d.state is State.ASKING:
        return "only a person can tell whether it is out: launchday resolve says so first"
    if d.state not in (State.FAILED, State.MISSED):
        return f"it is {d.state}"
    if d.id in landing:
        return "an earlier attempt may still land: launchday resolve"
    if d.id in proven or d.remote_id:
        return "the platform gave proof that it is out: launchday show says where"
    if d.id in ended:
        return "it was taken out for good"
    if at > d.not_after:
        return "its window has closed: launchday move WAVE --to LATER, then approve again"
    return ""
