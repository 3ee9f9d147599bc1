"""A delivery's states and an attempt's, and which may follow which: the tables are the rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from scheduler.domain.content import Content


class State(StrEnum):
    """Where a delivery stands. Approval, hold, embargo and blackout are gates, not states."""

    SCHEDULED = "scheduled"  # waits for its time
    PUBLISHING = "publishing"  # the intent is on disk; the request may be on its way
    UNCONFIRMED = "unconfirmed"  # it may be out; being looked for
    ASKING = "asking"  # only a person can tell
    PUBLISHED = "published"  # the platform gave a receipt
    VERIFIED = "verified"  # read back, equal to the approved bytes
    RETRACTING = "retracting"  # removal asked for, being looked for
    FAILED = "failed"  # refused by the platform; certainly not out
    MISSED = "missed"  # its window closed; certainly not out; a person was told why
    CANCELLED = "cancelled"  # withdrawn before publishing
    RETRACTED = "retracted"  # removed after publishing


S = State
MAY_BECOME: Mapping[State, frozenset[State]] = {
    # Published: the receipt of an earlier try came late; it is never sent again. Unconfirmed: the database is
    # older than what may have been sent (safe mode).
    S.SCHEDULED: frozenset({S.PUBLISHING, S.UNCONFIRMED, S.MISSED, S.CANCELLED, S.ASKING, S.PUBLISHED}),
    # Asking: this try was refused, but an earlier one may still land.
    S.PUBLISHING: frozenset({S.PUBLISHED, S.SCHEDULED, S.FAILED, S.UNCONFIRMED, S.ASKING}),
    # Failed: its own sender, given up too early, says that the platform refused it.
    S.UNCONFIRMED: frozenset({S.PUBLISHED, S.SCHEDULED, S.FAILED, S.ASKING}),
    # Retracted: a person took it off the platform and looked.
    S.ASKING: frozenset({S.PUBLISHED, S.FAILED, S.RETRACTING, S.RETRACTED}),
    S.PUBLISHED: frozenset({S.VERIFIED, S.ASKING, S.RETRACTING}),
    S.VERIFIED: frozenset({S.RETRACTING, S.ASKING}),
    S.RETRACTING: frozenset({S.RETRACTED, S.ASKING}),
    S.FAILED: frozenset({S.SCHEDULED, S.CANCELLED, S.ASKING}),
    S.MISSED: frozenset({S.SCHEDULED, S.CANCELLED, S.ASKING}),
    # What ended stays ended, but for a platform that says it is out after all: then a person is asked.
    S.CANCELLED: frozenset({S.ASKING}),
    S.RETRACTED: frozenset({S.ASKING}),
}

ENDED = frozenset({S.CANCELLED, S.RETRACTED})
WAITING = frozenset({S.SCHEDULED})
OUT = frozenset({S.PUBLISHED, S.VERIFIED, S.RETRACTING})
IN_DOUBT = frozenset({S.PUBLISHING, S.UNCONFIRMED})
WANTS_A_PERSON = frozenset({S.FAILED, S.MISSED, S.ASKING})


class AttemptState(StrEnum):
    """One try: the intent is written before the first byte, the outcome after it."""

    INTENT = "intent"  # written to disk; the request may or may not have left
    ACCEPTED = "accepted"  # receipt
    NOT_SENT = "not_sent"  # certainly before the first byte, or 429
    REJECTED = "rejected"  # definite refusal
    UNKNOWN = "unknown"  # it may have landed, and may still land
    PROVEN_ABSENT = "proven_absent"  # looked for and certainly not there, nor ever will be
    RESEND_SAFE = "resend_safe"  # may have landed, but the same bytes make no second post


A = AttemptState
ATTEMPT_MAY_BECOME: Mapping[AttemptState, frozenset[AttemptState]] = {
    A.INTENT: frozenset({A.ACCEPTED, A.NOT_SENT, A.REJECTED, A.UNKNOWN}),
    # Not sent, rejected: the very sender that was given up as dead says so, having read the reply itself.
    A.UNKNOWN: frozenset({A.ACCEPTED, A.NOT_SENT, A.REJECTED, A.PROVEN_ABSENT, A.RESEND_SAFE}),
    A.RESEND_SAFE: frozenset({A.ACCEPTED, A.PROVEN_ABSENT}),
    A.ACCEPTED: frozenset(),
    A.NOT_SENT: frozenset(),
    A.REJECTED: frozenset(),
    # A verdict is never rewritten: proof against it is kept beside it, as late evidence.
    A.PROVEN_ABSENT: frozenset(),
}

OPEN_ATTEMPT = frozenset({A.INTENT, A.UNKNOWN})
MAY_STILL_LAND = frozenset({A.INTENT, A.UNKNOWN, A.RESEND_SAFE})


@dataclass(frozen=True, slots=True)
class Delivery:
    """One rendered post bound for one account, as stored.

    `fire_at` is when its wave goes (= `due` unless deferred); `after` is the delivery that must be out
    first (threads); `needs` are the organisations whose approver must say yes, with the role they
    say it in, for example `("owner:dorset", "partner:charity")`; `planner` moved it to its present time.
    `corrects` is the delivery whose public words it replaces; with `retract_first` it waits until that one
    is removed.
    """

    id: str
    campaign: str
    post: str
    name: str
    organisation: str
    account: str
    platform: str
    revision: int
    state: State
    author: str
    content: Content
    content_sha256: str
    plan_sha256: str
    policy_sha256: str
    key: str
    due: datetime
    not_after: datetime
    embargo: datetime
    close: datetime
    fire_at: datetime
    needs: tuple[str, ...]
    after: str = ""
    attempts: int = 0
    remote_id: str = ""
    url: str = ""
    published_at: datetime | None = None
    reason: str = ""
    planner: str = ""
    corrects: str = ""
    retract_first: bool = False
