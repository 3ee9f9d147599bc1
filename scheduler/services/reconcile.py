"""Find out what became of attempts of unknown outcome: look, only then perhaps again, else ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.content import instant, parse_instant
from scheduler.domain.delivery import OPEN_ATTEMPT, AttemptState, Delivery, State
from scheduler.domain.gates import MAX_ATTEMPTS
from scheduler.domain.publisher import Capability, Receipt
from scheduler.domain.retry import Look, Verdict, hopeless, verdict
from scheduler.errors import CannotTell, PublishError
from scheduler.services import late
from scheduler.services.arm import account_of, prepare_to_find, unstored
from scheduler.services.calls import Find
from scheduler.services.clock import Clock
from scheduler.services.events import DAEMON, about, whole_second
from scheduler.services.reach import Reach
from scheduler.services.receipts import accepted, ask_about_differences, published
from scheduler.services.settle import wake_next_parts
from scheduler.services.timing import Timing
from scheduler.store import late as late_evidence
from scheduler.store import outbox
from scheduler.store.database import Database

# A server's clock may be behind ours: look for posts from a little before the intent.
_CLOCK_MARGIN = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Found:
    """What one look said: a receipt, nothing (None), or that it could not tell; `at` is when it began.

    `earlier` are the attempts before this one that may have landed too.
    """

    delivery: Delivery
    at: datetime
    attempt: Any
    earlier: Sequence[Any]
    result: Receipt | PublishError | None


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One line for people: the delivery and what was found out."""

    delivery: Delivery
    said: str


def adopt(
    db: Database, clock: Clock, timing: Timing, is_dead: Callable[[str], bool], organisation: str = ""
) -> tuple[Delivery, ...]:
    """Deliveries whose sender died between gate and outcome: their outcome is unknown from now on.

    `is_dead` proves it by the sender's lock; one that cannot be proven dead is given up long after its
    deadline. Recovery after a crash is this, then the normal path.
    """
    with db.read() as conn:
        flying = outbox.find(conn, states=[State.PUBLISHING], organisation=organisation)
        attempts = outbox.attempts_of(conn, [d.id for d in flying])
    now = clock.now()
    orphans = []
    for one in flying:
        attempt = _open(attempts.get(one.id, ()))
        late = now > hopeless(parse_instant(attempt.deadline), timing.settle)
        if late or is_dead(attempt.sender):
            orphans.append(one)
    if not orphans:
        return ()
    with db.write() as conn:
        # The sender may have settled some of them between our look and its end: take only what is left.
        left = outbox.find(conn, ids=[d.id for d in orphans], states=[State.PUBLISHING])
        why = "the sender died before it could record an outcome"
        ended = {"code": "sender_died", "detail": why}
        outbox.settle_attempts(
            conn,
            [(_open(attempts[d.id]).id, AttemptState.INTENT, AttemptState.UNKNOWN, ended) for d in left],
        )
        outbox.change(
            conn,
            now,
            [
                (
                    d,
                    State.UNCONFIRMED,
                    {"reason": why},
                    about("publish.unknown", DAEMON, d, code="sender_died"),
                )
                for d in left
            ],
        )
    return tuple(left)


def _open(attempts: Sequence[Any]) -> Any:
    return next(a for a in attempts if AttemptState(a.state) in OPEN_ATTEMPT)


def reconcile(
    db: Database,
    clock: Clock,
    reach: Reach,
    timing: Timing,
    is_dead: Callable[[str], bool],
    organisation: str = "",
) -> tuple[Reconciled, ...]:
    """Look once for every delivery that may be out, and draw the conclusions its class allows."""
    with db.read() as conn:
        doubt = outbox.find(conn, states=[State.UNCONFIRMED], organisation=organisation)
        ids = [d.id for d in doubt]
        attempts = outbox.attempts_of(conn, ids)
        prepared = outbox.column(conn, ids, "prepared")
        profiles = outbox.column(conn, ids, "profile")

    deadline = clock.seconds() + timing.reply_within.total_seconds()
    never = [d for d in doubt if not prepared[d.id]]
    anew = prepare_to_find(db, reach, never, deadline) if never else {}
    began: dict[str, datetime] = {}
    calls: dict[str, Find] = {}
    answers: dict[str, Receipt | PublishError | None] = {}
    for one in doubt:
        began[one.id] = clock.now()
        try:
            account = reach.place(account_of(profiles[one.id]))
            before = anew[one.id] if one.id in anew else unstored(prepared[one.id])
            if isinstance(before, PublishError):
                raise before
            if before.content.sha256 != one.content_sha256:
                raise CannotTell("changed", "what was prepared is not what was approved")
            since = parse_instant(attempts[one.id][0].intent_at) - clock.offset - _CLOCK_MARGIN
            calls[one.id] = Find(account, replace(before, account=account), one.key, since)
        except PublishError as error:
            answers[one.id] = error
        except Exception as error:
            answers[one.id] = CannotTell(
                "damaged", f"what is stored of it is damaged: {type(error).__name__}"
            )
    deadline = clock.seconds() + timing.reply_within.total_seconds()
    answers |= zip(calls, reach.ask(list(calls.values()), deadline), strict=True)
    found = []
    for one in doubt:
        earlier = [a for a in attempts[one.id] if a.state == AttemptState.RESEND_SAFE.value]
        found.append(Found(one, began[one.id], _open(attempts[one.id]), earlier, answers[one.id]))
    return _conclude(db, clock, reach, timing, is_dead, found) if found else ()


def _conclude(
    db: Database,
    clock: Clock,
    reach: Reach,
    timing: Timing,
    is_dead: Callable[[str], bool],
    found: Sequence[Found],
) -> tuple[Reconciled, ...]:
    now = clock.now()
    said: list[Reconciled] = []
    with db.write() as conn:
        # A crash before the commit forgets this look, and the next start looks again: looking is harmless.
        ids = [f.delivery.id for f in found]
        current = {d.id for d in outbox.find(conn, ids=ids, states=[State.UNCONFIRMED])}
        attempts = outbox.attempts_of(conn, ids)
        changes: list[outbox.Change] = []
        out: list[str] = []
        taken = outbox.receipts(conn, [f.delivery.account for f in found])
        proven = late_evidence.receipts(conn, list(current))
        rivals = outbox.find(conn, states=[State.PUBLISHING, State.UNCONFIRMED, State.ASKING])
        for look in found:
            one, d = look, look.delivery
            if d.id not in current:
                if not contested(d, reach, rivals):
                    _too_late(conn, now, one, taken)
                continue
            if not _still(attempts[d.id], one.attempt):
                continue  # another process was quicker; what it found out may differ from what we saw
            if isinstance(one.result, Receipt) and contested(d, reach, rivals):
                one = replace(
                    one, result=CannotTell("anothers", "two deliveries with these words are in doubt")
                )
            if isinstance(one.result, Receipt) and taken.setdefault(_post(one), d.id) != d.id:
                # The same words were published before, as another delivery: this may be that post, not ours.
                one = replace(
                    one, result=CannotTell("anothers", "the post found belongs to another delivery")
                )
            if d.id in proven and not _same(reach, one, proven[d.id]):
                changes.append(_ask_about(d, proven[d.id]))
                said.append(Reconciled(d, "an earlier attempt is out: a person is asked about this one"))
                continue
            if isinstance(one.result, Receipt):
                outbox.settle_attempts(
                    conn,
                    [
                        (
                            one.attempt.id,
                            AttemptState.UNKNOWN,
                            AttemptState.ACCEPTED,
                            {"ended_at": instant(now)},
                        )
                    ],
                )
                facts = {"verdict": "there", "try": d.attempts, "content_sha256": d.content_sha256}
                event = accepted("publish.reconciled", d, one.result, facts)
                changes.append((d, State.PUBLISHED, published(one.result, instant(now)), event))
                out.append(d.id)
                said.append(Reconciled(d, "asked the platform: there; recorded, not sent again"))
                continue
            word = _absent(conn, reach, timing, is_dead, one, now, changes)
            if word:
                said.append(Reconciled(d, word))
        outbox.change(conn, now, changes)
        receipts = [
            (f.delivery, f.result) for f in found if f.delivery.id in out and isinstance(f.result, Receipt)
        ]
        odd = ask_about_differences(conn, now, receipts)
        wake_next_parts(conn, now, [i for i in out if i not in odd])
    return tuple(said)


def _still(attempts: Sequence[Any], seen: Any) -> bool:
    """Whether what was looked for is what is in doubt now, and nobody has counted a look meanwhile."""
    left = [a for a in attempts if AttemptState(a.state) in OPEN_ATTEMPT]
    return [(a.id, a.looks) for a in left] == [(seen.id, seen.looks)]


def _too_late(conn: Connection, now: datetime, one: Found, taken: Mapping[tuple[str, str], str]) -> None:
    """Something was concluded while we looked: what we found is late evidence, not nothing."""
    if isinstance(one.result, Receipt) and taken.get(_post(one), one.delivery.id) == one.delivery.id:
        (d,) = outbox.find(conn, ids=[one.delivery.id])
        if d.remote_id != one.result.remote_id:
            attempt = late_evidence.attempts(conn, [one.attempt.id])[one.attempt.id]
            late.take(conn, now, d.id, attempt, one.result)


def _same(reach: Reach, one: Found, proofs: Sequence[Receipt]) -> bool:
    """Whether the look found the very post that is proven to be out, under a key that can have only one."""
    by_record = reach.capability(one.delivery.platform) is Capability.RECORD
    return by_record and isinstance(one.result, Receipt) and late.same_post(one.result, proofs[-1])


def _ask_about(d: Delivery, proofs: Sequence[Receipt]) -> outbox.Change:
    """A later attempt is in doubt while an earlier one is out: never sent again, whatever a look says."""
    said = f"it is out: {proofs[-1].url}, and a later attempt may have made a second post"
    event = about("publish.reconciled", DAEMON, d, facts={"verdict": str(Verdict.ASK), "try": d.attempts})
    return d, State.ASKING, {"reason": f"{said}: look at the account, then launchday resolve {d.name}"}, event


def contested(d: Delivery, reach: Reach, rivals: Sequence[Delivery]) -> bool:
    """Whether the post found may as well be that of another delivery in doubt: found by its words alone."""
    if reach.capability(d.platform) is Capability.RECORD:
        return False  # found by its own record key
    return any(r.id != d.id and r.account == d.account and r.content.text == d.content.text for r in rivals)


def _post(found: Found) -> tuple[str, str]:
    assert isinstance(found.result, Receipt)
    return found.delivery.account, found.result.remote_id


def _absent(
    conn: Any,
    reach: Reach,
    timing: Timing,
    is_dead: Callable[[str], bool],
    one: Found,
    now: datetime,
    changes: list[outbox.Change],
) -> str:
    """What a look that found nothing allows; returns a line for people, "" while it must wait."""
    d, attempt = one.delivery, one.attempt
    answered = one.result is None
    deadline = parse_instant(attempt.deadline)
    settled = one.at >= deadline + timing.settle
    apart = not attempt.looked_at or one.at >= parse_instant(attempt.looked_at) + timing.settle / 4
    looks = attempt.looks
    if answered and settled and apart:
        looks += 1
        outbox.looked(conn, attempt.id, one.at, looks)
    facts = Look(
        deadline=deadline,
        now=one.at,
        not_after=d.not_after,
        looks=looks,
        answered=answered,
        sender_dead=is_dead(attempt.sender),
        settle=timing.settle,
        tries_left=d.attempts < MAX_ATTEMPTS,
    )
    ruled = verdict(reach.capability(d.platform), facts)
    if ruled is Verdict.WAIT:
        return ""
    log_facts = {"verdict": str(ruled), "try": d.attempts, "looks": looks}
    event = about("publish.reconciled", DAEMON, d, facts=log_facts)
    ended = {"ended_at": instant(now)}
    if ruled is Verdict.ASK:
        code = one.result.code if isinstance(one.result, PublishError) else "write_only"
        reason = f"only a person can tell whether it is out ({code}): launchday resolve {d.name}"
        changes.append((d, State.ASKING, {"reason": reason}, event))
        return "the platform cannot say: a person is asked"
    to = AttemptState.RESEND_SAFE if ruled is Verdict.RESEND else AttemptState.PROVEN_ABSENT
    outbox.settle_attempts(conn, [(attempt.id, AttemptState.UNKNOWN, to, ended)])
    if to is AttemptState.PROVEN_ABSENT:
        gone = [(a.id, AttemptState.RESEND_SAFE, to, ended) for a in one.earlier]
        outbox.settle_attempts(conn, gone)
    fields = {
        "fire_at": instant(max(d.due, whole_second(now))),
        "reason": "looked for and not there; goes through the gate again",
    }
    changes.append((d, State.SCHEDULED, fields, event))
    return "asked the platform: not there; through the gate again"
