"""What a planted bug is, where bugs are planted, and the rates that make their cases frequent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug: `edits` are (module, old text, new text); `rates` are what makes its case frequent."""

    name: str
    what: str
    edits: tuple[tuple[str, str, str], ...]
    rates: tuple[str, ...] = ()
    mix: str = "standard"


GATES = "scheduler.domain.gates"
GATE = "scheduler.services.gate"
RETRY = "scheduler.domain.retry"
RECONCILE = "scheduler.services.reconcile"
SETTLE = "scheduler.services.settle"
OUTBOX = "scheduler.store.outbox"
EVENTS = "scheduler.services.events"
HOLD = "scheduler.services.hold"
SENDER = "scheduler.sender"
VOLLEY = "scheduler.transport.volley"
APPROVAL = "scheduler.domain.approval"
QUEUE = "scheduler.services.queue"
MOVE = "scheduler.services.move"
WINDOWS = "scheduler.services.windows"
COLLECT = "scheduler.services.collect"
ARMING = "scheduler.services.arming"
READBACK = "scheduler.services.readback"
NOTICES = "scheduler.store.notices"
LOG = "scheduler.store.log"
DELIVERY = "scheduler.domain.delivery"
REVIEW = "scheduler.services.review"
FENCE = "scheduler.transport.fence"
BLIND_LOOK = (SENDER, "return desk.stop_epoch(looking) == passed.epoch", "return True")
SURE = ("look_fails=0", "killed_at_step=0")
AMBIGUOUS = ("reply_lost=0.2", "error_after_commit=0.2", "commit_late=0.1")
# The record class: an attempt that may have landed, and then nothing but refusals or pauses until the end.
NEVER_SURE = ("reply_lost=0.45", "throttled=0.5")
ODD_PLANS = ("odd_plan=1",)
BUSY_PEOPLE = ("person_acts=1", "person_acts_at_t0=1", "crowd=1", "person_between=0.5")
OFTEN_STOPPED = ("stopped_at_step=0.03",)
