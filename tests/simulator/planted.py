"""Protocol bugs, planted in the production source as it is imported: each must be found by simulated days.

A bug is an edit of source text, so it reaches every caller. Where a second layer would catch it too, that
layer is taken away as well, and `what` says so. An edit that fits nothing any more is an error.
"""

# ruff: noqa: E501 - because edits quote source text as it is

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug: `edits` are (module, old text, new text); `rates` are what makes its case frequent."""

    name: str
    what: str
    edits: tuple[tuple[str, str, str], ...]
    rates: tuple[str, ...] = ()
    mix: str = "hostile"


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

# The last look also notices most stops; mutants of one stop take it away.
BLIND_LOOK = (SENDER, "return desk.stop_epoch(looking) == passed.epoch", "return True")
SURE = ("look_fails=0", "killed_at_step=0")
NO_DEATHS = ("killed_at_step=0.0005", "stopped_at_step=0")
AMBIGUOUS = ("reply_lost=0.2", "error_after_commit=0.2", "commit_late=0.1", *NO_DEATHS)
BUSY_PEOPLE = ("person_acts=1", "person_acts_at_t0=0.9", *NO_DEATHS)
OFTEN_STOPPED = ("stopped_at_step=0.03",)

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
        NO_DEATHS,
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
        NO_DEATHS,
    ),
    Mutant(
        "window not looked at",
        "the gate lets through what is too late, and closing windows waits an hour",
        (
            (GATES, "    if leaves > delivery.not_after:", "    if False:"),
            (OUTBOX, "_d.c.not_after < instant(now))", "_d.c.due < instant(now.replace(year=now.year - 1)))"),
            (EVENTS, 'fields.get("fire_at", "") > instant(one.not_after)', "False"),
        ),
        ("restart_slow=1", "killed_at_step=0.01"),
    ),
    Mutant(
        "embargo not looked at",
        "the gate does not look at embargoes",
        ((GATES, "    if (leaves if at is None else at) < delivery.embargo:", "    if False:"),),
        NO_DEATHS,
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
        NO_DEATHS,
    ),
    Mutant(
        "blackout not looked at",
        "the gate does not look at blackouts",
        ((GATES, "if start <= instant(leaves) < end:", "if False:"),),
        NO_DEATHS,
    ),
    Mutant(
        "resend after one look",
        "one absent look is enough",
        (
            (RETRY, "look.looks >= 2", "look.looks >= 1"),
            (RETRY, "settled = look.now >= look.deadline + look.settle", "settled = True"),
            (RECONCILE, "if answered and settled and apart:", "if answered:"),
        ),
        ("commit_late=0.3", "look_fails=0", *NO_DEATHS),
    ),
    Mutant(
        "looks do not settle",
        "absent looks count at once",
        (
            (RETRY, "settled = look.now >= look.deadline + look.settle", "settled = True"),
            (RECONCILE, "settled = one.at >= deadline + timing.settle", "settled = True"),
        ),
        ("commit_late=0.3", "read_lag=0.9", "look_fails=0", *NO_DEATHS),
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
        ("reply_lost=0.3", "look_fails=0.7", *NO_DEATHS),
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
        ("error_after_commit=0.3", *NO_DEATHS),
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
        ("request_lost=0.3", *NO_DEATHS),
    ),
    Mutant(
        "adopted without proof of death",
        "what another sender has in hand is taken for orphaned",
        (
            (RECONCILE, "if late or is_dead(attempt.sender):", "if True:"),
            ("scheduler.daemon", "or (doubt and not self._jobs.sending)", "or doubt"),
        ),
        ("slow_reply=0.9", "stopped_at_step=0.02"),
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
        ("commit_late=0.3", "look_fails=0", *NO_DEATHS),
    ),
    Mutant(
        "missed before it is looked for",
        "closing windows forgets open attempts",
        ((WINDOWS, "landing = outbox.with_attempt(conn, ids, MAY_STILL_LAND)", "landing = set()"),),
        ("reply_lost=0.3", "commit_late=0.3", "dns_fails=0.3"),
    ),
    Mutant(
        "given up though it may land",
        "missed is told while an earlier attempt may still land",
        ((EVENTS, "    if d.id in landing:", "    if False:"),),
        ("commit_late=0.3", "dns_fails=0.4"),
    ),
    Mutant(
        "failed though it may land",
        "failed is told while an earlier attempt may still land",
        ((SETTLE, "elif state is State.FAILED and delivery.id in landing:", "elif False:"),),
        ("commit_late=0.3", "rejected=0.4"),
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
        ("commit_late=0.5", "dns_fails=0.5", "person_acts=1"),
    ),
    Mutant(
        "settled without guard",
        "outcomes are recorded whatever the state is, and late words are dropped",
        (
            (
                SETTLE,
                "            settles = one.attempt_id not in seen or _may_settle(delivery, was, one.result)\n",
                "            if one.attempt_id in seen and was not in OPEN_ATTEMPT:\n                continue\n            settles = True\n",
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
        "sent before the intent",
        "the gate writes no intent and no state: it is sent again and again",
        (
            (
                GATE,
                "if why := _shut(one, known, armed[one.id], at):",
                'why = _shut(one, known, armed[one.id], at)\n        if {g.code for g in why} - {"in_doubt", "state"}:',
            ),
            (
                RECONCILE,
                'State.UNCONFIRMED,\n                    {"reason": why}',
                'State.SCHEDULED,\n                    {"reason": why}',
            ),
        ),
        ("killed_at_step=0.02",),
    ),
    Mutant(
        "foreseen long ago",
        "the gate goes by what it foresaw, whatever was committed since; nor does the last look notice a stop",
        (
            (GATE, "if mark != self.mark or not before", "if not before"),
            ("scheduler.services.foresight", "self._changes.mark() != self._foreseen.mark", "False"),
            BLIND_LOOK,
        ),
        BUSY_PEOPLE,
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
                "    state = State.SCHEDULED\n    if proofs:",
                "    state = State.UNCONFIRMED\n    if proofs:",
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
        "no fence",
        "a sender that was stopped goes on when it is woken",
        ((FENCE, "BUDGET = 4.0", "BUDGET = 40000.0"), (VOLLEY, "_STALE = 0.25", "_STALE = 40000.0")),
        (*OFTEN_STOPPED, "person_acts=1"),
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
        ("dns_fails=0.3",),
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
        ("dropped=0.3", *NO_DEATHS),
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
        AMBIGUOUS,
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
BY_NAME = {m.name: m for m in MUTANTS}


class Planter(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the modules of a mutant with their edits."""

    def __init__(self, mutant: Mutant) -> None:
        self._edits: dict[str, list[tuple[str, str]]] = {}
        for module, old, new in mutant.edits:
            self._edits.setdefault(module, []).append((old, new))

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Ours, with the usual one's file."""
        if name not in self._edits:
            return None
        usual = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert usual
        assert usual.origin
        return importlib.util.spec_from_file_location(
            name, usual.origin, loader=_Edited(name, usual.origin, self._edits[name])
        )


class _Edited(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, edits: list[tuple[str, str]]) -> None:
        super().__init__(name, path)
        self._edits = edits

    def get_code(self, fullname: str) -> Any:
        """Compiled from the edited text; nothing is cached."""
        text = self.get_data(self.path).decode()
        return compile(edited(text, self._edits, fullname), self.path, "exec", dont_inherit=True)


def edited(text: str, edits: Sequence[tuple[str, str]], where: str) -> str:
    """The text with the edits. Raises LookupError where one fits nothing."""
    for old, new in edits:
        if old not in text:
            raise LookupError(f"{where} has no longer: {old}")
        text = text.replace(old, new)
    return text


def plant(name: str) -> None:
    """From now on imports have the bug. Raises KeyError for an unknown name, LookupError for a stale one."""
    if any(m in sys.modules for m, _, _ in BY_NAME[name].edits):
        raise LookupError("a module of this mutant was imported before it was planted")
    sys.meta_path.insert(0, Planter(BY_NAME[name]))
