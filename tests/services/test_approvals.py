"""Approvals: by whom, of what, until when; and what stops counting."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.domain.delivery import State
from scheduler.errors import ApprovalError, UsageError
from scheduler.services.review import approve, reject

from .house import DIRECTORY, LAUNCH, POLICY, House, actor, rendered

MISSED_FOR_WANT = "not approved"


def test_an_approver_of_the_owning_organisation_is_enough(house: House) -> None:
    house.queue(rendered())
    done = house.approve("bob", note="fine by us")
    assert [d.name for d in done.given] == ["dorset/record/launch"]
    assert list(done.still_missing.values()) == [()]
    house.launch()
    assert len(house.world.posts) == 1
    (entry,) = house.entries("approval.granted")
    assert entry.body["content_sha256"] == house.get().content_sha256
    assert entry.body["plan_sha256"] == house.get().plan_sha256
    assert (entry.body["actor"]["id"], entry.reason_text) == ("bob", "fine by us")


def test_the_author_of_this_revision_cannot_approve_it(house: House) -> None:
    house.queue(rendered(), by="dan")
    with pytest.raises(ApprovalError, match="dan wrote these posts") as refused:
        house.approve("dan")
    assert "bob" in refused.value.message  # whom to ask
    house.queue(rendered(text="words of ann"), by="ann")
    assert house.approve("dan").given


def test_an_approval_by_who_became_its_author_does_not_count(house: House) -> None:
    house.queue(rendered(), by="ann")
    house.approve("dan")
    house.queue(rendered(text="other"), by="dan")
    assert house.gate(house.arm()).attempts == {}
    assert house.get().state is State.MISSED


def test_where_the_policy_lets_the_author_approve_the_author_may(house: House) -> None:
    house.queue(rendered(policy=replace(POLICY, not_author=False)), by="dan")
    assert house.approve("dan").given


@pytest.mark.parametrize("who", ["wil", "cat"])
def test_another_organisation_cannot_approve(house: House, who: str) -> None:
    house.queue(rendered())
    with pytest.raises(ApprovalError, match="does not speak for dorset"):
        house.approve(who)
    assert house.entries("approval") == []


@pytest.mark.parametrize("who", ["ann", "mallory"])
def test_who_is_no_approver_cannot_approve(house: House, who: str) -> None:
    house.queue(rendered())
    with pytest.raises(
        ApprovalError, match=r"not an approver|nobody in accounts\.yaml|ann wrote these posts"
    ):
        house.approve(who)


def test_the_partner_is_asked_only_where_the_words_or_the_link_name_what_it_signs_off(house: House) -> None:
    house.queue(
        rendered(text="call the Helpline", post="a"),
        rendered(text="nothing", post="b"),
        rendered(text="see", link="https://helpline.example", post="c"),
        rendered("charity/record", "our helpline", post="d"),
    )
    needs = {d.post: d.needs for d in house.all()}
    assert needs["a"] == needs["c"] == ("owner:dorset", "partner:charity")
    assert needs["b"] == ("owner:dorset",)
    assert needs["d"] == ("owner:charity",)
    house.approve("bob")
    house.launch()
    assert {d.post: d.state for d in house.all()} == {
        "a": State.MISSED,
        "b": State.PUBLISHED,
        "c": State.MISSED,
        "d": State.MISSED,
    }
    assert "partner:charity" in house.get("dorset/record/a").reason


def test_with_the_partners_word_it_goes(house: House) -> None:
    house.queue(rendered(text="call the helpline"))
    for person in ("bob", "cat"):
        house.approve(person)
    house.launch()
    assert house.get().state is State.PUBLISHED


def test_one_person_meets_one_need_only(house: House) -> None:
    house.queue(rendered(policy=replace(POLICY, each_org=2)))
    assert list(house.approve("bob").still_missing.values()) == [("owner:dorset",)]
    again = house.approve("bob")
    assert (again.given, len(again.already)) == ((), 1)
    assert len(house.entries("approval.granted")) == 1
    assert list(house.approve("bea").still_missing.values()) == [()]


def test_an_approval_expires(house: House) -> None:
    house.queue(rendered(policy=replace(POLICY, valid_for=timedelta(days=3))))
    house.approve("bob")
    house.launch()
    assert house.get().state is State.MISSED
    assert house.world.posts == []


def test_who_was_taken_out_of_accounts_yaml_stops_counting(house: House) -> None:
    house.queue(rendered())
    house.approve("bob")
    house.approvers["dorset"] = ("bea",)
    house.launch()
    assert house.get().state is State.MISSED


def test_a_changed_policy_voids(house: House) -> None:
    house.queue(rendered())
    house.approve("bob")
    house.queue(rendered(policy=replace(POLICY, valid_for=timedelta(days=30))))
    house.launch()
    assert house.get().state is State.MISSED


@pytest.mark.parametrize("new", [{"text": "other words"}, {"due": LAUNCH + timedelta(hours=1)}])
def test_what_changed_since_it_was_shown_is_not_approved(house: House, new: dict[str, object]) -> None:
    house.queue(rendered())
    shown = house.all()
    house.queue(rendered(**new))  # type: ignore[arg-type]
    with pytest.raises(ApprovalError, match="changed since it was shown"):
        approve(house.db, house.clock, DIRECTORY, actor("bob"), shown)
    assert house.entries("approval.granted") == []


def test_approvals_close_and_then_none_is_taken(house: House) -> None:
    house.queue(rendered())
    house.hands.at = LAUNCH - timedelta(minutes=29)
    with pytest.raises(ApprovalError, match="approvals closed at Tue 9 Mar 2027 06:30 GMT"):
        house.approve("bob")


def test_a_late_approval_does_not_publish(house: House) -> None:
    one = rendered()
    one = replace(one, plan=replace(one.plan, close=LAUNCH + timedelta(minutes=5)))
    house.queue(one)
    armed = house.arm()
    house.hands.at = LAUNCH
    assert list(house.approve("bob").still_missing.values()) == [("owner:dorset",)]
    assert house.gate(armed).attempts == {}
    assert house.get().state is State.MISSED
    assert house.get().reason.startswith(MISSED_FOR_WANT)
    assert [e.body["reason"]["code"] for e in house.entries("schedule.missed")] == ["unapproved"]


def test_a_rejection_stands_until_the_same_person_approves_later(house: House) -> None:
    house.queue(rendered())
    house.approve("bob")
    reject(house.db, house.clock, DIRECTORY, actor("bea"), house.all(), "not like this")
    assert "approval.rejected" in house.types()
    armed = house.arm()
    house.hands.at += timedelta(seconds=1)
    house.approve("bea")
    house.gate(armed)
    assert house.get().state is State.PUBLISHING


def test_a_rejected_delivery_does_not_go(house: House) -> None:
    house.queue(rendered())
    house.approve("bob")
    reject(house.db, house.clock, DIRECTORY, actor("bea"), house.all(), "not like this")
    house.launch()
    assert house.get().state is State.MISSED


def test_a_rejection_needs_a_reason_and_the_right_person(house: House) -> None:
    house.queue(rendered())
    with pytest.raises(UsageError, match="needs its reason"):
        reject(house.db, house.clock, DIRECTORY, actor("bob"), house.all(), " ")
    with pytest.raises(ApprovalError, match="may not decide"):
        reject(house.db, house.clock, DIRECTORY, actor("wil"), house.all(), "no")


def test_other_words_make_a_rejection_void(house: House) -> None:
    house.queue(rendered())
    reject(house.db, house.clock, DIRECTORY, actor("bea"), house.all(), "not like this")
    house.queue(rendered(text="better words"))
    house.approve("bob")
    house.launch()
    assert house.get().state is State.PUBLISHED
