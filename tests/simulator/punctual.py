"""Where nothing was in its way, an approved post went out at its time: "missed" is no answer then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .witness import Known, _covers

if TYPE_CHECKING:
    from .day import Day

EARLY = 90.0  # seconds before its time from which nothing may have been in its way
MOMENT = 3.0  # seconds that a stop for others, and the gate asked again after it, may cost
# What slows nothing down before the first byte.
HARMLESS = frozenset(
    {
        "read_lag",
        "key_ignored",
        "vanishes",
        "answers_late",
        "approved_late",
        "person_acts",
        "person_acts_at_t0",
        "person_between",
        "look_fails",
        "looks_fail_long",
        "throttled_names_time",
        "throttled_absurdly",
    }
)


def unpunctual(day: Day) -> list[str]:
    """What should have been sent at its time, and was not."""
    world = day.world
    if day.stepped or world.deaths:
        return []
    wrong = []
    for known in day.witness.book.values():
        due = known.due.timestamp()
        quiet = due - EARLY
        busy = any(
            quiet < at < due + MOMENT and what not in (HARMLESS | {"slow_reply"} if at >= due else HARMLESS)
            for at, what in world.happened
        )
        stopped = any(b > quiet and a < due + MOMENT for p in world.processes for a, b in p.stops)
        trouble = any(account == known.wanted.account for _, account, _ in day.platforms.faults)
        if busy or stopped or trouble or not _free(day, known, quiet, due):
            continue
        w = known.wanted
        mine = (w.account, w.words)
        sent = [at for at, account, words, _ in day.witness.firsts if (account, words) == mine]
        if not any(due <= at <= due + MOMENT for at in sent):
            wrong.append(f"{w.name} was approved and free, and did not go out at its time")
    return wrong


def _free(day: Day, known: Known, quiet: float, due: float) -> bool:
    """Whether nobody had anything against it, from long enough before its time."""
    w = known.wanted
    yes = set(known.needs) <= set(known.granted.values()) and known.granted_at < quiet
    calm = known.changed_at < quiet and not known.rejected and known.cancelled_at > due + MOMENT
    held = any(at < due + MOMENT and _covers(scope, w) for at, scope in day.witness.stops)
    plain = w.part == 1 and w.embargo is None and w.blackout is None
    return yes and calm and plain and not held
