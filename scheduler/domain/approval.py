"""Which approvals a delivery needs, which of those given count, and what is missing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from scheduler.domain.account import Directory
from scheduler.domain.content import Content, Policy
from scheduler.domain.delivery import Delivery


@dataclass(frozen=True, slots=True)
class Decision:
    """One approval (`granted`) or rejection (`rejected`) of a delivery; `voided` ones stay readable."""

    id: str
    verdict: str
    person: str
    organisation: str
    role: str
    content_sha256: str
    plan_sha256: str
    policy_sha256: str
    at: datetime
    wall_at: datetime
    note: str = ""
    why: str = ""


def needs(content: Content, policy: Policy) -> tuple[str, ...]:
    """Who must say yes: `owner:ORG`, `partner:ORG`, `lead:ORG`, one entry for each person wanted.

    The partner is asked only where `signoff.partner.when` matches words, link or alt texts; where the
    partner owns the account its owner's approval is the partner's word already.
    """
    wanted = [f"owner:{content.organisation}"] * policy.each_org
    if policy.partner and policy.partner_org not in ("", content.organisation) and matches(content, policy):
        wanted += [f"partner:{policy.partner_org}"] * policy.partner
    if policy.lead and policy.lead_org:
        wanted += [f"lead:{policy.lead_org}"] * policy.lead
    return tuple(wanted)


def matches(content: Content, policy: Policy) -> bool:
    """Whether words, link or alt texts hold one of the partner's texts, in any letter case."""
    said = "\n".join((content.text, content.link, *(m.alt for m in content.media))).casefold()
    return any(when.casefold() in said for when in policy.partner_when)


def counts(decision: Decision, delivery: Delivery, policy: Policy, wall_now: datetime) -> str:
    """Why an approval does not count for what would be sent now; "" where it does.

    Its age is measured by the machine's clock, so that a simulation that moved its own clock to launch
    day does not expire what was approved a minute ago.
    """
    if decision.verdict != "granted":
        return decision.why or decision.verdict
    if decision.content_sha256 != delivery.content_sha256:
        return "the words changed"
    if decision.plan_sha256 != delivery.plan_sha256:
        return "the time changed"
    if decision.policy_sha256 != delivery.policy_sha256:
        return "the approval policy changed"
    if policy.not_author and decision.person in (delivery.author, delivery.planner):
        return "the author does not approve"
    if decision.at >= delivery.due:
        return "given after the time it was due"
    if wall_now - decision.wall_at > policy.valid_for:
        return "expired"
    return ""


def missing(
    delivery: Delivery,
    decisions: Iterable[Decision],
    policy: Policy,
    wall_now: datetime,
    approvers: Mapping[str, Collection[str]] | None = None,
) -> tuple[str, ...]:
    """The needs that no valid approval meets, in order; empty = approved.

    `approvers`, where given, names who may speak for each organisation today: a person taken out of
    accounts.yaml stops counting. With `distinct` one person meets one need only.
    """
    given = list(decisions)
    if any(rejects(d, delivery, given) for d in given):
        return delivery.needs
    valid = [d for d in given if not counts(d, delivery, policy, wall_now)]
    if approvers is not None:
        valid = [d for d in valid if d.person in approvers.get(d.organisation, ())]
    left: list[str] = []
    met: dict[str, set[str]] = {}
    for need in delivery.needs:
        for one in valid:
            used = met.get(one.person, set())
            if one.role == need and need not in used and not (policy.distinct and used):
                met.setdefault(one.person, set()).add(need)
                break
        else:
            left.append(need)
    return tuple(left)


def rejects(decision: Decision, delivery: Delivery, given: Iterable[Decision]) -> bool:
    """Whether this rejects these words and the same person has not approved them since."""
    if decision.verdict != "rejected" or decision.content_sha256 != delivery.content_sha256:
        return False
    return not any(
        d.person == decision.person and d.verdict == "granted" and d.at > decision.at for d in given
    )


def may_meet(directory: Directory, person: str, needs_of: Iterable[str]) -> tuple[str, ...]:
    """Those of the needs that this person could meet: an approver of the organisation it names."""
    who = directory.people.get(person)
    if who is None or "approver" not in who.roles:
        return ()
    return tuple(dict.fromkeys(n for n in needs_of if n.partition(":")[2] == who.organisation))


def describe(need: str, directory: Directory) -> str:
    """A need in words: `Dorset Police`, `The Lucy Faithfull Foundation (partner)`."""
    role, _, slug = need.partition(":")
    organisation = directory.organisations.get(slug)
    name = organisation.name if organisation else slug
    return name if role == "owner" else f"{name} ({role})"
