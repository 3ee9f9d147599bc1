"""Who is told: the duty people of an organisation first, more of them the longer nobody answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from scheduler.domain.account import Directory, Person


def recipients(directory: Directory, organisation: str, level: int, now: datetime) -> tuple[Person, ...]:
    """The people to tell of something that concerns the organisation ("" = the machine itself).

    `level` counts the escalations so far: each step adds its people to those before. Whoever is away at
    `now` is represented by the deputy.
    """
    named = list(_first(directory, organisation))
    for step in directory.notify.steps[:level]:
        named += step.people or (*_approvers(directory, organisation), *keepers(directory))
    return tuple(dict.fromkeys(_present(directory, named, now)))


def keepers(directory: Directory) -> tuple[str, ...]:
    """Who looks after the machine: `notify: to`, else everybody on duty, else every approver."""
    if directory.notify.keepers:
        return directory.notify.keepers
    duty = [s for o in directory.organisations for s in directory.organisations[o].duty]
    duty += [p.slug for p in directory.people.values() if "duty" in p.roles]
    return tuple(dict.fromkeys(duty)) or _approvers(directory, "")


def _first(directory: Directory, organisation: str) -> Sequence[str]:
    known = directory.organisations.get(organisation)
    if known is None:
        return keepers(directory)
    by_role = [p.slug for p in directory.people_of(organisation, "duty")]
    return known.duty or by_role or _approvers(directory, organisation) or keepers(directory)


def _approvers(directory: Directory, organisation: str) -> tuple[str, ...]:
    people = directory.people.values()
    return tuple(p.slug for p in people if "approver" in p.roles and organisation in ("", p.organisation))


def _present(directory: Directory, slugs: Iterable[str], now: datetime) -> Iterable[Person]:
    for slug in slugs:
        person = directory.people.get(slug)
        if person is None:
            continue
        away = person.away
        deputy = directory.people.get(away.deputy) if away and away.start <= now < away.end else None
        yield deputy or person
