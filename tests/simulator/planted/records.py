"""Records: the store, the log, the notices and what is seen afterwards tell the truth."""

# ruff: noqa: E501 - because edits quote source text as it is

from __future__ import annotations

from .mutant import AMBIGUOUS, COLLECT, GATE, LOG, NOTICES, OUTBOX, READBACK, SETTLE, Mutant

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "late words are dropped",
        "what comes after its attempt was concluded is forgotten",
        (
            (SETTLE, "if not settles or was is AttemptState.UNKNOWN:", "if False:"),
            (
                SETTLE,
                "            if not settles:\n",
                "            if not settles:\n                continue\n",
            ),
            (
                SETTLE,
                "            if was is AttemptState.UNKNOWN:\n                late.keep",
                "            if False:\n                late.keep",
            ),
        ),
        ("slow_reply=0.9", "stopped_at_step=0.02"),
    ),
    Mutant(
        "notice not written",
        "what becomes missed, failed or a question tells nobody",
        ((OUTBOX, "    notices.follow(conn, now, what.changes)\n", ""),),
    ),
    Mutant(
        "only some are told",
        "what becomes missed tells nobody",
        ((NOTICES, "if to not in WANTS_A_PERSON:", "if to not in WANTS_A_PERSON or to is State.MISSED:"),),
    ),
    Mutant(
        "log not written",
        "a change of state without its entry",
        ((OUTBOX, "    log.append_pressed(conn, now, what.entries)", "    pass"),),
    ),
    Mutant(
        "log numbers twice",
        "an entry's number does not go on",
        ((LOG, "next_seq=first + len(pressed)", "next_seq=first + max(1, len(pressed) - 1)"),),
    ),
    Mutant(
        "attempt not logged",
        "the intent's entry says something else",
        ((GATE, '"publish.attempted"', '"publish.deferred"'),),
    ),
    Mutant(
        "receipt of another",
        "a receipt is given to the wrong delivery",
        (
            (
                COLLECT,
                "for (delivery_id, _), result in zip(those, results, strict=True):",
                "for (delivery_id, _), result in zip(those[::-1], results, strict=True):",
            ),
            (
                "scheduler.services.collect",
                "more = None not in group",
                "group += [desk.get() for _ in range(2) if not desk.empty()]\n            more = None not in group",
            ),
        ),
        ("slow_reply=0", "rejected=0.2"),
    ),
    Mutant(
        "read-back always equal",
        "what differs, or is not there, is called verified",
        (
            (
                READBACK,
                "if isinstance(answer, Seen) and not answer.differs:",
                "if answer is None or isinstance(answer, Seen):",
            ),
        ),
        ("dropped=0.3",),
    ),
    Mutant(
        "read-back never",
        "nothing is ever read back",
        ((READBACK, "    if not waiting:\n        return ()", "    return ()"),),
    ),
    Mutant(
        "resolve leaves attempts open",
        "a person's answer does not end the attempt",
        (
            (
                "scheduler.services.resolve",
                "if was in OPEN_ATTEMPT or was is A.RESEND_SAFE:",
                "if False:",
            ),
        ),
        (*AMBIGUOUS, "answers_late=0"),
    ),
)
