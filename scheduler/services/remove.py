"""Removing what people asked to have removed: a worker asks the platform, looks, and tells what remains.

Only a look proves a removal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.content import instant, parse_instant
from scheduler.domain.delivery import MAY_STILL_LAND, AttemptState, Delivery, State
from scheduler.domain.publisher import Receipt, Seen
from scheduler.errors import CannotTell, PublishError, Rejected, RetryLater
from scheduler.services import late
from scheduler.services.arm import account_of, unstored
from scheduler.services.calls import Find, LookAt, Remove
from scheduler.services.clock import Clock
from scheduler.services.events import DAEMON, about, plain
from scheduler.services.reach import Reach
from scheduler.services.readback import look_at, receipt_of
from scheduler.services.receipts import accepted
from scheduler.services.reconcile import Reconciled, contested
from scheduler.services.timing import Timing
from scheduler.store import late as late_evidence
from scheduler.store import log, looks, outbox
from scheduler.store.database import Database

GONE_LOOKS = 2  # so many looks in a row that do not find it, apart, before it counts as removed
_CLOCK_MARGIN = timedelta(minutes=2)


def remove(
    db: Database, clock: Clock, reach: Reach, timing: Timing, organisation: str = ""
) -> tuple[Reconciled, ...]:
    """Ask for each removal that is due, then look whether the post is gone. Repeatable at every step.

    A crash between asking and recording leaves `retracting`: asking again is harmless, and looking is.
    """
    with db.read() as conn:
        waiting = looks.due(conn, State.RETRACTING, clock.now(), organisation)
        # The later parts of a thread go first: nothing is left hanging below a part that is gone.
        standing = outbox.find(conn, states=[State.RETRACTING])
        below = {d.after for d in standing if d.after}
        blocked = [one for one in waiting if one.delivery.id in below]
        waiting = [one for one in waiting if one.delivery.id not in below]
        ids = [one.delivery.id for one in waiting]
        others = late_evidence.receipts(conn, ids)
        attempts = outbox.attempts_of(conn, ids)
    if blocked:
        _wait_for_parts(db, timing, clock.now(), blocked)
    if not waiting:
        return ()
    tries = [
        _Try(one, _posts(one, others.get(one.delivery.id, ())), attempts.get(one.delivery.id, ()))
        for one in waiting
    ]
    began = clock.now()
    deadline = clock.seconds() + timing.reply_within.total_seconds()
    asked = _ask_all(reach, [t for t in tries if t.posts], deadline)
    # After the removals: an attempt in doubt may have made another post than those that are known.
    found = _search(reach, clock, [t for t in tries if not t.posts or t.in_doubt], deadline)
    with db.write() as conn:
        fresh = looks.still(conn, waiting, State.RETRACTING)
        changes: list[outbox.Change] = []
        said = []
        for one in tries:
            d = fresh.get(one.due.delivery.id)
            if d is None:
                continue
            answers, other = asked.get(d.id, ()), found.get(d.id)
            known = {post.remote_id for post in one.posts}
            gone = all(a.look is None for a in answers)
            if not one.posts or (gone and other and getattr(other, "remote_id", "") not in known):
                word = _found(conn, reach, timing, began, one, d, other, changes)
            else:
                word = _removed(conn, timing, began, one, d, answers, changes)
            said += [Reconciled(d, word)] if word else []
        outbox.change(conn, clock.now(), changes)
    return tuple(said)


def _wait_for_parts(db: Database, timing: Timing, now: datetime, blocked: Sequence[looks.Due]) -> None:
    with db.write() as conn:
        for one in looks.still(conn, blocked, State.RETRACTING):
            looks.later(conn, one, {"look_at": instant(now + min(timing.look_every, timing.settle / 4))})


@dataclass(frozen=True, slots=True)
class _Try:
    """One delivery of one round: the posts known to be its own, and its attempts."""

    due: looks.Due
    posts: tuple[Receipt, ...]
    attempts: Sequence[Any]

    @property
    def in_doubt(self) -> bool:
        """Whether an attempt may have made a post that nobody knows the id of."""
        return any(AttemptState(a.state) is AttemptState.UNKNOWN for a in self.attempts)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the platform said of one post: to the removal, and to the look after it."""

    post: Receipt
    removal: PublishError | None
    look: Seen | PublishError | None


def _posts(one: looks.Due, others: Sequence[Receipt]) -> tuple[Receipt, ...]:
    own = receipt_of(one)
    found = [own] if own.remote_id else []
    found += [r for r in others if r.remote_id and r.remote_id != own.remote_id]
    return tuple({r.remote_id: r for r in found}.values())


def _search(
    reach: Reach, clock: Clock, tries: Sequence[_Try], deadline: float
) -> dict[str, Receipt | PublishError | None]:
    """Where no id is known: look for the post as reconciling does."""
    calls: dict[str, Find] = {}
    answers: dict[str, Any] = {}
    for one in tries:
        d = one.due.delivery
        try:
            account = reach.place(account_of(one.due.profile))
            before = unstored(one.due.prepared)
            since = parse_instant(one.attempts[0].intent_at) - clock.offset - _CLOCK_MARGIN
            calls[d.id] = Find(account, replace(before, account=account), d.key, since)
        except (PublishError, ValueError, KeyError, TypeError, IndexError):
            answers[d.id] = CannotTell("damaged", "what was sent is not stored in full")
    answers |= zip(calls, reach.ask(list(calls.values()), deadline), strict=True)
    return answers


def _ask_all(reach: Reach, tries: Sequence[_Try], deadline: float) -> dict[str, list[_Answer]]:
    """Ask for every removal, then look at every post: two rounds, side by side within each."""
    calls: list[tuple[str, LookAt]] = []
    answers: dict[str, list[_Answer]] = {}
    for one in tries:
        answers[one.due.delivery.id] = []
        for post in one.posts:
            try:
                calls.append((one.due.delivery.id, look_at(reach, one.due, post)))
            except PublishError as error:
                answers[one.due.delivery.id].append(_Answer(post, error, error))
    asking = [Remove(c.account, c.prepared, c.receipt) for _, c in calls]
    removals = reach.ask(asking, deadline)
    seen = reach.ask([c for _, c in calls], deadline)
    for (which, call), removal, look in zip(calls, removals, seen, strict=True):
        answers[which].append(_Answer(call.receipt, removal, look))
    return answers


def _found(
    conn: Connection,
    reach: Reach,
    timing: Timing,
    now: datetime,
    one: _Try,
    d: Delivery,
    answer: Receipt | PublishError | None,
    changes: list[outbox.Change],
) -> str:
    """A search for what nobody knows the id of: removed in the next round, or a person is asked."""
    if isinstance(answer, Receipt):
        rivals = outbox.find(conn, states=[State.PUBLISHING, State.UNCONFIRMED, State.ASKING])
        taken = outbox.receipts(conn, [d.account]).get((d.account, answer.remote_id), d.id) != d.id
        elsewhere = d.url and not one.posts and not late.same_post(Receipt("", d.url), answer)
        if not (taken or elsewhere or contested(d, reach, rivals)):
            proof = {"remote_id": plain(answer.remote_id), "url": plain(answer.url), "look_at": instant(now)}
            if one.posts:
                (attempt,) = [a for a in one.attempts if AttemptState(a.state) is AttemptState.UNKNOWN]
                late.keep(conn, now, d, attempt, answer)
                proof = {"look_at": instant(now)}
            looks.later(conn, d.id, {**proof, "looks": 0})
            ended = {"ended_at": instant(now)}
            unknown = [a.id for a in one.attempts if AttemptState(a.state) is AttemptState.UNKNOWN]
            outbox.settle_attempts(
                conn, [(a, AttemptState.UNKNOWN, AttemptState.ACCEPTED, ended) for a in unknown]
            )
            log.append(conn, now, [accepted("publish.reconciled", d, answer, {"verdict": "there"})])
            return "found; it is removed next"
        answer = CannotTell("anothers", "the post found may be another one")
    if answer is None or _spent(timing, now, one):
        where = f" Remove it there: {d.url}." if d.url else ""
        reason = f"nothing of it was found that Launchday could remove.{where} launchday resolve {d.name}"
        if one.posts:
            reason = "what is known of it is removed, but a later attempt may have made a second post: "
            reason += f"look at the account, then launchday resolve {d.name}"
        changes.append(_ask(d, "not_found", reason))
        return "nothing was found to remove: a person is asked"
    looks.later(conn, d.id, {"look_at": instant(now + _pause(timing, now, one))})
    return ""


def _removed(
    conn: Connection,
    timing: Timing,
    now: datetime,
    one: _Try,
    d: Delivery,
    answers: Sequence[_Answer],
    changes: list[outbox.Change],
) -> str:
    """What removing and looking lead to: gone for certain, once more, or a person is asked."""
    if all(a.look is None for a in answers):
        # A post that is very young may only not be shown yet, and what may still land would come back.
        young = [d.published_at + timing.settle] if d.published_at else []
        young += [
            parse_instant(a.deadline) + timing.settle
            for a in one.attempts
            if AttemptState(a.state) in MAY_STILL_LAND
        ]
        sure_at = max([*young, now])
        if one.due.looks + 1 >= GONE_LOOKS and sure_at <= now:
            stood = now - (d.published_at or now)
            facts = {"remote_id": d.remote_id, "url": d.url, "stood_s": int(stood.total_seconds())}
            event = about("publish.retracted", DAEMON, d, facts=facts)
            fields = {"look_at": "", "reason": "removed, and looked for", "ended_by": "retracted"}
            changes.append((d, State.RETRACTED, fields, event))
            return "removed"
        again = max(sure_at, now + timing.settle / 4)
        looks.later(conn, d.id, {"look_at": instant(again), "looks": one.due.looks + 1})
        return ""
    there = [a for a in answers if isinstance(a.look, Seen)]
    refused = [a.removal for a in answers if isinstance(a.removal, Rejected)]
    blind = [a.look for a in answers if isinstance(a.look, PublishError)]
    no_look = any(b.code == "no_look" for b in blind)
    if (there and refused) or no_look or _spent(timing, now, one):
        code, reason = _what_remains(d, answers)
        changes.append(_ask(d, code, reason))
        return "NOT removed: a person is asked" if there else "it cannot be told whether it is removed"
    again = now + _pause(timing, now, one)
    for a in answers:
        if isinstance(a.removal, RetryLater) and a.removal.at:
            again = max(again, min(a.removal.at, now + timing.remove_for))
    looks.later(conn, d.id, {"look_at": instant(again), "looks": 0})
    return ""


def _what_remains(d: Delivery, answers: Sequence[_Answer]) -> tuple[str, str]:
    """Why it is not removed, and where it stands, as a sentence."""
    there = [a for a in answers if isinstance(a.look, Seen)]
    where = ", ".join(a.post.url or a.post.remote_id for a in (there or answers))
    why = next((a.removal for a in answers if a.removal), None)
    said = f" ({plain(why.code[:80])})" if why else ""
    if there:
        reason = (
            f"NOT removed{said}, still at {where}: remove it there, then launchday retract {d.name} again"
        )
        return "remains", reason
    reason = f"removal was asked for{said}, and nobody can tell whether it is gone: look at {where}, then"
    return "cannot_tell", f"{reason} launchday resolve {d.name} --removed"


def _ask(d: Delivery, code: str, reason: str) -> outbox.Change:
    event = about("publish.not_removed", DAEMON, d, code=code, facts={"url": d.url})
    fields: Mapping[str, Any] = {"look_at": "", "reason": reason}
    return d, State.ASKING, fields, event


def _spent(timing: Timing, now: datetime, one: _Try) -> bool:
    return now >= (one.due.asked_at or now) + timing.remove_for


def _pause(timing: Timing, now: datetime, one: _Try) -> timedelta:
    """As long again as it was tried, at least a second."""
    tried = now - (one.due.asked_at or now)
    return min(max(tried, timedelta(seconds=1)), timing.settle / 4)
