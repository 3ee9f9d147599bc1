"""The gate of a wave, in one transaction: an intent is on disk before its first byte leaves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Dialect

from scheduler.domain.content import Content, instant
from scheduler.domain.delivery import MAY_STILL_LAND, AttemptState, Delivery, State
from scheduler.domain.gates import Facts, Gate, gates
from scheduler.domain.publisher import Receipt
from scheduler.errors import PublishError
from scheduler.evidence.entry import ulid
from scheduler.services.clock import Clock
from scheduler.services.events import DAEMON, about, given_up
from scheduler.services.facts import facts
from scheduler.services.ground import Ground
from scheduler.store import desk, late, outbox
from scheduler.store.database import Database


@dataclass(frozen=True, slots=True)
class Ready:
    """An armed delivery: the hash of the content its request was built from, and what `find` will need.

    `content`, where given, is the very content with that hash: the gate need not parse it again.
    """

    content_sha256: str
    prepared: str = ""
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class Passed:
    """What may be sent: attempt id by delivery id, the stop epoch seen, and what was shut out and why.

    `stops` are reasons against the wave as a whole; then there are no attempts.
    """

    attempts: Mapping[str, str]
    epoch: int
    shut: tuple[tuple[Delivery, tuple[Gate, ...]], ...]
    stops: tuple[Gate, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """What may go and what may not, and the facts that say so."""

    known: Facts
    going: Sequence[Delivery]
    shut: Sequence[tuple[Delivery, tuple[Gate, ...]]]
    epoch: int


def judge(
    conn: Connection,
    clock: Clock,
    armed: Mapping[str, Ready],
    approvers: Mapping[str, Collection[str]],
    at: datetime,
    stops: Sequence[Gate] = (),
    not_before: datetime | None = None,
) -> Judged:
    """Ask every gate of every delivery, in the caller's transaction; `stops` are the ground's.

    `not_before`: the answer is for that moment, where it is still to come.
    """
    contents = {r.content_sha256: r.content for r in armed.values() if r.content}
    fresh = outbox.find(conn, ids=list(armed), contents=contents)
    known = facts(conn, clock, fresh, approvers)
    known = replace(known, now=max(known.now, not_before or known.now), stops=(*known.stops, *stops))
    going: list[Delivery] = []
    shut: list[tuple[Delivery, tuple[Gate, ...]]] = []
    for one in fresh:
        if why := _shut(one, known, armed[one.id], at):
            shut.append((one, why))
        else:
            going.append(one)
    return Judged(known, going, shut, desk.stop_epoch(conn))


def _shut(one: Delivery, known: Facts, ready: Ready, at: datetime) -> tuple[Gate, ...]:
    why, sent = gates(one, known, at=at), ready.content_sha256
    # The same object: its stored bytes were hashed as they were read, just now.
    same = one.content is ready.content or one.content.sha256 == sent
    if one.content_sha256 != sent or not same:
        why = (*why, Gate("changed", "its words changed after it was armed"))
    return why


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What the gate would decide, asked just before, and its intents, ready to be written.

    `mark` is the database's as the facts were read: while it is the same, no stored fact has changed. What
    goes would go at every moment from `since` up to T0 and, by the machine's clock, before `expires`.
    """

    mark: object
    judged: Judged
    intents: Intents
    at: datetime
    armed: Mapping[str, Ready]
    approvers: Mapping[str, Collection[str]]
    expires: datetime

    def still(self, mark: object, clock: Clock) -> Judged | None:
        """The same judgement for now, None where anything may be different: then every gate is asked anew."""
        before = self.judged.known
        known = replace(before, now=clock.now(), wall_now=clock.wall())
        # From then until T0 neither embargo, blackout, window nor "too early" can shut what was open.
        if mark != self.mark or not before.now <= known.now <= self.at:
            return None
        if not before.wall_now <= known.wall_now < self.expires:
            return None
        shut = [(one, _shut(one, known, self.armed[one.id], self.at)) for one, _ in self.judged.shut]
        return replace(self.judged, known=known, shut=shut) if all(why for _, why in shut) else None

    def is_about(
        self, armed: Mapping[str, Ready], approvers: Mapping[str, Collection[str]], at: datetime
    ) -> bool:
        """Whether this very question was asked."""
        return self.armed is armed and self.at == at and self.approvers == known_people(approvers)


def known_people(approvers: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    """Who may approve for whom, as a value that nobody changes."""
    return {organisation: frozenset(people) for organisation, people in approvers.items()}


def gate(
    db: Database,
    clock: Clock,
    armed: Mapping[str, Ready],
    approvers: Mapping[str, Collection[str]],
    *,
    sender: str,
    at: datetime,
    reply_within: timedelta,
    ground: Ground = Ground(),  # noqa: B008 - because a Ground is a frozen value
    deciding: Callable[[], None] = lambda: None,
    foreseen: Callable[[], tuple[Foreseen, object] | None] = lambda: None,
) -> Passed:
    """Let through what may go at `at`, and write its intents, in one transaction.

    `ground` is what the wave as a whole stands on: where that has given way nothing of it goes. `deciding` is
    called once the write lock is had, before anything is looked at: waiting for the lock does not count.
    `foreseen`, asked after that, gives what was decided just before for the same question, and the
    database's mark now.

    A delivery whose stored content is not what its request bytes were built from is shut out. What lacks
    approval at its time is missed: a late approval never publishes by itself.
    """
    with db.write() as conn:
        deciding()
        stops = ground.stops(conn)
        before = foreseen() if not stops else None
        same = before[0].still(before[1], clock) if before else None
        if before and same and before[0].is_about(armed, approvers, at):
            judged, intents = same, before[0].intents
        else:
            judged = judge(conn, clock, armed, approvers, at, stops)
            intents = intend(conn.dialect, judged.known.now, judged.going, armed)
        now = judged.known.now
        _miss_unapproved(conn, now, judged.shut)
        deadline = max(at, now) + reply_within
        _write(conn, now, intents, sender, deadline, ground.epoch)
        # A crash after this commit leaves `publishing` with an open attempt: recovery looks first.
        return Passed(intents.attempts, judged.epoch, tuple(judged.shut), tuple(judged.known.stops))


def _miss_unapproved(
    conn: Connection, now: datetime, shut: Sequence[tuple[Delivery, tuple[Gate, ...]]]
) -> None:
    late = [
        (d, next(g.sentence for g in why if g.code == "unapproved"))
        for d, why in shut
        if {g.code for g in why} == {"unapproved"}
    ]
    landing = outbox.with_attempt(conn, [d.id for d, _ in late], MAY_STILL_LAND)
    outbox.change(
        conn,
        now,
        [given_up(d, DAEMON, "unapproved", f"{sentence} when it was due", landing) for d, sentence in late],
    )


@dataclass(frozen=True, slots=True)
class Intents:
    """What the gate writes, all but the time: attempts with their numbers, changes of state, entries."""

    attempts: Mapping[str, str]
    tries: Sequence[int]
    changes: outbox.Planned


def intend(
    dialect: Dialect, about_now: datetime, going: Sequence[Delivery], armed: Mapping[str, Ready]
) -> Intents:
    """Put together the intents of what goes."""
    changes: list[outbox.Change] = [
        (
            d,
            State.PUBLISHING,
            # With the intent, so that `find` looks for the very post this attempt may have made.
            {"prepared": armed[d.id].prepared, "attempts": d.attempts + 1},
            about(
                "publish.attempted",
                DAEMON,
                d,
                facts={
                    "try": d.attempts + 1,
                    "content_sha256": d.content_sha256,
                    "plan_sha256": d.plan_sha256,
                    "policy_sha256": d.policy_sha256,
                    "key": d.key,
                },
            ),
        )
        for d in going
    ]
    return Intents(
        {d.id: ulid(about_now) for d in going},
        [d.attempts + 1 for d in going],
        outbox.planned(dialect, about_now, changes),
    )


def _write(
    conn: Connection, now: datetime, intents: Intents, sender: str, deadline: datetime, lease: int
) -> None:
    begun, until = instant(now), instant(deadline)
    rows = [
        {
            "id": attempt,
            "delivery_id": delivery,
            "n": number,
            "state": AttemptState.INTENT.value,
            "sender": sender,
            "intent_at": begun,
            "deadline": until,
            "ended_at": "",
            "sent_us": 0,
            "code": "",
            "detail": "",
            "looks": 0,
            "looked_at": "",
            "lease": lease,
        }
        for (delivery, attempt), number in zip(intents.attempts.items(), intents.tries, strict=True)
    ]
    outbox.carry_out(conn, now, intents.changes)
    outbox.open_attempts(conn, now, rows)


def stand_down(db: Database, clock: Clock, attempts: Mapping[str, str], why: PublishError) -> None:
    """The last look said stop: nothing was written. The attempts end `not_sent`, the deliveries wait on.

    One of which an earlier attempt has proved to be out meanwhile does not wait on: a person is asked.
    """
    now = clock.now()
    with db.write() as conn:
        # A crash before the commit leaves `publishing` with open attempts: recovery looks, and finds nothing.
        fresh = outbox.find(conn, ids=list(attempts))
        proven = late.receipts(conn, list(attempts))
        ended = {"ended_at": instant(now), "code": why.code, "detail": why.detail}
        outbox.settle_attempts(
            conn, [(attempts[d.id], AttemptState.INTENT, AttemptState.NOT_SENT, ended) for d in fresh]
        )
        outbox.change(conn, now, [_stood_down(d, why, proven.get(d.id, ())) for d in fresh])


def _stood_down(d: Delivery, why: PublishError, proofs: Sequence[Receipt]) -> outbox.Change:
    # It was never on its way: this does not use up one of its tries.
    fields = {"reason": why.detail, "attempts": d.attempts - 1}
    state = State.SCHEDULED
    if proofs:
        state, there = State.ASKING, proofs[-1].url or proofs[-1].remote_id
        fields["reason"] = f"an earlier attempt is out: {there}: launchday resolve {d.name}"
    event = about("publish.deferred", DAEMON, d, code=why.code, said=why.detail, facts={"sent": False})
    return d, state, fields, event
