"""A person's answer for a delivery that only a person can tell."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection

from scheduler.domain.account import Account
from scheduler.domain.content import instant, parse_instant
from scheduler.domain.delivery import MAY_STILL_LAND, OPEN_ATTEMPT, AttemptState, Delivery, State
from scheduler.domain.publisher import Publisher, Receipt, ShowsPosts
from scheduler.errors import UsageError
from scheduler.evidence.entry import Actor
from scheduler.services.clock import Clock
from scheduler.services.events import about
from scheduler.services.late import keep
from scheduler.services.settle import wake_next_parts
from scheduler.store import late, outbox
from scheduler.store.database import Database

A, S = AttemptState, State


def resolve(
    db: Database,
    clock: Clock,
    actor: Actor,
    asked: Delivery,
    url: str,
    note: str,
    *,
    removed: bool = False,
    settle: timedelta = timedelta(0),
) -> State:
    """Record the answer: published at `url`; or ("") certainly not out, which is then `failed`; or `removed`.

    "Not out" is taken only where no attempt may still land by itself (its deadline and `settle` have
    passed) and no platform gave proof of the contrary. Raises UsageError where the delivery is no question,
    or the answer cannot be true yet.
    """
    now = clock.now()
    with db.write() as conn:
        # A crash before the commit leaves the question open: it is simply asked again.
        current = next(iter(outbox.find(conn, ids=[asked.id])), asked)
        if current.state is not S.ASKING:
            raise UsageError(
                f"{current.name} is {current.state}, not a question", help="launchday show says more"
            )
        attempts = outbox.attempts_of(conn, [current.id]).get(current.id, [])
        if not url and not removed:
            _must_be_possible(conn, now, current, attempts, settle)
        for attempt in attempts:
            was = A(attempt.state)
            if was in OPEN_ATTEMPT or was is A.RESEND_SAFE:
                to = A.ACCEPTED if url or removed else A.PROVEN_ABSENT
                ended = {"ended_at": instant(now), "code": "person", "detail": f"{actor.id} said so"}
                outbox.settle_attempts(conn, [(attempt.id, was, to, ended)])
        state = S.RETRACTED if removed else S.PUBLISHED if url else S.FAILED
        fields: dict[str, Any] = {"reason": f"by {actor.id}'s word", "look_at": ""}
        if url:
            fields |= {"url": url, "published_at": instant(current.published_at or now)}
            if url.rstrip("/") != current.url.rstrip("/"):
                # The id that is stored is of another post than the one that the person saw.
                fields |= {"remote_id": _known_id(conn, current, url), "extra": "{}"}
                _keep_other(conn, now, current, attempts)
        if removed:
            fields |= {"ended_by": actor.id}
        facts = {"verdict": _verdict(state), "url": url, "by_word_of": actor.id}
        type = "publish.retracted" if removed else "publish.reconciled"
        event = about(type, actor, current, code="person", said=note, facts=facts)
        outbox.change(conn, now, [(current, state, fields, event)])
        if url:
            wake_next_parts(conn, now, [current.id])
    return state


def _known_id(conn: Connection, d: Delivery, url: str) -> str:
    """The id of the post at that address, where a platform's late proof has it."""
    proofs = late.receipts(conn, [d.id]).get(d.id, ())
    return next((p.remote_id for p in proofs if p.url.rstrip("/") == url.rstrip("/")), "")


def _keep_other(conn: Connection, now: datetime, d: Delivery, attempts: list[Any]) -> None:
    """What the platform itself answered with stays known: a removal must not forget that post."""
    answered = [a for a in attempts if A(a.state) is A.ACCEPTED and a.sent_us]
    known = {p.remote_id for p in late.receipts(conn, [d.id]).get(d.id, ())}
    if d.remote_id and answered and d.remote_id not in known:
        keep(conn, now, d, answered[-1], Receipt(d.remote_id, d.url))


def is_of(url: str, account: Account, publisher: Publisher | None) -> bool:
    """Whether an address can be a post of the account: on its own server, or where its platform shows posts.

    `https://x.com@elsewhere.example/` is elsewhere: what counts is the host that a browser would ask.
    """
    host = (urlsplit(url).hostname or "").casefold().rstrip(".")
    known = {urlsplit(account.server or (publisher.server if publisher else "")).hostname or ""}
    if "@" in account.handle.lstrip("@"):
        known.add(account.handle.rpartition("@")[2])
    shows: object = publisher
    if isinstance(shows, ShowsPosts):
        known |= set(shows.pages)
    return any(host == one.casefold() or host.endswith(f".{one.casefold()}") for one in known if one)


def _verdict(state: State) -> str:
    return {S.RETRACTED: "removed", S.PUBLISHED: "published"}.get(state, "not_published")


def _must_be_possible(
    conn: Connection, now: datetime, d: Delivery, attempts: list[Any], settle: timedelta
) -> None:
    """Raise UsageError where "it is not out" contradicts proof, or may become untrue by itself."""
    proofs = [r.url or r.remote_id for r in late.receipts(conn, [d.id]).get(d.id, ())]
    if d.remote_id:
        proofs.append(d.url or d.remote_id)
    if proofs:
        raise UsageError(
            f"the platform gave proof that {d.name} was published: {proofs[-1]}",
            help="launchday retract removes it; or say --published URL, or --removed where it is gone",
        )
    until = [parse_instant(a.deadline) + settle for a in attempts if A(a.state) in MAY_STILL_LAND]
    if settle and until and max(until) > now:
        wait = int((max(until) - now).total_seconds()) + 1
        raise UsageError(
            f"it is too early to say: {d.name} may still appear by itself",
            help=f"look at the account again in {wait} s, then give the command again",
        )
