"""Bugs that no rate was raised for, planted after the harness was made: what an examiner would think of."""

# ruff: noqa: E501 - because edits quote source text as it is

from __future__ import annotations

from .mutant import (
    COLLECT,
    EVENTS,
    GATE,
    GATES,
    MOVE,
    OUTBOX,
    READBACK,
    RECONCILE,
    RETRY,
    SENDER,
    SETTLE,
    VOLLEY,
    Mutant,
)

PUT_OFF = "scheduler.services.put_off"
RETRACT = "scheduler.services.remove"
RETRIED = "scheduler.services.retry"
RESOLVE = "scheduler.services.resolve"
WAVES = "scheduler.services.waves"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "tries again at once",
        "neither backoff nor what a platform asked for is waited for",
        (
            (
                SETTLE,
                "        at = max(d.due, at if at == d.not_after else whole_second(at))\n",
                "        at = d.due\n",
            ),
        ),
    ),
    Mutant(
        "Retry-After is not read",
        "a 429 is tried again after the usual pause",
        (
            (
                SETTLE,
                "asked = result.at + offset if isinstance(result, RetryLater) and result.at else None",
                "asked = None",
            ),
        ),
    ),
    Mutant(
        "refused account goes on",
        "a refused token holds nothing and tells nobody",
        ((SETTLE, "if isinstance(result, Unauthorised) and scope not in standing:", "if False:"),),
    ),
    Mutant(
        "a move forgets the window",
        "the window's end stays where it was",
        ((MOVE, "not_after=one.not_after + by,", "not_after=one.not_after,"),),
    ),
    Mutant(
        "a move is not seen by the last look",
        "moving does not advance the stop epoch, and what is publishing moves too",
        ((MOVE, "            desk.advance_stop_epoch(conn)", "            pass"),),
    ),
    Mutant(
        "removed without looking",
        "one look is enough, however young the post is",
        (
            (RETRACT, "if one.due.looks + 1 >= GONE_LOOKS and sure_at <= now:", "if True:"),
            (
                RETRACT,
                "    if all(a.look is None for a in answers):\n",
                "    if any(a.removal is None or a.look is None for a in answers):\n",
            ),
        ),
    ),
    Mutant(
        "the next part is never woken",
        "a thread stops after its first part until its window closes",
        (
            (
                SETTLE,
                '    outbox.note_each(conn, "fire_at", {d.id: instant(max(d.due, whole_second(now))) for d in waiting})',
                '    outbox.note_each(conn, "fire_at", {d.id: instant(d.not_after) for d in waiting})',
            ),
        ),
    ),
    Mutant(
        "what was put off is late by a minute",
        "the volley aims a second after its time",
        (
            (
                SENDER,
                "at = app.clock.now() if due.overdue else max(due.instants)",
                "at = app.clock.now() if due.overdue else max(due.instants) + timedelta(seconds=5)",
            ),
        ),
    ),
    Mutant(
        "a look may belong to another",
        "a post found by its words is taken whoever it belongs to, and late proof is not looked at",
        (
            (
                RECONCILE,
                "        taken = outbox.receipts(conn, [f.delivery.account for f in found])",
                "        taken: dict[tuple[str, str], str] = {}",
            ),
            (RECONCILE, "if d.id in proven and not _same(reach, one, proven[d.id]):", "if False:"),
        ),
    ),
    Mutant(
        "not answered is not kept",
        "what never was answered is left open by its sender",
        ((COLLECT, "[Outcome(i, passed.attempts[i], never_answered()) for i in open_still]", "[]"),),
    ),
    Mutant(
        "attempts are not counted",
        "the number of tries does not go up",
        (
            (
                GATE,
                '{"prepared": armed[d.id].prepared, "attempts": d.attempts + 1},',
                '{"prepared": armed[d.id].prepared, "attempts": d.attempts},',
            ),
        ),
    ),
    Mutant(
        "changes are not guarded",
        "a change is made whatever the state is by now",
        ((OUTBOX, "    if hit != rows:", "    if False:"),),
    ),
    Mutant(
        "missed without a word of why in the log",
        "given up says something else in the log",
        (
            (
                EVENTS,
                'event = about("schedule.missed", actor, d, code=code, said=why, facts=facts)',
                'event = about("publish.deferred", actor, d, code=code, said=why, facts=facts)',
            ),
        ),
    ),
    Mutant(
        "retried though it may be out",
        "a person's retry does not ask what may still land",
        (
            (RETRIED, "    if d.id in landing:", "    if False:"),
            (RETRIED, "    if d.id in proven or d.remote_id:", "    if False:"),
            (RETRIED, "    if d.state is State.ASKING:", "    if False:"),
            (
                RETRIED,
                "    if d.state not in (State.FAILED, State.MISSED):",
                "    if d.state not in (State.FAILED, State.MISSED, State.ASKING):",
            ),
        ),
    ),
    Mutant(
        "settling is half as long",
        "a post that lands late is called absent",
        (
            (
                RETRY,
                "settled = look.now >= look.deadline + look.settle",
                "settled = look.now >= look.deadline + look.settle / 8",
            ),
            (
                RECONCILE,
                "settled = one.at >= deadline + timing.settle",
                "settled = one.at >= deadline + timing.settle / 8",
            ),
        ),
    ),
    Mutant(
        "looks begin too late",
        "posts are looked for from the deadline on, not from the intent",
        (
            (
                RECONCILE,
                "since = parse_instant(attempts[one.id][0].intent_at) - clock.offset - _CLOCK_MARGIN",
                "since = parse_instant(attempts[one.id][0].deadline) - clock.offset",
            ),
        ),
    ),
    Mutant(
        "a wave waits for its slowest",
        "what is armed for another time goes in this wave",
        (
            (
                GATES,
                "its_time = max(delivery.fire_at, delivery.due)",
                "its_time = min(delivery.fire_at, delivery.due) - timedelta(minutes=5)",
            ),
            (SENDER, "max(due.instants)", "min(due.instants) - timedelta(seconds=1)"),
        ),
    ),
    Mutant(
        "never seen is never asked",
        "what the platform dropped is looked for without end",
        (
            (
                READBACK,
                '        if lasting or since >= timing.read_for:\n            event = about("publish.missing"',
                '        if False:\n            event = about("publish.missing"',
            ),
        ),
    ),
    Mutant(
        "half of the volley",
        "the last request of a burst is never written",
        (
            (
                VOLLEY,
                "burst = {i: self._ready[i] for i in ids if",
                "burst = {i: self._ready[i] for i in ids[: max(1, len(ids) - 1)] if",
            ),
            (SENDER, "list(passed.attempts),", "sorted(passed.attempts),"),
        ),
    ),
    Mutant(
        "told too late",
        "a removal that a person must see to is called done",
        (
            (
                RETRACT,
                "    return d, State.ASKING, fields, event",
                "    return d, State.RETRACTED, fields, event",
            ),
        ),
    ),
)
