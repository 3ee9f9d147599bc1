"""Times, waves and senders: nothing leaves early, late, twice or without its intent."""

# ruff: noqa: E501 - because edits quote source text as it is

from __future__ import annotations

from .mutant import AMBIGUOUS, EVENTS, FENCE, GATE, GATES, ODD_PLANS, OUTBOX, SENDER, SETTLE, VOLLEY, Mutant

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "early gate, early volley",
        "a wave may go before its time, and the volley does not wait",
        (
            (
                GATES,
                "if (now if at is None else at) < its_time or now + LONGEST_LEAD < its_time:",
                "if False:",
            ),
            (SENDER, "max(due.instants)", "max(due.instants) - timedelta(seconds=3)"),
        ),
    ),
    Mutant(
        "overdue takes what is not due",
        "an overdue sender takes waves that are early",
        (
            (SENDER, "past = tuple(i for i in due.instants if i <= app.clock.now())", "past = due.instants"),
            (
                "scheduler.services.waves",
                "late = {at: frozenset(waves[at]) for at in sorted(waves) if at <= now}",
                "late = {at: frozenset(waves[at]) for at in sorted(waves)}",
            ),
            (
                GATES,
                "if (now if at is None else at) < its_time or now + LONGEST_LEAD < its_time:",
                "if False:",
            ),
        ),
        ("restart_slow=0.7", "killed_at_step=0.005", "throttled=0.2"),
    ),
    Mutant(
        "window not looked at",
        "the gate lets through what is too late, and closing windows waits an hour",
        (
            (GATES, "    if leaves > delivery.not_after:", "    if False:"),
            (OUTBOX, "_d.c.not_after < instant(now))", "_d.c.due < instant(now.replace(year=now.year - 1)))"),
            (EVENTS, 'fields.get("fire_at", "") > instant(one.not_after)', "False"),
        ),
        ("stopped_at_step=0.02", "killed_at_step=0.005", "restart_slow=1"),
    ),
    Mutant(
        "embargo not looked at",
        "the gate does not look at embargoes",
        ((GATES, "    if (leaves if at is None else at) < delivery.embargo:", "    if False:"),),
        ODD_PLANS,
    ),
    Mutant(
        "blackout off by one",
        "a blackout begins a second late and ends a minute early",
        (
            (
                GATES,
                "if start <= instant(leaves) < end:",
                "if start <= instant(leaves - timedelta(seconds=1)) and instant(leaves + timedelta(seconds=60)) < end:",
            ),
        ),
        ODD_PLANS,
    ),
    Mutant(
        "blackout not looked at",
        "the gate does not look at blackouts",
        ((GATES, "if start <= instant(leaves) < end:", "if False:"),),
        ODD_PLANS,
    ),
    Mutant(
        "sent before the intent",
        "the gate lets through, and writes nothing",
        ((GATE, "        _write(conn, now, intents, sender, deadline, ground.epoch)\n", ""),),
    ),
    Mutant(
        "no fence",
        "a sender that was stopped goes on when it is woken",
        ((FENCE, "BUDGET = 4.0", "BUDGET = 40000.0"), (VOLLEY, "_STALE = 0.25", "_STALE = 40000.0")),
        ("stopped_at_step=0.03", "person_acts=1"),
    ),
    Mutant(
        "thread without its parent",
        "a later part goes before the part before it",
        (
            (
                GATES,
                "if delivery.after and states.get(delivery.after) not in (State.PUBLISHED, State.VERIFIED):",
                "if False:",
            ),
            ("scheduler.services.arm", "if delivery.after and parent is None:", "if False:"),
        ),
        ("dns_fails=0.3", "prepare_fails=0.3"),
    ),
    Mutant(
        "429 is unknown for ever",
        "what may be tried again never is, and nobody is told",
        (
            (
                SETTLE,
                '{"fire_at": instant(at),',
                '{"fire_at": instant(at.replace(year=2099)), "not_after": instant(at.replace(year=2099)),',
            ),
            (EVENTS, 'fields.get("fire_at", "") > instant(one.not_after)', "False"),
        ),
        ("throttled=0.3",),
    ),
    Mutant(
        "windows never close",
        "what waits for ever is never missed",
        ((OUTBOX, "_d.c.not_after < instant(now))", '_d.c.not_after < "")'),),
    ),
    Mutant(
        "keys are new at each try",
        "the record's key is made anew when it is sent again",
        (
            (
                "scheduler.services.arm",
                "key=delivery.key",
                'key=delivery.key[:-2] + f"{delivery.attempts:02}"',
            ),
        ),
        AMBIGUOUS,
    ),
)
