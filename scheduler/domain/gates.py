"""Why a delivery may not go yet: computed from facts, never stored as a state."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.domain.approval import Decision, missing
from scheduler.domain.content import Policy, instant
from scheduler.domain.delivery import Delivery, State

MAX_ATTEMPTS = 5
LONGEST_LEAD = timedelta(seconds=2)  # a gate passed earlier than this would be stale at T0


@dataclass(frozen=True, slots=True)
class Hold:
    """A person's stop.

    `scope`: `all`, or `campaign:`, `org:`, `platform:`, `account:`, `post:` and a name.
    """

    id: str
    scope: str
    person: str
    organisation: str
    reason: str
    started_at: datetime
    released_at: datetime | None = None

    def covers(self, delivery: Delivery) -> bool:
        """Whether it stops this delivery."""
        kind, _, name = self.scope.partition(":")
        return kind == "all" or name == {
            "campaign": delivery.campaign,
            "org": delivery.organisation,
            "platform": delivery.platform,
            "account": delivery.account,
            "post": f"{delivery.campaign}/{delivery.post}",
        }.get(kind)


@dataclass(frozen=True, slots=True)
class Gate:
    """One reason, with a word that stays (`code`) and a sentence for people."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the gates look at, read in one transaction.

    `now` is the launch's clock, `wall_now` the machine's.
    """

    now: datetime
    wall_now: datetime
    holds: Sequence[Hold]
    decisions: Mapping[str, Sequence[Decision]]
    policies: Mapping[str, Policy]
    blackouts: Mapping[str, Sequence[tuple[str, str, str]]]
    approvers: Mapping[str, Collection[str]]
    states: Mapping[str, State]
    open_attempts: Collection[str] = ()
    stops: Sequence[Gate] = ()  # what stops every delivery, whatever it is


def gates(delivery: Delivery, facts: Facts, *, at: datetime | None = None) -> tuple[Gate, ...]:
    """Every gate that is shut for the delivery; empty = it may go.

    `at` is the very instant at which the sender will let the first byte leave (it asks shortly before).
    Without it the question is whether the delivery could go when its time comes.
    """
    shut: list[Gate] = []
    now = facts.now
    shut.extend(facts.stops)
    if delivery.state is not State.SCHEDULED:
        shut.append(Gate("state", f"it is {delivery.state}"))
    lacking = missing(
        delivery,
        facts.decisions.get(delivery.id, ()),
        facts.policies[delivery.id],
        facts.wall_now,
        facts.approvers,
    )
    if lacking:
        shut.append(Gate("unapproved", f"not approved: {', '.join(dict.fromkeys(lacking))}"))
    for hold in facts.holds:
        if hold.covers(delivery):
            shut.append(Gate("hold", f"held by {hold.person}: {hold.reason}"))
    leaves = max(now, delivery.fire_at if at is None else at)
    # The volley waits for `at` and for nothing else: a gate that came late does not make `at` any later.
    if (leaves if at is None else at) < delivery.embargo:
        shut.append(Gate("embargo", "its embargo has not ended"))
    for start, end, reason in facts.blackouts.get(delivery.id, ()):
        if start <= instant(leaves) < end:
            shut.append(Gate("blackout", f"blackout: {reason}"))
    its_time = max(delivery.fire_at, delivery.due)
    if (now if at is None else at) < its_time or now + LONGEST_LEAD < its_time:
        shut.append(Gate("too_early", "its time has not come"))
    if leaves > delivery.not_after:
        shut.append(Gate("too_late", "its window has closed"))
    if delivery.id in facts.open_attempts:
        shut.append(Gate("in_doubt", "an earlier attempt may still land"))
    if delivery.attempts >= MAX_ATTEMPTS:
        shut.append(Gate("attempts", f"{MAX_ATTEMPTS} attempts were made"))
    shut.extend(_others(delivery, facts.states))
    return tuple(shut)


def _others(delivery: Delivery, states: Mapping[str, State]) -> list[Gate]:
    """What another delivery must have come to first."""
    shut = []
    if delivery.after and states.get(delivery.after) not in (State.PUBLISHED, State.VERIFIED):
        shut.append(Gate("after", "the part before it is not out"))
    if delivery.retract_first and states.get(delivery.corrects) is not State.RETRACTED:
        shut.append(Gate("corrects", "what it corrects is not removed yet: launchday retract"))
    return shut
