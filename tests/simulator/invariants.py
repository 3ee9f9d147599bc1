"""What must be true when a day has ended: the store, the log and the ledgers tell one story."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from scheduler.domain.delivery import MAY_STILL_LAND, OPEN_ATTEMPT, AttemptState, Delivery, State
from scheduler.errors import LogBroken
from scheduler.services.verify import verify
from scheduler.store import log, outbox

from . import records
from .people import APPROVERS
from .platforms import Post, same
from .punctual import unpunctual

if TYPE_CHECKING:
    from .day import Day

S = State
NOT_OUT = frozenset({S.MISSED, S.FAILED, S.CANCELLED})
OUT = frozenset({S.PUBLISHED, S.VERIFIED})
ENDS = frozenset({*NOT_OUT, *OUT, S.ASKING, S.RETRACTED})


def check(day: Day) -> list[str]:
    """Sentences about what is wrong; empty = nothing is."""
    wrong: list[str] = []
    with day.db.read() as conn:
        every = outbox.find(conn)
        attempts = outbox.attempts_of(conn, [d.id for d in every])
        entries = [e.body for e in log.read(conn)]
        told = _told(conn)
    wrong += twice(day)
    for one in every:
        wrong += _one(day, one, attempts.get(one.id, []), told)
    wrong += _log(day, entries)
    wrong += records.check(day, every, entries)
    wrong += unpunctual(day)
    _count(day, every, entries)
    return wrong


def twice(day: Day) -> list[str]:
    """Two posts of one delivery: by its key, and by its account and words."""
    wrong = []
    seen: dict[tuple[str, str], Post] = {}
    for post in sorted(day.platforms.posts, key=lambda p: p.at):
        for mark in ((post.account, post.words.partition(" [")[0]), (post.account, f"key {post.key}")):
            before = seen.get(mark)
            if (
                before is not None
                and before is not post
                and not (before.removed_by == "platform" and before.removed_at <= post.at)
            ):
                wrong.append(f"{post.account} has “{mark[1]}” twice: #{before.number} and #{post.number}")
            seen[mark] = post
    return wrong


def twice_or_lost(day: Day) -> list[str]:
    """For naive designs: duplicates, and what was approved and free and never came, with nobody told."""
    wrong = twice(day)
    for known in day.witness.book.values():
        w = known.wanted
        free = set(known.needs) <= set(known.granted.values()) and known.cancelled_at > day.world.now
        quiet = not day.witness.holds and not known.rejected and w.embargo is None and w.blackout is None
        if (
            free
            and quiet
            and not any(p.account == w.account and same(p.words, w.words) for p in day.platforms.posts)
        ):
            wrong.append(f"{w.name} was approved and never came, and nobody is told")
    return wrong


def _told(conn: Any) -> Counter[tuple[str, str]]:
    rows = conn.exec_driver_sql("select delivery_id, topic from notices")
    return Counter((r[0], r[1]) for r in rows)


def _one(day: Day, d: Delivery, attempts: list[Any], told: Counter[tuple[str, str]]) -> list[str]:
    wrong = []
    states = {AttemptState(a.state) for a in attempts}
    posts = [p for p in day.platforms.posts if p.account == d.account and same(p.words, d.content.text)]
    there = [p for p in posts if p.at < float("inf")]
    if d.state not in ENDS:
        wrong.append(f"{d.name} never ended: it is still {d.state} ({d.reason})")
    if d.state in NOT_OUT and there:
        wrong.append(f"{d.name} is called {d.state}, and it is out (#{there[0].number})")
    if d.state in NOT_OUT and states & MAY_STILL_LAND:
        wrong.append(f"{d.name} is called {d.state}, and an attempt may still land")
    if d.state in ENDS - {S.ASKING} and states & OPEN_ATTEMPT:
        wrong.append(f"{d.name} is {d.state} with an open attempt")
    if d.state in OUT and not there and not _dropped(day, d):
        wrong.append(f"{d.name} is called {d.state}, and it never was there")
    if d.state is S.RETRACTED and any(p.there(day.world.now) for p in posts):
        wrong.append(f"{d.name} is called retracted, and it is there")
    if d.state in (S.MISSED, S.FAILED, S.ASKING) and not told[d.id, d.state.value]:
        wrong.append(f"{d.name} is {d.state}, and nobody is told")
    if len([s for s in states if s in OPEN_ATTEMPT]) > 1:
        wrong.append(f"{d.name} has two open attempts")
    return wrong


def _dropped(day: Day, d: Delivery) -> bool:
    """The platform gave an id for a post that never was (only reading back finds that)."""
    return d.remote_id.startswith("gone-")


def _log(day: Day, entries: list[dict[str, Any]]) -> list[str]:
    """The log is whole, and each first byte has its attempt before it."""
    wrong = []
    try:
        verify(day.db)
    except LogBroken as broken:
        wrong.append(f"the log does not verify: {broken.message}")
    attempted: dict[str, int] = Counter(e["key"] for e in entries if e["type"] == "publish.attempted")
    sent = Counter(key for _, _, _, key in day.witness.firsts)
    for key, count in sent.items():
        if count > attempted.get(key, 0):
            wrong.append(
                f"{count} requests left with the key {key}, the log has {attempted.get(key, 0)} attempts"
            )
    return wrong


def _count(day: Day, every: list[Delivery], entries: list[dict[str, Any]]) -> None:
    """How many deliveries of each class there were, and how many ended with a question to a person."""
    asked = {
        e["delivery"] for e in entries if e["type"] == "publish.reconciled" and e.get("verdict") == "ask"
    }
    asked |= {d.name for d in every if d.state is S.ASKING}
    for d in every:
        day.ends[d.state.value] = day.ends.get(d.state.value, 0) + 1
        day.deliveries[d.platform] = day.deliveries.get(d.platform, 0) + 1
        if d.name in asked:
            day.asks[d.platform] = day.asks.get(d.platform, 0) + 1


__all__ = ["APPROVERS", "check", "twice"]
