"""What queueing would add, change or withdraw: the files held against the store."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from scheduler.domain.account import Account
from scheduler.domain.approval import needs
from scheduler.domain.campaign import Rendered
from scheduler.domain.content import instant
from scheduler.domain.delivery import ENDED, MAY_STILL_LAND, WAITING, Delivery, State
from scheduler.domain.pace import Quotas, Slot
from scheduler.services.pace import COUNTS, Pacing, paced, taken
from scheduler.services.pace import said as said_of
from scheduler.store import desk, outbox
from scheduler.store.database import Database

CHANGEABLE = frozenset({State.SCHEDULED, State.MISSED, State.FAILED})
PAST = "its time has passed"
_LANDING = "an earlier attempt may still land"


@dataclass(frozen=True, slots=True)
class Difference:
    """One delivery's difference. `kind`: add, change, withdraw, unchanged, kept (cannot be changed any more).

    `why` says in words what differs; `voids` are the people whose approvals would stop counting.
    """

    kind: str
    name: str
    post: str
    rendered: Rendered | None
    delivery: Delivery | None
    why: tuple[str, ...] = ()
    voids: tuple[str, ...] = ()

    @property
    def past(self) -> bool:
        """Whether it would be added although its time has passed."""
        return self.why == (PAST,)


def plan(
    db: Database,
    campaign: str,
    rendered: Sequence[Rendered],
    now: datetime,
    *,
    pacing: Pacing | None = None,
    beside: Sequence[Rendered] = (),
) -> tuple[Difference, ...]:
    """Compare what the files render for one campaign with what is stored of it. Changes nothing.

    What cannot leave at once is given a later instant by `pacing`; `beside` are deliveries of other campaigns
    that will be queued first. Raises FilesWrong where one could only go after its window.
    """
    with db.read() as conn:
        stored = outbox.find(conn, campaign=campaign)
        ids = [d.id for d in stored]
        said = desk.decisions(conn, ids)
        ended_by = outbox.column(conn, ids, "ended_by")
        landing = outbox.with_attempt(conn, ids, MAY_STILL_LAND)
        aside = {name: outbox.column(conn, ids, name) for name in ("blackouts", "profile")}
    latest: dict[str, Delivery] = {}
    corrections: dict[str, list[Delivery]] = {}
    for one in stored:
        if one.corrects:
            # It has a name of its own that no file asks for; where it is out, its words are the files'.
            base = one.name.partition("/correction")[0]
            corrections.setdefault(base, []).append(one)
            continue
        if one.state in ENDED and ended_by[one.id] == "withdrawn":
            continue
        # What ended and became a question again stands behind what was queued in its place.
        if one.name not in latest or latest[one.name].state in ENDED or ended_by[latest[one.name].id]:
            latest[one.name] = one
    rendered, later = _paced(db, pacing or Pacing(), rendered, latest, landing, beside)
    found = []
    for new in rendered:
        old = latest.pop(new.name, None)
        if old is not None and any(
            c.content_sha256 == new.content.sha256 and c.state is not State.CANCELLED
            for c in corrections.get(new.name, ())
        ):
            found.append(Difference("unchanged", new.name, new.post, new, old, ("it is corrected",)))
            continue
        approved_by = tuple(
            dict.fromkeys(d.person for d in said.get(old.id, ()) if d.verdict == "granted") if old else ()
        )
        aside_of = {name: values[old.id] for name, values in aside.items()} if old else {}
        differs = _compare(new, old, approved_by, now, aside_of, old is not None and old.id in landing)
        if new.name in later and differs.kind in ("add", "change") and not differs.past:
            put_off = f"later than its file says: {said_of(later[new.name].why)}"
            differs = replace(differs, why=(*differs.why, put_off))
        found.append(differs)
    for gone in latest.values():
        if gone.id in landing and gone.state is State.SCHEDULED:
            why = f"{_LANDING}: its file no longer asks for it, nothing changes"
            found.append(Difference("kept", gone.name, gone.post, None, gone, (why,)))
        elif gone.state is State.SCHEDULED:
            found.append(
                Difference("withdraw", gone.name, gone.post, None, gone, ("its file no longer asks for it",))
            )
    return tuple(found)


def _paced(
    db: Database,
    pacing: Pacing,
    rendered: Sequence[Rendered],
    latest: Mapping[str, Delivery],
    landing: Collection[str],
    beside: Sequence[Rendered],
) -> tuple[tuple[Rendered, ...], Mapping[str, Slot]]:
    """When each can go. What has begun keeps its time, and what is stored of other campaigns comes first."""
    fixed = {
        one.name: replace(one, plan=replace(one.plan, due=old.due))
        for one in rendered
        if (old := latest.get(one.name))
        and (old.state not in CHANGEABLE or old.id in landing)
        and one.plan.due <= old.due <= old.not_after == one.plan.not_after
    }
    quotas, planned = Quotas(), {one.name for one in rendered} - fixed.keys()
    with db.read() as conn:
        campaign = {one.campaign for one in rendered}
        others = [
            d
            for d in outbox.find(conn, states=COUNTS)
            if d.campaign not in campaign
            or d.name in fixed
            or (d.name not in planned and d.state not in WAITING)
        ]
    taken(pacing, others, quotas)
    for one in beside:
        quotas.take(one.plan.due, pacing.claims(one.account, len(one.content.media)))
    moving, later = paced(pacing, [one for one in rendered if one.name in planned], quotas, latest)
    now_planned = {one.name: one for one in moving}
    return tuple(fixed.get(one.name) or now_planned[one.name] for one in rendered), later


def _compare(
    new: Rendered,
    old: Delivery | None,
    approved_by: tuple[str, ...],
    now: datetime,
    beside: Mapping[str, str],
    landing: bool,
) -> Difference:
    past = new.plan.not_after < now
    if old is None:
        return Difference("add", new.name, new.post, new, None, (PAST,) if past else ())
    why = _differences(new, old)
    if not why and old.state in CHANGEABLE and not landing and (why := _beside(new, beside)):
        # Nobody approved these: they may change without asking again.
        return Difference("change", new.name, new.post, new, old, why)
    if not why:
        return Difference("unchanged", new.name, new.post, new, old)
    if landing or old.state not in CHANGEABLE or (old.state is not State.SCHEDULED and past):
        state = "cancelled by a person" if old.state is State.CANCELLED else f"already {old.state}"
        if landing and old.state in CHANGEABLE:
            state = _LANDING
        return Difference(
            "kept", new.name, new.post, new, old, (f"{state}: the files differ, nothing changes",)
        )
    return Difference("change", new.name, new.post, new, old, why, approved_by)


def _differences(new: Rendered, old: Delivery) -> tuple[str, ...]:
    why: list[str] = []
    a, b = old.content, new.content
    if a.text != b.text:
        why.append(f"words: {changed_words(a.text, b.text)}")
    if a.media != b.media:
        same_files = [m.sha256 for m in a.media] == [m.sha256 for m in b.media]
        why.append("alt text" if same_files else "pictures")
    if a.link != b.link:
        why.append(f"link: {a.link} → {b.link}")
    if a.address != b.address:
        why.append("the account's profile")
    if a.sha256 != b.sha256 and not why:
        why.append("language, visibility or parts")
    if old.plan_sha256 != new.plan.sha256:
        why.append("time" if old.due != new.plan.due else "window, embargo or close of approvals")
    if old.policy_sha256 != new.policy.sha256 or old.needs != needs(new.content, new.policy):
        why.append("approval policy")
    return tuple(why)


def _beside(new: Rendered, beside: Mapping[str, str]) -> tuple[str, ...]:
    """What differs beside the words and the time."""
    why = []
    if beside["blackouts"] != blackouts(new):
        why.append("blackouts")
    if beside["profile"] != profile(new.account):
        why.append("where the account is reached")
    return tuple(why)


def blackouts(new: Rendered) -> str:
    """Those that bind the delivery's organisation, as JSON."""
    return json.dumps(
        [
            [instant(b.start), instant(b.end), b.reason]
            for b in new.blackouts
            if not b.organisations or new.account.organisation in b.organisations
        ]
    )


def profile(account: Account) -> str:
    """The account's public parts and its secret's reference (never a secret), as JSON."""
    fields = asdict(account)
    del fields["about"]
    return json.dumps(fields, sort_keys=True)


def changed_words(old: str, new: str) -> str:
    """The words that differ, `285 → 286`; the longer differences are cut."""
    import difflib

    a, b = old.split(), new.split()
    parts = []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(a=a, b=b, autojunk=False).get_opcodes():
        if tag != "equal":
            parts.append(f"{_cut(' '.join(a[i1:i2]))} → {_cut(' '.join(b[j1:j2]))}")
    return "; ".join(parts[:3]) + (" …" if len(parts) > 3 else "") if parts else "white space"


def _cut(text: str) -> str:
    return (text[:37] + "…" if len(text) > 38 else text) or "(nothing)"
