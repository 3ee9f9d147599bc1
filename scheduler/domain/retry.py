"""What may follow an attempt: when to try again, and what an absent look allows, by capability class."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from scheduler.domain.publisher import Capability

SOONEST, LATEST = timedelta(seconds=1), timedelta(hours=1)  # what a platform may ask for
AT_LEAST = timedelta(seconds=90)  # how long a living sender may take to record what it knows


class Verdict(StrEnum):
    """What a look that found nothing allows."""

    WAIT = "wait"  # look again later
    RESEND = "resend"  # the same bytes make no second post, whatever happened to the first
    ABSENT = "absent"  # certainly not there, nor ever will be
    ASK = "ask"  # only a person can tell


@dataclass(frozen=True, slots=True)
class Look:
    """The facts of a look that found nothing. `looks` counts absent looks that count, this one included.

    `answered` is False where the platform could not say; `sender_dead` is proven by its lock.
    `tries_left`: sending again is no use where the gate would not let it through; looking still is.
    """

    deadline: datetime
    now: datetime
    not_after: datetime
    looks: int
    answered: bool
    sender_dead: bool
    settle: timedelta
    tries_left: bool = True


def verdict(capability: Capability, look: Look) -> Verdict:
    """The class rule of platforms.md. Nothing is allowed before the attempt's own deadline has passed.

    A key is held to the rule of a listing: many servers ignore it and a kept one is forgotten after an hour
    (platforms.md, finding 2). It is sent again all the same, as a second guard.
    """
    if look.now < look.deadline:
        return Verdict.WAIT
    if not look.sender_dead:
        # It may still write. Where its end can never be proven (another machine), a person decides.
        return Verdict.ASK if look.now > hopeless(look.deadline, look.settle) else Verdict.WAIT
    in_window = look.now <= look.not_after
    settled = look.now >= look.deadline + look.settle
    if capability is Capability.WRITE_ONLY:
        return Verdict.ASK
    if capability is Capability.RECORD and in_window and look.tries_left:
        return Verdict.RESEND
    if look.answered and settled and look.looks >= 2:
        return Verdict.ABSENT
    if not look.answered and look.now > max(look.not_after, look.deadline + look.settle * 4):
        return Verdict.ASK
    return Verdict.WAIT


def hopeless(deadline: datetime, settle: timedelta) -> datetime:
    """When a sender that cannot be proven dead is given up: what it had is looked for, never resent."""
    return deadline + max(settle * 5, AT_LEAST)


def backoff(attempt: int, jitter: float) -> timedelta:
    """How long to wait after the n-th attempt that was certainly not sent.

    1, 2, 4 … 60 s, and up to a quarter more by `jitter` (0..1).
    """
    seconds = min(60.0, 2.0 ** (attempt - 1))
    return timedelta(seconds=seconds * (1 + 0.25 * jitter))


def next_try(
    now: datetime, asked: datetime | None, attempt: int, jitter: float, not_after: datetime | None = None
) -> datetime:
    """When to try again: when the platform asked for, clamped to 1 s … 1 h from now; else the backoff.

    Up to a tenth later by `jitter` (0..1), at most 30 s, so that accounts do not all come back at once; but
    jitter alone never carries a try out of its window (`not_after`).
    """
    if asked is None:
        at = now + backoff(attempt, 0)
        later = now + backoff(attempt, jitter)
    else:
        at = min(max(asked, now + SOONEST), now + LATEST)
        later = min(
            at + timedelta(seconds=int(min(30.0, (at - now).total_seconds() / 10) * jitter)), now + LATEST
        )
    return min(later, not_after) if not_after is not None and at <= not_after else later
