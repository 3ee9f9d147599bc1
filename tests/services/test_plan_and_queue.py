"""Plan and queue: what the files ask for against what is stored, and which approvals a change voids."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.domain.content import Blackout, Media, instant, sha256
from scheduler.domain.delivery import State
from scheduler.errors import RefusedTransition
from scheduler.services.hold import cancel
from scheduler.services.queue import queue

from .house import LAUNCH, POLICY, House, actor, rendered

BOTH = ("dorset/record", "wiltshire/record")


def test_what_is_new_is_added_with_a_key_and_an_entry_each(house: House) -> None:
    done = house.queue(*(rendered(a) for a in BOTH))
    assert (done.added, done.changed, done.withdrawn) == (2, 0, 0)
    assert house.types() == ["content.queued"] * 2
    one, other = house.all()
    assert one.key != other.key
    assert {d.state for d in (one, other)} == {State.SCHEDULED}
    assert house.entries()[0].body["content_sha256"] == one.content_sha256


def test_what_is_the_same_is_unchanged(house: House) -> None:
    house.queue(rendered())
    before = house.get()
    assert house.plan(rendered())["dorset/record/launch"].kind == "unchanged"
    house.queue(rendered())
    assert house.get() == before
    assert len(house.entries()) == 1


def test_a_changed_figure_voids_exactly_the_approvals_it_touches_and_names_them(house: House) -> None:
    house.queue(*(rendered(a, "last year 285 people of ours") for a in BOTH))
    house.approve_all()
    new = rendered("dorset/record", "last year 286 people of ours")
    same = rendered("wiltshire/record", "last year 285 people of ours")
    found = house.plan(new, same)
    assert found["dorset/record/launch"].kind == "change"
    assert found["dorset/record/launch"].why == ("words: 285 → 286",)
    assert found["dorset/record/launch"].voids == ("bob",)
    assert found["wiltshire/record/launch"].kind == "unchanged"
    assert house.queue(new, same).voided == 1
    assert house.decisions("dorset/record/launch") == [("bob", "voided", "the words changed")]
    assert house.decisions("wiltshire/record/launch") == [("wil", "granted", "")]
    (voided,) = house.entries("approval.voided")
    assert (voided.body["delivery"], voided.body["approver"]) == ("dorset/record/launch", "bob")


def test_new_words_get_a_new_key_and_a_new_time_keeps_it(house: House) -> None:
    house.queue(rendered())
    first = house.get()
    house.queue(rendered(due=LAUNCH + timedelta(hours=1)))
    moved = house.get()
    assert (moved.key, moved.revision) == (first.key, 2)
    house.queue(rendered(text="other words", due=LAUNCH + timedelta(hours=1)))
    assert house.get().key != first.key
    assert house.get().revision == 3


def test_a_changed_time_or_policy_voids_approvals_and_says_so(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    assert house.plan(rendered(due=LAUNCH + timedelta(hours=1)))["dorset/record/launch"].why == ("time",)
    stricter = rendered(policy=replace(POLICY, each_org=2))
    assert house.plan(stricter)["dorset/record/launch"].why == ("approval policy",)
    house.queue(stricter)
    assert house.decisions() == [("bob", "voided", "the time or the approval policy changed")]
    assert house.get().needs == ("owner:dorset", "owner:dorset")


def test_a_changed_alt_text_picture_or_link_is_a_change_of_content(house: House) -> None:
    picture = Media("media/a.png", sha256(b"a"), "A poster", "image/png", 1, 1, 1)
    house.queue(rendered(media=[picture], link="https://a.example"))
    for other, why in (
        (rendered(media=[replace(picture, alt="A sign")], link="https://a.example"), "alt text"),
        (rendered(media=[replace(picture, sha256="b")], link="https://a.example"), "pictures"),
        (
            rendered(media=[picture], link="https://b.example"),
            "link: https://a.example → https://b.example",
        ),
    ):
        assert house.plan(other)["dorset/record/launch"].why == (why,)


def test_a_file_that_is_gone_withdraws_its_delivery_which_may_come_back(house: House) -> None:
    house.queue(*(rendered(a) for a in BOTH))
    assert house.plan(rendered("dorset/record"))["wiltshire/record/launch"].kind == "withdraw"
    assert house.queue(rendered("dorset/record")).withdrawn == 1
    assert [e.body["delivery"] for e in house.entries("content.withdrawn")] == ["wiltshire/record/launch"]
    assert house.queue(*(rendered(a) for a in BOTH)).added == 1


def test_what_a_person_cancelled_does_not_come_back_by_queueing(house: House) -> None:
    house.queue(rendered())
    cancel(house.db, house.clock, actor("bob"), house.all(), "no")
    assert house.plan(rendered())["dorset/record/launch"].kind == "unchanged"
    assert house.plan(rendered(text="other"))["dorset/record/launch"].kind == "kept"
    house.queue(rendered(text="other"))
    assert [d.state for d in house.all()] == [State.CANCELLED]


@pytest.mark.parametrize("fault", ["ok", "lost"])
def test_a_delivery_that_has_begun_to_publish_is_kept_as_it_is(house: House, fault: str) -> None:
    house.queue(rendered())
    house.approve_all()
    house.launch(fault)
    before = house.get()
    found = house.plan(rendered(text="other words"))["dorset/record/launch"]
    assert found.kind == "kept"
    assert "nothing changes" in found.why[0]
    house.queue(rendered(text="other words"))
    house.queue()
    assert house.get() == before


def test_a_delivery_that_begins_to_publish_after_the_plan_refuses_the_queue_whole(house: House) -> None:
    house.queue(*(rendered(a) for a in BOTH))
    house.approve_all()
    seen = tuple(house.plan(*(rendered(a, "other words") for a in BOTH)).values())
    house.gate(house.ready())
    entries = len(house.entries())
    with pytest.raises(RefusedTransition):
        queue(house.db, house.clock, actor("ann"), seen, {})
    assert [d.content.text for d in house.all()] == ["words", "words"]
    assert len(house.entries()) == entries


def _resend_safe(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    house.launch("late")
    house.look(timedelta(seconds=40))
    assert (house.get().state, house.attempts()) == (State.SCHEDULED, ["resend_safe"])


def test_what_may_still_land_is_never_given_other_words_or_withdrawn(house: House) -> None:
    _resend_safe(house)
    before = house.get()
    found = house.plan(rendered(text="other words"))["dorset/record/launch"]
    assert (found.kind, found.why) == (
        "kept",
        ("an earlier attempt may still land: the files differ, nothing changes",),
    )
    assert house.plan()["dorset/record/launch"].kind == "kept"
    house.queue(rendered(text="other words"))
    house.queue()
    assert house.get() == before


def test_a_plan_made_before_an_attempt_was_lost_changes_nothing(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    plans = [tuple(house.plan(*w).values()) for w in ((rendered(text="other words"),), ())]
    house.launch("late")
    house.look(timedelta(seconds=40))
    before = house.get()
    for seen in plans:
        with pytest.raises(RefusedTransition, match="may still land"):
            queue(house.db, house.clock, actor("ann"), seen, {})
    assert house.get() == before


def test_a_part_added_to_a_queued_post_waits_for_the_part_before_it(house: House) -> None:
    house.queue(rendered(parts=1))
    house.queue(rendered(parts=2), rendered(text="second", part=2, parts=2))
    assert house.get("dorset/record/launch/2").after == house.get("dorset/record/launch").id


def test_a_new_blackout_reaches_what_is_queued_and_leaves_approvals_standing(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    quiet = Blackout(LAUNCH, LAUNCH + timedelta(hours=1), (), "minute's silence")
    found = house.plan(rendered(blackouts=[quiet]))["dorset/record/launch"]
    assert (found.kind, found.why, found.voids) == ("change", ("blackouts",), ())
    assert house.queue(rendered(blackouts=[quiet])).voided == 0
    assert instant(LAUNCH) in house.column("blackouts")
    assert house.decisions() == [("bob", "granted", "")]
    house.launch()
    assert house.world.posts == []


def test_an_account_whose_secret_is_kept_elsewhere_now_is_updated(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    new = rendered()
    new = replace(new, account=replace(new.account, secret="file:elsewhere"))
    assert house.plan(new)["dorset/record/launch"].why == ("where the account is reached",)
    house.queue(new)
    assert "file:elsewhere" in house.column("profile")
    assert house.decisions() == [("bob", "granted", "")]


def test_a_missed_delivery_whose_file_has_a_later_time_waits_again(house: House) -> None:
    house.queue(rendered())
    house.launch()
    assert house.get().state is State.MISSED
    house.queue(rendered(due=LAUNCH + timedelta(days=1)))
    assert house.get().state is State.SCHEDULED
