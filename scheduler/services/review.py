"""Approve and reject: decisions bound to the hash of what was shown, by people who may."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from scheduler.domain.account import Directory, Person
from scheduler.domain.approval import Decision, counts, describe, may_meet, missing, rejects
from scheduler.domain.content import Policy, instant
from scheduler.domain.delivery import Delivery, State
from scheduler.domain.when import show
from scheduler.errors import ApprovalError, UsageError
from scheduler.evidence.entry import Actor, ulid
from scheduler.services.clock import Clock
from scheduler.services.events import about
from scheduler.services.facts import policy_of
from scheduler.store import desk, log, outbox
from scheduler.store.database import Database


@dataclass(frozen=True, slots=True)
class Approved:
    """What an approval covered, what is still missing by delivery id, and what it could not cover."""

    given: tuple[Delivery, ...]
    still_missing: dict[str, tuple[str, ...]]
    already: tuple[Delivery, ...]
    refused: tuple[tuple[Delivery, str], ...]


def approve(
    db: Database,
    clock: Clock,
    directory: Directory,
    actor: Actor,
    wanted: Sequence[Delivery],
    note: str = "",
) -> Approved:
    """Give this person's approval to each delivery, for every need the person can meet.

    Raises ApprovalError where nothing at all could be approved, saying whom to ask. A delivery that changed
    since it was read is refused: the approval is for the bytes that were shown.
    """
    who = _person(directory, actor)
    now, wall = clock.now(), clock.wall()
    given: list[Delivery] = []
    already: list[Delivery] = []
    refused: list[tuple[Delivery, str]] = []
    left: dict[str, tuple[str, ...]] = {}
    with db.write() as conn:
        # A crash before the commit leaves no approval at all: nothing goes out because of a half-written one.
        ids = [d.id for d in wanted]
        fresh = {d.id: d for d in outbox.find(conn, ids=ids)}
        policies = {i: policy_of(bytes(raw)) for i, raw in outbox.column(conn, ids, "policy").items()}
        said = desk.decisions(conn, ids)
        rows, events = [], []
        for seen in wanted:
            current = fresh.get(seen.id)
            why = _refusal(directory, who, seen, current, policies.get(seen.id), now)
            if why or current is None:
                refused.append((seen, why))
                continue
            policy = policies[seen.id]
            before = missing(current, said.get(seen.id, ()), policy, wall)
            spent = _spent(who, current, said.get(seen.id, ()), policy, wall)
            roles = [
                n for n in may_meet(directory, who.slug, current.needs) if n in before and n not in spent
            ]
            if not roles:
                already.append(current)
                continue
            for role in roles[:1] if policy.distinct else roles:
                rows.append(
                    {
                        "id": ulid(now),
                        "delivery_id": current.id,
                        "verdict": "granted",
                        "person": who.slug,
                        "organisation": who.organisation,
                        "role": role,
                        "content_sha256": current.content_sha256,
                        "plan_sha256": current.plan_sha256,
                        "policy_sha256": current.policy_sha256,
                        "at": instant(now),
                        "wall_at": instant(wall),
                        "note": note,
                        "why": "",
                    }
                )
                facts = {
                    "need": role,
                    "content_sha256": current.content_sha256,
                    "plan_sha256": current.plan_sha256,
                    "policy_sha256": current.policy_sha256,
                }
                events.append(about("approval.granted", actor, current, facts=facts, said=note))
            given.append(current)
        desk.add_decisions(conn, rows)
        log.append(conn, now, events)
        said = desk.decisions(conn, ids)
        for one in given:
            left[one.id] = missing(one, said.get(one.id, ()), policies[one.id], wall)
    if not given and not already:
        raise _nobody(directory, who, refused)
    return Approved(tuple(given), left, tuple(already), tuple(refused))


def reject(
    db: Database, clock: Clock, directory: Directory, actor: Actor, wanted: Sequence[Delivery], note: str
) -> tuple[Delivery, ...]:
    """Say no, with a reason: not with these words, unless the same person approves them later.

    Raises UsageError without a reason, ApprovalError where the person may not speak for any of them.
    """
    if not note.strip():
        raise UsageError("a rejection needs its reason", help='give --note "…"')
    who = _person(directory, actor)
    now, wall = clock.now(), clock.wall()
    with db.write() as conn:
        fresh = outbox.find(conn, ids=[d.id for d in wanted], states=[State.SCHEDULED])
        mine = [d for d in fresh if may_meet(directory, who.slug, d.needs)]
        if not mine:
            raise ApprovalError(
                f"{who.name} may not decide on any of these", help="launchday list shows who each one needs"
            )
        desk.add_decisions(
            conn,
            [
                {
                    "id": ulid(now),
                    "delivery_id": d.id,
                    "verdict": "rejected",
                    "person": who.slug,
                    "organisation": who.organisation,
                    "role": may_meet(directory, who.slug, d.needs)[0],
                    "content_sha256": d.content_sha256,
                    "plan_sha256": d.plan_sha256,
                    "policy_sha256": d.policy_sha256,
                    "at": instant(now),
                    "wall_at": instant(wall),
                    "note": note,
                    "why": "rejected",
                }
                for d in mine
            ],
        )
        facts = [{"content_sha256": d.content_sha256} for d in mine]
        log.append(
            conn,
            now,
            [
                about("approval.rejected", actor, d, facts=f, said=note)
                for d, f in zip(mine, facts, strict=True)
            ],
        )
        desk.advance_stop_epoch(conn)
    return tuple(mine)


def _person(directory: Directory, actor: Actor) -> Person:
    who = directory.people.get(actor.id)
    if who is None:
        raise ApprovalError(
            f"'{actor.id}' is nobody in accounts.yaml, and only a named person can decide",
            help="add a person with this os_user to accounts.yaml; in a simulation, say --as PERSON",
        )
    return who


def _refusal(
    directory: Directory,
    who: Person,
    seen: Delivery,
    current: Delivery | None,
    policy: Policy | None,
    now: datetime,
) -> str:
    if current is None or policy is None:
        return "it is gone"
    if current.state is not State.SCHEDULED:
        return f"it is {current.state}"
    if (current.content_sha256, current.plan_sha256) != (seen.content_sha256, seen.plan_sha256):
        return "it changed since it was shown"
    if policy.not_author and who.slug in (current.author, current.planner):
        did = "wrote" if who.slug == current.author else "moved"
        return f"{who.slug} {did} these posts, and not_author is on"
    if "approver" not in who.roles:
        return f"{who.name} is not an approver"
    if not may_meet(directory, who.slug, current.needs):
        return f"{who.name} does not speak for {current.organisation}"
    if now > current.close:
        return f"approvals closed at {show(current.close, directory.zone)}"
    return ""


def _spent(
    who: Person, current: Delivery, said: Sequence[Decision], policy: Policy, wall: datetime
) -> Collection[str]:
    """The needs that this person's word can meet no more: one person meets each need once, or only one."""
    if any(d.person == who.slug and rejects(d, current, said) for d in said):
        return ()
    met = {d.role for d in said if d.person == who.slug and not counts(d, current, policy, wall)}
    return current.needs if met and policy.distinct else met


def _nobody(directory: Directory, who: Person, refused: Sequence[tuple[Delivery, str]]) -> ApprovalError:
    why = refused[0][1] if refused else "there is nothing to approve"
    if "closed" in why:
        return ApprovalError(
            f"Not approved: {why}. A late approval never publishes.",
            help="launchday move … --to LATER, then approve again",
        )
    wanted = dict.fromkeys(n for d, _ in refused for n in d.needs)
    names = []
    for need in wanted:
        slug = need.partition(":")[2]
        authors = {d.author for d, _ in refused}
        names += [
            f"{p.slug} ({describe(need, directory)})"
            for p in directory.people_of(slug, "approver")
            if p.slug != who.slug and p.slug not in authors
        ]
    ask = (
        ", ".join(dict.fromkeys(names))
        or "nobody: no approver stands in accounts.yaml for these organisations"
    )
    return ApprovalError(
        f"Not approved: {why}. Ask one of: {ask}.", help="launchday list --json shows every need"
    )
