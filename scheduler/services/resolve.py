"""A person's answer for a delivery that only a person can tell."""

from __future__ import annotations

from scheduler.domain.content import instant
from scheduler.domain.delivery import OPEN_ATTEMPT, AttemptState, Delivery, State
from scheduler.errors import UsageError
from scheduler.evidence.entry import Actor
from scheduler.services.clock import Clock
from scheduler.services.events import about
from scheduler.services.settle import wake_next_parts
from scheduler.store import outbox
from scheduler.store.database import Database


def resolve(db: Database, clock: Clock, actor: Actor, asked: Delivery, url: str, note: str) -> State:
    """Record the answer: published at `url`, or ("" ) certainly not out, which is then `failed`.

    Raises UsageError where the delivery is no question.
    """
    now = clock.now()
    with db.write() as conn:
        # A crash before the commit leaves the question open: it is simply asked again.
        current = next(iter(outbox.find(conn, ids=[asked.id])), asked)
        if current.state is not State.ASKING:
            raise UsageError(
                f"{current.name} is {current.state}, not a question", help="launchday show says more"
            )
        attempts = outbox.attempts_of(conn, [current.id]).get(current.id, [])
        for attempt in attempts:
            was = AttemptState(attempt.state)
            if was in OPEN_ATTEMPT or was is AttemptState.RESEND_SAFE:
                to = AttemptState.ACCEPTED if url else AttemptState.PROVEN_ABSENT
                ended = {"ended_at": instant(now), "code": "person", "detail": f"{actor.id} said so"}
                outbox.settle_attempts(conn, [(attempt.id, was, to, ended)])
        state = State.PUBLISHED if url else State.FAILED
        fields = {"reason": f"by {actor.id}'s word"}
        if url:
            fields |= {"url": url, "published_at": instant(now)}
        facts = {"verdict": "published" if url else "not_published", "url": url, "by_word_of": actor.id}
        event = about("publish.reconciled", actor, current, code="person", said=note, facts=facts)
        outbox.change(conn, now, [(current, state, fields, event)])
        if url:
            wake_next_parts(conn, now, [current.id])
    return state
