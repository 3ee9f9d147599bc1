"""What is in doubt: it is looked for, and neither sent again nor called done too early."""

from __future__ import annotations

from .mutant import (
    AMBIGUOUS,
    BUSY_PEOPLE,
    COLLECT,
    EVENTS,
    HOLD,
    NEVER_SURE,
    RECONCILE,
    RETRY,
    SETTLE,
    WINDOWS,
    Mutant,
)

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "resend after one look",
        "one absent look is enough",
        (
            (RETRY, "look.looks >= 2", "look.looks >= 1"),
            (RETRY, "settled = look.now >= look.deadline + look.settle", "settled = True"),
            (RECONCILE, "if answered and settled and apart:", "if answered:"),
        ),
        ("commit_late=0.3", "look_fails=0"),
    ),
    Mutant(
        "looks do not settle",
        "absent looks count at once",
        (
            (RETRY, "settled = look.now >= look.deadline + look.settle", "settled = True"),
            (RECONCILE, "settled = one.at >= deadline + timing.settle", "settled = True"),
        ),
        ("commit_late=0.3", "read_lag=0.9", "look_fails=0"),
    ),
    Mutant(
        "listing sent again at once",
        "a listing is treated as a record",
        (
            (
                RETRY,
                "capability is Capability.RECORD and in_window",
                "capability is not Capability.WRITE_ONLY and in_window",
            ),
        ),
        AMBIGUOUS,
    ),
    Mutant(
        "write-only sent again",
        "nobody is asked where nobody can look",
        (
            (
                RETRY,
                "        return Verdict.ASK\n    if capability is Capability.RECORD",
                "        return Verdict.RESEND\n    if capability is Capability.RECORD",
            ),
        ),
        AMBIGUOUS,
    ),
    Mutant(
        "unanswered looks count",
        "a look that failed is an absent look",
        ((RECONCILE, "answered = one.result is None", "answered = not isinstance(one.result, Receipt)"),),
        ("reply_lost=0.3", "look_fails=0.7"),
    ),
    Mutant(
        "5xx is not sent",
        "an unknown outcome of the server is taken for certain",
        (
            (
                SETTLE,
                "if isinstance(result, RetryLater | NotSent):",
                'if isinstance(result, RetryLater | NotSent) or result.code.startswith("http_5"):',
            ),
        ),
        ("error_after_commit=0.3",),
    ),
    Mutant(
        "timeout is not sent",
        "no reply is taken for not sent",
        (
            (
                SETTLE,
                "if isinstance(result, RetryLater | NotSent):",
                'if isinstance(result, RetryLater | NotSent) or result.code in ("timeout", "no_reply"):',
            ),
        ),
        AMBIGUOUS,
    ),
    Mutant(
        "unknown is failed",
        "no reply is told as certainly not out",
        (
            (
                SETTLE,
                "    if isinstance(result, Rejected):\n",
                "    if not isinstance(result, RetryLater | NotSent):\n",
            ),
        ),
        AMBIGUOUS,
    ),
    Mutant(
        "unknown is published",
        "no reply is told as published",
        (
            (
                COLLECT,
                "inbox.put((delivery_id, reply))",
                'inbox.put((delivery_id, Receipt("1", "https://x.example/1")))',
            ),
        ),
        ("request_lost=0.3",),
    ),
    Mutant(
        "adopted without proof of death",
        "what another sender has in hand is taken for orphaned",
        (
            (RECONCILE, "if late or is_dead(attempt.sender):", "if True:"),
            ("scheduler.daemon", "or (doubt and not self._jobs.sending)", "or doubt"),
        ),
        ("request_lost=0.4", "slow_reply=0.9", "error_before_commit=0.2"),
    ),
    Mutant(
        "a deadline is a death",
        "the verdict does not ask whether the sender is dead, nor when its deadline is",
        (
            (RETRY, "    if look.now < look.deadline:", "    if False:"),
            (RETRY, "    if not look.sender_dead:", "    if False:"),
            (RETRY, "settled = look.now >= look.deadline + look.settle", "settled = True"),
            (RECONCILE, "settled = one.at >= deadline + timing.settle", "settled = True"),
        ),
        ("commit_late=0.3", "look_fails=0"),
    ),
    Mutant(
        "missed before it is looked for",
        "closing windows forgets open attempts",
        ((WINDOWS, "landing = outbox.with_attempt(conn, ids, MAY_STILL_LAND)", "landing = set()"),),
        NEVER_SURE,
    ),
    Mutant(
        "given up though it may land",
        "missed is told while an earlier attempt may still land",
        ((EVENTS, "    if d.id in landing:", "    if False:"),),
        NEVER_SURE,
    ),
    Mutant(
        "failed though it may land",
        "failed is told while an earlier attempt may still land",
        ((SETTLE, "elif state is State.FAILED and delivery.id in landing:", "elif False:"),),
        ("reply_lost=0.45", "rejected=0.45"),
    ),
    Mutant(
        "cancelled though it may land",
        "cancelled is told while an earlier attempt may still land",
        (
            (
                HOLD,
                "landing = outbox.with_attempt(conn, [d.id for d in waiting], MAY_STILL_LAND)\n        going",
                "landing = set()\n        going",
            ),
        ),
        (*NEVER_SURE, *BUSY_PEOPLE),
    ),
    Mutant(
        "questions are never asked",
        "what cannot be told is looked for for ever",
        (
            (
                RETRY,
                "        return Verdict.ASK\n    if capability is Capability.RECORD",
                "        return Verdict.WAIT\n    if capability is Capability.RECORD",
            ),
        ),
        AMBIGUOUS,
    ),
)
