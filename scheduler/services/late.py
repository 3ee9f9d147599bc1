"""Word that comes after an outcome was concluded: kept, logged, and followed, never thrown away.

A receipt outweighs every look and every person: its post is out, so its delivery is never sent again. Where
somebody was told otherwise, or where there may be two posts, a person is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from scheduler.domain.content import instant
from scheduler.domain.delivery import MAY_STILL_LAND, OPEN_ATTEMPT, OUT, AttemptState, Delivery, State
from scheduler.domain.publisher import Receipt
from scheduler.errors import NotSent, PublishError, Rejected, RetryLater
from scheduler.evidence.entry import ulid
from scheduler.services.events import DAEMON, about, plain
from scheduler.services.receipts import accepted, published
from scheduler.services.tell import tell
from scheduler.store import late, log, outbox

A, S = AttemptState, State
Word = Receipt | PublishError

_TOLD_NOT_OUT = frozenset({S.FAILED, S.MISSED, S.CANCELLED})


@dataclass(frozen=True, slots=True)
class _Case:
    """One late word: about which attempt of which delivery, and what else is known in this transaction."""

    delivery: Delivery
    attempt: Any
    others: tuple[Any, ...]
    posts: tuple[Receipt, ...]  # those that are known to be this delivery's already
    same_words: bool  # whether the attempt had the words that the delivery has now


def keep(conn: Connection, now: datetime, d: Delivery, attempt: Any, word: Word) -> None:
    """Store a late word and its log entry, in the caller's transaction."""
    code, detail = said_by(word)
    late.add(
        conn,
        {
            "id": ulid(now),
            "attempt_id": attempt.id,
            "delivery_id": d.id,
            "at": instant(now),
            "kind": kind_of(word),
            "remote_id": plain(word.remote_id) if isinstance(word, Receipt) else "",
            "url": plain(word.url) if isinstance(word, Receipt) else "",
            "detail": f"{code}: {detail}".strip(": "),
        },
    )
    facts = {"try": attempt.n, "word": kind_of(word), "concluded": attempt.state}
    event = (
        accepted("publish.late_evidence", d, word, facts)
        if isinstance(word, Receipt)
        else about("publish.late_evidence", DAEMON, d, code=code, said=detail, facts=facts)
    )
    log.append(conn, now, [event])


def take(conn: Connection, now: datetime, delivery_id: str, attempt: Any, word: Word) -> bool:
    """Keep a late word and do what it asks for, in the caller's transaction.

    Returns whether the delivery became published by it. A crash before the caller's commit loses the word
    together with the process that brought it: what is in doubt is looked for, as without it.
    """
    case = _case(conn, delivery_id, attempt)
    was = A(attempt.state)
    keep(conn, now, case.delivery, attempt, word)
    if isinstance(word, Receipt):
        if was in MAY_STILL_LAND:
            outbox.settle_attempts(conn, [(attempt.id, was, A.ACCEPTED, {"ended_at": instant(now)})])
        return _receipt(conn, now, case, word)
    if isinstance(word, Rejected | NotSent | RetryLater):
        _refused(conn, now, case, word)
    else:
        _unknown(conn, now, case)
    return False


def kind_of(word: Word) -> str:
    """accepted, rejected, not_sent or unknown."""
    if isinstance(word, Receipt):
        return "accepted"
    if isinstance(word, Rejected):
        return "rejected"
    return "not_sent" if isinstance(word, NotSent | RetryLater) else "unknown"


def said_by(word: Word) -> tuple[str, str]:
    """Code and detail of what was said, fit for columns and log."""
    return ("", "") if isinstance(word, Receipt) else (plain(word.code[:80]), plain(word.detail[:500]))


def same_post(one: Receipt, other: Receipt) -> bool:
    """Whether two proofs name one post; what a person found has an address and no id."""
    if one.remote_id and other.remote_id:
        return one.remote_id == other.remote_id
    return one.url.rstrip("/") == other.url.rstrip("/")


def _case(conn: Connection, delivery_id: str, attempt: Any) -> _Case:
    (d,) = outbox.find(conn, ids=[delivery_id])
    others = tuple(a for a in outbox.attempts_of(conn, [d.id]).get(d.id, ()) if a.id != attempt.id)
    posts = list(late.receipts(conn, [d.id]).get(d.id, ()))
    if d.remote_id or d.url:
        posts.append(Receipt(d.remote_id, d.url))
    # Which words an attempt had is written in the log, with the very instant of its intent.
    sent = [
        e.body.get("content_sha256")
        for e in log.read(conn, delivery=d.name, campaign=d.campaign, type="publish.attempted")
        if e.body["at"] == attempt.intent_at
    ]
    return _Case(d, attempt, others, tuple(posts), not sent or sent[-1] == d.content_sha256)


def _receipt(conn: Connection, now: datetime, case: _Case, word: Receipt) -> bool:
    d = case.delivery
    in_flight = any(A(a.state) in OPEN_ATTEMPT for a in case.others)
    # Its last open attempt has just been concluded by this word: nothing looks for it any more.
    concluded = d.state is S.UNCONFIRMED and not in_flight
    if case.posts and not all(same_post(word, known) for known in case.posts):
        both = " and ".join(dict.fromkeys(p.url or p.remote_id for p in (*case.posts, word)))
        _ask(conn, now, d, f"there may be two posts of it: {both}", {})
        return False
    if case.posts and not concluded:
        if word.remote_id and not d.remote_id:
            outbox.note(conn, [d.id], remote_id=plain(word.remote_id))
        return False
    if d.state in (S.PUBLISHING, S.UNCONFIRMED) and in_flight:
        return False  # settling or looking for the later attempt finds this proof, and sends nothing again
    proof = {**published(word, instant(now)), "look_at": ""}
    del proof["reason"]
    if d.state is S.RETRACTING:
        # Nobody knew where it was: now the removal does.
        outbox.note(conn, [d.id], remote_id=proof["remote_id"], url=proof["url"], extra=proof["extra"])
        return False
    if d.state is S.RETRACTED or in_flight or not case.same_words:
        why = "another attempt may have landed too" if in_flight else "though it was removed or reworded"
        _ask(conn, now, d, f"it is out after all, {why}: {word.url}", proof)
        return False
    if d.state in _TOLD_NOT_OUT:
        _ask(conn, now, d, f"it was {d.state} as certainly not out, and yet it is out: {word.url}", proof)
        return False
    event = accepted("publish.reconciled", d, word, {"verdict": "late_receipt", "try": case.attempt.n})
    outbox.change(conn, now, [(d, S.PUBLISHED, published(word, instant(now)), event)])
    return True


def _unknown(conn: Connection, now: datetime, case: _Case) -> None:
    """Its sender was taken for dead, and it did send: "not there" was said too early."""
    d = case.delivery
    if A(case.attempt.state) is A.PROVEN_ABSENT:
        _ask(conn, now, d, "an attempt that was taken for absent was sent after all, and may be out", {})


def _refused(conn: Connection, now: datetime, case: _Case, word: PublishError) -> None:
    """The very sender says that its request made no post."""
    d, was = case.delivery, A(case.attempt.state)
    code, detail = said_by(word)
    if was is A.UNKNOWN:
        to = A.REJECTED if isinstance(word, Rejected) else A.NOT_SENT
        ended = {"ended_at": instant(now), "code": code, "detail": detail}
        outbox.settle_attempts(conn, [(case.attempt.id, was, to, ended)])
        if d.state is S.ASKING:
            _ask(conn, now, d, f"its sender says now that it was not published ({code})", {})
    by_record = any(A(a.state) is A.RESEND_SAFE for a in case.others)
    found = was is A.ACCEPTED and not case.attempt.sent_us  # by looking, not by its own receipt
    if found and d.state in OUT and not by_record:
        # A post with these words was found, but our request did not make it: it may be somebody else's.
        _ask(conn, now, d, f"our request was refused ({code}), so the post found may not be ours", {})


def _ask(conn: Connection, now: datetime, d: Delivery, why: str, fields: dict[str, Any]) -> None:
    """Make it a question, whatever it was; what cannot become one now is told all the same."""
    reason = f"{why}: look at the account, then launchday resolve {d.name}"
    in_doubt = d.state in (S.PUBLISHING, S.UNCONFIRMED) and outbox.with_attempt(conn, [d.id], OPEN_ATTEMPT)
    if d.state in (S.ASKING, S.RETRACTING) or in_doubt:
        if d.state is S.ASKING:
            outbox.note(conn, [d.id], reason=reason, **fields)
        tell(
            conn,
            now,
            "late_evidence",
            d.name,
            f"{d.name}: {reason}",
            organisation=d.organisation,
            delivery_id=d.id,
        )
        return
    event = about("publish.unknown", DAEMON, d, code="late_evidence", facts={"was": d.state.value})
    outbox.change(conn, now, [(d, S.ASKING, {**fields, "reason": reason}, event)])
    if d.state is S.CANCELLED:
        _stop_namesakes(conn, now, d)


def _stop_namesakes(conn: Connection, now: datetime, d: Delivery) -> None:
    """What was queued in the place of a cancelled delivery must not go out beside it unasked."""
    waiting = outbox.find(conn, campaign=d.campaign, name=d.name, states=[S.SCHEDULED])
    reason = f"a cancelled delivery of this name is out after all: launchday resolve {d.name}"
    event = "publish.unknown"
    outbox.change(
        conn,
        now,
        [
            (one, S.ASKING, {"reason": reason}, about(event, DAEMON, one, code="late_evidence"))
            for one in waiting
        ],
    )
