"""Retract: a person asks for the removal of what is out. A worker does it (`remove`).

Removing passes holds: what stops publishing never stops taking something down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.domain.content import instant
from scheduler.domain.delivery import Delivery, State
from scheduler.evidence.entry import Actor
from scheduler.services.clock import Clock
from scheduler.services.events import about
from scheduler.store import desk, outbox
from scheduler.store.database import Database

MAY_BE_OUT = (State.PUBLISHED, State.VERIFIED, State.ASKING)


@dataclass(frozen=True, slots=True)
class Marked:
    """What is being removed from now on, and what cannot be asked for, with the reason."""

    asked: tuple[Delivery, ...]
    refused: tuple[tuple[Delivery, str], ...]


def mark(db: Database, clock: Clock, actor: Actor, wanted: Sequence[Delivery], note: str = "") -> Marked:
    """Ask for the removal of deliveries that are out, or may be. The worker does it.

    A crash after the commit leaves `retracting`, which every next start goes on with.
    """
    now = clock.now()
    with db.write() as conn:
        fresh = outbox.find(conn, ids=[d.id for d in wanted])
        going = [d for d in fresh if d.state in MAY_BE_OUT]
        already = [d for d in fresh if d.state is State.RETRACTING]
        refused = [(d, _why_not(d)) for d in fresh if d not in going and d not in already]
        fields = {
            "look_at": instant(now),
            "looks": 0,
            "retract_asked_at": instant(now),
            "reason": f"{actor.id} asked for its removal",
        }
        if outbox.find(conn, states=[State.PUBLISHING], after=[d.id for d in going]):
            desk.advance_stop_epoch(conn)  # a reply to what is taken down stops at its last look
        outbox.change(
            conn,
            now,
            [
                (
                    d,
                    State.RETRACTING,
                    fields,
                    about(
                        "publish.retracting",
                        actor,
                        d,
                        said=note,
                        facts={"was": d.state.value, "remote_id": d.remote_id, "url": d.url},
                    ),
                )
                for d in going
            ],
        )
    return Marked((*going, *already), tuple(refused))


def _why_not(d: Delivery) -> str:
    if d.state in (State.PUBLISHING, State.UNCONFIRMED):
        return "it is on its way or being looked for: give the command again when that is known"
    if d.state is State.RETRACTED:
        return "it is removed already"
    return f"it is {d.state}, so it is not out: launchday cancel takes out what waits"
