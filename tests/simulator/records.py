"""What is stored must bear out what happened: intents, outcomes, notices, the log, and later looks."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from scheduler.domain.delivery import Delivery, State
from scheduler.domain.gates import MAX_ATTEMPTS
from scheduler.domain.publisher import Receipt

from .witness import FENCE

if TYPE_CHECKING:
    from .day import Day

S = State
OUT = frozenset({S.PUBLISHED, S.VERIFIED})
# The last entry of a delivery that says where it stands, and where it may stand after it.
SAYS = {
    "content.queued": {S.SCHEDULED},
    "schedule.moved": {S.SCHEDULED},
    "schedule.retried": {S.SCHEDULED},
    "publish.attempted": {S.PUBLISHING},
    "publish.accepted": {S.PUBLISHED},
    "publish.deferred": {S.SCHEDULED, S.ASKING},
    "publish.failed": {S.FAILED, S.ASKING},
    "publish.unknown": {S.UNCONFIRMED, S.ASKING},
    "publish.verified": {S.VERIFIED},
    "publish.mismatch": {S.ASKING},
    "publish.missing": {S.ASKING},
    "schedule.missed": {S.MISSED},
    "content.withdrawn": {S.CANCELLED},
}
VERDICTS = {
    "there": {S.PUBLISHED},
    "late_receipt": {S.PUBLISHED},
    "absent": {S.SCHEDULED},
    "resend": {S.SCHEDULED},
    "ask": {S.ASKING},
    "published": {S.PUBLISHED},
    "not_published": {S.FAILED},
}


@dataclass
class Intents:
    """Asked at each first byte: whether its intent, and what allows it, is on disk at that very moment."""

    day: Day
    handed: list[tuple[str, str, str]] = field(default_factory=list)
    last: dict[tuple[str, str], float] = field(default_factory=dict)

    def first_byte(self, account: str, key: str) -> None:
        """Judge it by what is stored now."""
        day, now = self.day, self.day.world.now
        rows = day.store.ask(
            "select d.state, a.state, a.lease, a.intent_at, a.deadline, d.name from attempts a"
            f" join deliveries d on d.id = a.delivery_id where d.key = '{key}' and a.state = 'intent'"
        )
        object_ = day.witness.object
        if len(rows) != 1 or rows[0][0] != "publishing":
            object_(f"a request of {account} left without its intent on disk (key {key})")
            return
        _, _, lease, begun, deadline, name = rows[0]
        wall = day.world.wall()
        if not day.world.clock_error and not _seconds(begun) - 0.01 <= wall <= _seconds(deadline) + 0.01:
            object_(f"{name} left outside of the time that its intent says")
        if now - self.last.get((account, key), 0.0) < 0.9:
            object_(f"{name} was sent twice within a second")
        self.last[account, key] = now
        ((safe,),) = day.store.ask("select safe_since from control")
        if safe and wall - _seconds(safe) > FENCE:
            object_(f"{name} was sent in safe mode")
        held = day.store.ask("select epoch, taken_at, released_at from leases where scope = ''")
        for epoch, taken, _ in held:
            if lease != epoch and not day.world.clock_error and wall - _seconds(taken) > FENCE:
                object_(f"{name} was sent under lease {lease}, and {epoch} is the one that counts")

    def settled(self, outcomes: Any) -> None:
        """A sender has recorded these: nothing of them may be lost from now on."""
        for one in outcomes:
            said = one.result.remote_id if isinstance(one.result, Receipt) else ""
            self.handed.append((one.attempt_id, type(one.result).__name__, said))


def check(day: Day, every: list[Delivery], entries: list[dict[str, Any]]) -> list[str]:
    """Sentences about what is wrong with the records of a day that has ended."""
    once = Counter(d.name for d in every)
    wrong = _outcomes(day) + _leases(day)
    for d in every:
        mine = [e for e in entries if e.get("delivery") == d.name]
        if once[d.name] == 1:
            wrong += _story(d, mine)
        wrong += _looked_at(day, d, mine) + _receipt(day, d)
    return wrong + _notices(day, every, entries) + _attempts(day) + _threads(day)


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def _outcomes(day: Day) -> list[str]:
    """What a sender handed in is its attempt's outcome, or kept beside it."""
    states = {r[0]: r[1] for r in day.store.ask("select id, state from attempts")}
    kept = Counter((r[0], r[1]) for r in day.store.ask("select attempt_id, remote_id from late_evidence"))
    known = {r[0] for r in day.store.ask("select remote_id from deliveries where remote_id != ''")}
    beside = {r[0] for r in kept}
    fits = {"Receipt": ("accepted",), "Rejected": ("rejected",), "Unauthorised": ("rejected",)}
    wrong = []
    for attempt, kind, remote_id in day.intents.handed:
        if kind == "Receipt" and remote_id not in known and not kept[attempt, remote_id]:
            wrong.append(f"the receipt #{remote_id} of a sender is nowhere")
        elif (
            attempt not in beside
            and states[attempt]
            not in fits.get(kind, ("not_sent", "unknown", "accepted", "proven_absent", "resend_safe"))
        ) or (kind in ("NotSent", "RetryLater") and attempt not in beside and states[attempt] != "not_sent"):
            wrong.append(f"a sender said {kind} of an attempt that is called {states[attempt]}")
    return wrong


def _leases(day: Day) -> list[str]:
    epochs = [r[0] for r in day.store.ask("select lease from attempts order by intent_at, id")]
    if not day.stepped and epochs != sorted(epochs):
        return ["the epochs of the leases went back"]
    return []


def _story(d: Delivery, mine: list[dict[str, Any]]) -> list[str]:
    """The last entry that says where it stands says where it stands."""
    told = [e for e in mine if e["type"] in SAYS or e["type"] == "publish.reconciled"]
    if not told or d.state not in {S.PUBLISHED, S.VERIFIED, S.MISSED, S.FAILED, S.CANCELLED, S.SCHEDULED}:
        return []
    last = told[-1]
    allowed = SAYS.get(last["type"]) or VERDICTS.get(last.get("verdict", ""), set())
    if d.state not in allowed:
        return [f"{d.name} is {d.state}, and the log's last word is {last['type']} {last.get('verdict', '')}"]
    return []


def _looked_at(day: Day, d: Delivery, mine: list[dict[str, Any]]) -> list[str]:
    """What is published is read back, until it is equal, a question, or nobody can say."""
    if d.state is not S.PUBLISHED:
        return []
    ((look_at,),) = day.store.ask(f"select look_at from deliveries where id = '{d.id}'")
    if look_at and _seconds(look_at) < day.world.wall() - 120:
        return [f"{d.name} is published, and nobody has read it back"]
    if not look_at and not any(
        e["type"] == "publish.unverified" or e.get("verdict") == "published" for e in mine
    ):
        return [f"{d.name} is not read back any more, and nothing says why"]
    return []


def _receipt(day: Day, d: Delivery) -> list[str]:
    """Its receipt is its own post's; what is verified was there in the very words."""
    if d.state is S.VERIFIED and not d.remote_id.isdecimal():
        return [f"{d.name} is called verified, and never was there"]
    if d.state not in OUT or not d.remote_id.isdecimal():
        return []
    post = next((p for p in day.platforms.posts if str(p.number) == d.remote_id), None)
    if post is None or post.account != d.account or not post.words.startswith(d.content.text):
        return [f"{d.name} has the receipt of another post (#{d.remote_id})"]
    if d.state is S.VERIFIED and post.words != d.content.text:
        return [f"{d.name} is called verified, and says “{post.words}”"]
    return []


def _notices(day: Day, every: list[Delivery], entries: list[dict[str, Any]]) -> list[str]:
    """Each that was missed or is a person's to answer has its notice; one that still is has an open one."""
    rows = day.store.ask("select delivery_id, topic, state, about from notices")
    still = {(r[0], r[1]) for r in rows if r[2] != "closed"}
    wrong = [
        f"{d.name} is {d.state}, and its notice is closed"
        for d in every
        if d.state in (S.MISSED, S.FAILED, S.ASKING) and (d.id, d.state.value) not in still
    ]
    told = Counter(r[3] for r in rows if r[1] == "missed")
    missed = Counter(e["delivery"] for e in entries if e["type"] == "schedule.missed")
    for name, n in missed.items():
        if n != told[name]:
            wrong.append(f"{name} was missed {n} times, and told {told[name]} times")
    return wrong


def _attempts(day: Day) -> list[str]:
    """Numbered within the limit; of what left, each has its time, and of what did not, none."""
    wrong = []
    for n, state, sent, name in day.store.ask(
        "select a.n, a.state, a.sent_us, d.name from attempts a join deliveries d on d.id = a.delivery_id"
    ):
        if not 1 <= n <= MAX_ATTEMPTS:
            wrong.append(f"{name} has an attempt with the number {n}")
        if state == "rejected" and not sent:
            wrong.append(f"{name} was refused, and nothing says when it was sent")
    for raw, name in day.store.ask("select extra, name from deliveries"):
        if not isinstance(json.loads(raw), dict):
            wrong.append(f"{name} has a damaged receipt")
    return wrong


def _threads(day: Day) -> list[str]:
    """No part of a thread is there before the part that it answers to."""
    wrong = []
    for post in day.platforms.posts:
        if " 2 for " in post.words and not post.parent:
            wrong.append(f"“{post.words}” answers to nothing")
        elif " 2 for " in post.words:
            before = [p for p in day.platforms.posts if str(p.number) == post.parent and p.at <= post.at]
            if not any(" 1 for " in p.words and p.account == post.account for p in before):
                wrong.append(f"“{post.words}” answers to #{post.parent}, which is not its first part")
    return wrong
