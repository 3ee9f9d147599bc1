"""Per-platform pacing is honoured over simultaneity: what cannot leave at once is planned and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.domain.account import Account
from scheduler.domain.campaign import Rendered
from scheduler.domain.delivery import State
from scheduler.domain.pace import Limit, Per, Stated
from scheduler.errors import FilesWrong
from scheduler.publishers import registry
from scheduler.services.move import move
from scheduler.services.pace import Pacing
from scheduler.services.plan import Difference, plan
from scheduler.services.queue import queue

from .house import LAUNCH, House, actor, rendered
from .platform import Fake

MINUTE = timedelta(minutes=1)
RECORDS = ("dorset/record", "wiltshire/record", "charity/record")


class Slow(Fake):
    """A platform that takes two posts in three minutes from all accounts of a server together."""

    def pace(self, account: Account) -> tuple[Limit, ...]:
        return (Limit(2, "posts", timedelta(minutes=3), Per.SERVER),)


@pytest.fixture
def pacing(house: House) -> Pacing:
    slow = house.publishers["record"]
    return Pacing({"record": Slow(slow.platform, slow.capability, house.world)})


def planned(
    house: House, pacing: Pacing, *wanted: Rendered, beside: Sequence[Rendered] = ()
) -> list[Difference]:
    return list(plan(house.db, "spring", wanted, house.clock.now(), pacing=pacing, beside=beside))


def put(house: House, differences: Sequence[Difference]) -> None:
    queue(house.db, house.clock, actor("ann"), differences, {})


def times(house: House) -> list[timedelta]:
    return sorted(d.due - LAUNCH for d in house.all() if d.state is not State.CANCELLED)


def test_what_cannot_leave_at_once_is_later_and_plan_says_why(house: House, pacing: Pacing) -> None:
    found = planned(house, pacing, *(rendered(a) for a in RECORDS))
    (late,) = [d for d in found if d.why]
    assert late.why == ("later than its file says: record on fake.example takes 2 posts in 3 min",)
    assert late.rendered
    assert late.rendered.plan.due == LAUNCH + 4 * MINUTE  # the window, and a minute for preparing
    assert late.rendered.plan.not_after == LAUNCH + 10 * MINUTE


def test_who_runs_a_server_says_what_it_takes_and_that_counts_instead(house: House, pacing: Pacing) -> None:
    own = replace(pacing, stated=(Stated("server", "https://fake.example", 3, MINUTE),))
    assert not [d for d in planned(house, own, *(rendered(a) for a in RECORDS)) if d.why]
    other = replace(pacing, stated=(Stated("server", "https://other.example", 3, MINUTE),))
    assert [d for d in planned(house, other, *(rendered(a) for a in RECORDS)) if d.why]


def test_hundreds_of_mastodon_accounts_on_one_server_leave_together() -> None:
    """Its limit for an address counts requests without a token only."""
    pacing = Pacing(registry.load({"mastodon"}))
    account = Account("dorset", "mastodon", "mastodon", "@a", "https://social.example")
    assert {c.limit.per for c in pacing.claims(account, 1)} == {Per.ACCOUNT}


def test_the_later_instant_is_approved_and_kept_to_like_any_other(house: House, pacing: Pacing) -> None:
    put(house, planned(house, pacing, *(rendered(a) for a in RECORDS)))
    assert times(house) == [0 * MINUTE, 0 * MINUTE, 4 * MINUTE]
    late = max(house.all(), key=lambda d: d.due)
    assert late.fire_at == late.due
    assert late.plan_sha256 not in {d.plan_sha256 for d in house.all() if d.id != late.id}
    house.approve_all()
    house.launch()
    assert house.get(late.name).state is State.SCHEDULED
    house.launch(at=late.due)
    assert {d.state for d in house.all()} == {State.PUBLISHED}


def test_planning_again_changes_nothing_before_or_after_the_launch(house: House, pacing: Pacing) -> None:
    wanted = [rendered(a) for a in RECORDS]
    put(house, planned(house, pacing, *wanted))
    assert {d.kind for d in planned(house, pacing, *wanted)} == {"unchanged"}
    house.approve_all()
    house.launch()
    assert {d.kind for d in planned(house, pacing, *wanted)} == {"unchanged"}


def test_a_post_that_is_added_costs_nobody_an_approval(house: House, pacing: Pacing) -> None:
    wanted = [rendered(a) for a in RECORDS]
    put(house, planned(house, pacing, *wanted))
    house.approve_all()
    more = [
        replace(one, plan=replace(one.plan, not_after=LAUNCH + timedelta(hours=1)))
        for one in (rendered(a, post="another") for a in RECORDS)
    ]
    found = planned(house, pacing, *more, *wanted)
    assert {d.kind for d in found if d.post == "launch"} == {"unchanged"}
    assert sorted(d.rendered.plan.due - LAUNCH for d in found if d.post == "another" and d.rendered) == [
        4 * MINUTE,
        8 * MINUTE,
        8 * MINUTE,
    ]


def test_a_wave_that_is_moved_keeps_its_pace(house: House, pacing: Pacing) -> None:
    put(house, planned(house, pacing, *(rendered(a) for a in RECORDS)))
    day = timedelta(days=1)
    move(house.db, house.clock, actor("bea"), house.all(), LAUNCH + day, "a storm")
    assert times(house) == [day, day, day + 4 * MINUTE]
    assert {d.not_after for d in house.all()} == {LAUNCH + day + 10 * MINUTE}
    move(house.db, house.clock, actor("bea"), house.all(), LAUNCH + 2 * day, "another storm")
    assert times(house) == [2 * day, 2 * day, 2 * day + 4 * MINUTE]


def test_what_other_campaigns_have_planned_comes_first(house: House, pacing: Pacing) -> None:
    other = [replace(rendered(a, post="o"), campaign="autumn") for a in RECORDS[:2]]
    (one,) = planned(house, pacing, rendered(RECORDS[2]), beside=other)
    assert one.rendered
    assert one.rendered.plan.due == LAUNCH + 4 * MINUTE


def test_what_could_only_go_after_its_window_is_an_error_and_not_a_surprise(
    house: House, pacing: Pacing
) -> None:
    posts = [rendered(a, post=f"p{n}") for n in range(3) for a in RECORDS]
    with pytest.raises(FilesWrong) as refused:
        planned(house, pacing, *posts)
    assert {p.code for p in refused.value.problems} == {"E702"}
    assert "takes 2 posts in 3 min" in refused.value.problems[0].message
    assert "closes at 07:10:00 UTC" in refused.value.problems[0].message


@pytest.mark.parametrize(
    ("kind", "name", "late"),
    [
        ("account", "dorset/record", 0),
        ("platform", "record", 2),
        ("server", "https://fake.example", 2),
        ("platform", "listing", 0),
    ],
)
def test_accounts_yaml_may_state_less(house: House, kind: str, name: str, late: int) -> None:
    stated = Pacing({}, (Stated(kind, name, 1, 4 * MINUTE),))
    found = planned(house, stated, *(rendered(a) for a in RECORDS))
    assert sum(bool(d.why) for d in found) == late


def test_the_publishers_say_what_their_platforms_document() -> None:
    publishers = registry.load({"mastodon", "bluesky", "x", "facebook"})
    account = Account("dorset", "any", "", "@d", "https://social.example")
    pacing = Pacing(publishers)
    said = {
        platform: {
            f"{c.limit} per {c.limit.per}" for c in pacing.claims(replace(account, platform=platform), 1)
        }
        for platform in publishers
    }
    assert said == {
        "mastodon": {
            "300 requests in 5 min per account",
            "30 pictures in 30 min per account",
        },
        "bluesky": {
            "3000 requests in 5 min per server",
            "5000 points in 1 h per account",
            "35000 points in 24 h per account",
            "30 sessions in 5 min per account",
            "300 sessions in 24 h per account",
        },
        "x": {"100 posts in 15 min per account", "10000 posts in 24 h per app"},
        "facebook": set(),
    }
