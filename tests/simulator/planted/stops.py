"""Stops and approvals: what nobody said yes to, or somebody said no to, must not leave."""

from __future__ import annotations

from .mutant import (
    APPROVAL,
    BLIND_LOOK,
    BUSY_PEOPLE,
    DELIVERY,
    GATE,
    GATES,
    HOLD,
    MOVE,
    QUEUE,
    SENDER,
    VOLLEY,
    Mutant,
)

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "no hold check",
        "the gate does not look at holds, nor does the last look",
        ((GATES, "if hold.covers(delivery):", "if False:"), BLIND_LOOK),
        BUSY_PEOPLE,
    ),
    Mutant("no last look", "a stop between gate and first byte is not seen", (BLIND_LOOK,), BUSY_PEOPLE),
    Mutant(
        "last look compares wrong",
        "any epoch that is not smaller passes",
        ((SENDER, "desk.stop_epoch(looking) == passed.epoch", "desk.stop_epoch(looking) >= passed.epoch"),),
        BUSY_PEOPLE,
    ),
    Mutant(
        "hold without epoch",
        "a hold does not advance the stop epoch",
        ((HOLD, "        desk.advance_stop_epoch(conn)\n        log.append(", "        log.append("),),
        BUSY_PEOPLE,
    ),
    Mutant(
        "cancel without epoch",
        "a cancellation does not advance the stop epoch, and takes what is publishing",
        (
            (
                HOLD,
                "        if waiting:\n            desk.advance_stop_epoch(conn)",
                "        if False:\n            pass",
            ),
            (
                HOLD,
                "(State.SCHEDULED, State.FAILED, State.MISSED)",
                "(State.SCHEDULED, State.FAILED, State.MISSED, State.PUBLISHING)",
            ),
            (DELIVERY, "S.PUBLISHING: frozenset({", "S.PUBLISHING: frozenset({S.CANCELLED, "),
        ),
        BUSY_PEOPLE,
    ),
    Mutant(
        "approval not asked",
        "the gate lets unapproved words through, and arming too",
        ((GATES, "    if lacking:", "    if False:"),),
        ("approved_late=0.5",),
    ),
    Mutant(
        "approval not bound to words",
        "an approval counts for other words, and is not voided when they change",
        (
            (
                APPROVAL,
                '    if decision.content_sha256 != delivery.content_sha256:\n        return "the words',
                '    if False:\n        return "the words',
            ),
            (APPROVAL, "decision.plan_sha256 != delivery.plan_sha256", "False"),
            (QUEUE, "    desk.void(conn, [d.id for d in granted], why)", "    pass"),
        ),
        BUSY_PEOPLE,
    ),
    Mutant(
        "approval survives a move",
        "moving in time asks nobody again",
        (
            (APPROVAL, "decision.plan_sha256 != delivery.plan_sha256", "False"),
            (
                MOVE,
                '            desk.void(conn, [d.id for d in granted], "the time changed")',
                "            pass",
            ),
        ),
        BUSY_PEOPLE,
    ),
    Mutant(
        "rejection ignored",
        "a no does not count, nor does it advance the epoch",
        ((APPROVAL, "if any(rejects(d, delivery, given) for d in given):", "if False:"),),
        BUSY_PEOPLE,
    ),
    Mutant(
        "partner not asked",
        "the partner's word is not needed",
        (
            (
                APPROVAL,
                "    if policy.partner and policy.partner_org not in",
                "    if False and policy.partner_org not in",
            ),
        ),
        ("approved_late=0.6",),
    ),
    Mutant(
        "stood down, and sent",
        "the stop is recorded, and the volley fires all the same",
        ((VOLLEY, "if not last_look():", "if last_look() is None:"),),
        BUSY_PEOPLE,
    ),
    Mutant(
        "stood down, and lost",
        "attempts of a stop are recorded as accepted",
        (
            (
                GATE,
                "    state = State.SCHEDULED\n",
                "    state = State.UNCONFIRMED\n",
            ),
            (
                GATE,
                "AttemptState.INTENT, AttemptState.NOT_SENT, ended)",
                "AttemptState.INTENT, AttemptState.REJECTED, ended)",
            ),
        ),
        BUSY_PEOPLE,
    ),
    Mutant(
        "foreseen long ago",
        "the gate goes by what it foresaw, whatever was committed since; nor is there a last look",
        (
            (GATE, "if mark != self.mark or not before", "if not before"),
            ("scheduler.services.foresight", "self._changes.mark() != self._foreseen.mark", "False"),
            BLIND_LOOK,
        ),
        BUSY_PEOPLE,
    ),
)
