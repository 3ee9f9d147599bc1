"""Pacing: what platforms and accounts.yaml allow, and the later instants of what cannot leave at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from scheduler.domain.account import Account
from scheduler.domain.campaign import Rendered
from scheduler.domain.delivery import IN_DOUBT, OUT, WAITING, Delivery, State
from scheduler.domain.pace import PREPARING, Claim, Limit, Load, Per, Quotas, Slot, Stated, spread
from scheduler.domain.publisher import Paced, Publisher
from scheduler.errors import FilesWrong, Problem

COUNTS = tuple(WAITING | IN_DOUBT | OUT | {State.ASKING})  # deliveries that use what a platform allows


@dataclass(frozen=True, slots=True)
class Pacing:
    """What platforms allow, as their publishers say it, and what accounts.yaml states besides."""

    publishers: Mapping[str, Publisher] = field(default_factory=dict)
    stated: Sequence[Stated] = ()

    def claims(self, account: Account, pictures: int) -> tuple[Claim, ...]:
        """What a delivery of the account uses of each limit that binds it."""
        publisher: object = self.publishers.get(account.platform)
        usual = publisher.server if isinstance(publisher, Publisher) else ""
        server = (account.server or usual).removeprefix("https://")
        whose = {
            Per.ACCOUNT: account.id,
            Per.SERVER: f"{account.platform} on {server}" if server else account.platform,
            Per.APP: account.platform,
        }
        limits = publisher.pace(account) if isinstance(publisher, Paced) else ()
        own = any((one.kind, one.name) == ("server", account.server) for one in self.stated)
        # Who runs a server knows what it takes: that counts instead of what such servers usually take.
        binding = [one for one in limits if not (own and one.per is Per.SERVER)]
        found = [Claim(whose[one.per], one, one.window + PREPARING, one.uses(pictures)) for one in binding]
        named = {"account": account.id, "server": account.server, "platform": account.platform}
        for one in self.stated:
            if named[one.kind] == one.name:
                limit = Limit(one.posts, "posts", one.window, Per.APP)
                found.append(Claim(f"accounts.yaml: {one.name}", limit, one.window, 1))
        return tuple(claim for claim in found if claim.cost)


def taken(pacing: Pacing, stored: Sequence[Delivery], quotas: Quotas) -> None:
    """Count what is stored and is not planned anew."""
    for one in stored:
        server = one.content.address.partition("|")[0]
        account = Account(one.organisation, one.account.partition("/")[2], one.platform, "", server)
        quotas.take(one.due, pacing.claims(account, len(one.content.media)))


def paced(
    pacing: Pacing, rendered: Sequence[Rendered], quotas: Quotas, known: Mapping[str, Delivery]
) -> tuple[tuple[Rendered, ...], Mapping[str, Slot]]:
    """The deliveries with the instants at which they can go, and why those of them are later that are.

    Raises FilesWrong where one could only go after its window.
    """
    slots = spread([_load(pacing, one, one.name in known) for one in rendered], quotas)
    wrong = [one for one in rendered if slots[one.name].late]
    if wrong:
        raise FilesWrong(too_many(wrong, slots))
    later = tuple(replace(one, plan=replace(one.plan, due=slots[one.name].at)) for one in rendered)
    return later, {name: slot for name, slot in slots.items() if slot.why}


def _load(pacing: Pacing, one: Rendered, known: bool) -> Load:
    return Load(
        name=one.name,
        thread=f"{one.campaign}/{one.account.id}/{one.post}",
        organisation=one.account.organisation,
        due=one.plan.due,
        not_after=one.plan.not_after,
        claims=pacing.claims(one.account, len(one.content.media)),
        known=known,
        closed=tuple(
            (b.start, b.end)
            for b in one.blackouts
            if not b.organisations or one.account.organisation in b.organisations
        ),
    )


def too_many(late: Sequence[Rendered], slots: Mapping[str, Slot]) -> tuple[Problem, ...]:
    """One problem for each text and limit: what could only go after its window."""
    groups: dict[tuple[object, str], list[Rendered]] = {}
    for one in late:
        groups.setdefault((one.at, said(slots[one.name].why)), []).append(one)
    found = []
    for (_, why), members in groups.items():
        first = members[0]
        more = f" and {len(members) - 1} more" if len(members) > 1 else ""
        closes = _clock(first.plan.not_after)
        message = f"{why}: {first.name}{more} could only go after their window, which closes at {closes}"
        help = "give posts other times, widen the campaign's window, or send it to fewer accounts at once"
        found.append(Problem("E702", message, first.at, help))
    return tuple(found)


def said(why: Claim | None) -> str:
    """`mastodon on social.example takes 300 requests in 5 min`."""
    return f"{why.whose} takes {why.limit}" if why else ""


def _clock(at: datetime) -> str:
    return at.strftime("%H:%M:%S UTC")
