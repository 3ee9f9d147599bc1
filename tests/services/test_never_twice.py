"""Nothing is sent twice: what is looked for is what was sent, and only proof or a person lets it go again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from scheduler.domain.delivery import State
from scheduler.domain.publisher import Capability, Prepared, Receipt
from scheduler.domain.retry import Look, Verdict, hopeless, verdict
from scheduler.services import gate as gates
from scheduler.services import reconcile as looks
from scheduler.services.arm import arm, stored, unstored
from scheduler.services.hold import hold, release
from scheduler.services.resolve import resolve
from scheduler.services.settle import Outcome, settle
from scheduler.services.timing import LIVE
from scheduler.services.windows import close_windows
from scheduler.store import lock, outbox

from .house import LAUNCH, House, actor, rendered

CANNOT_RESEND_BLINDLY = ("container", "key", "listing", "write-only")
THERE = "asked the platform: there; recorded, not sent again"
ASKED = "the platform cannot say: a person is asked"
FOREIGN = "old-container-id:01X"


def prepared_of(house: House, name: str) -> Prepared:
    return unstored(house.column("prepared", name))


def gate_as(house: House, sender: str) -> gates.Passed:
    """The gate, asked by a sender of any name."""
    armed = house.arm()
    house.hands.at = LAUNCH
    return gates.gate(
        house.db,
        house.clock,
        armed,
        house.approvers,
        sender=sender,
        at=LAUNCH,
        reply_within=LIVE.reply_within,
    )


# 3: what is looked for is what was sent


def test_what_find_needs_is_stored_with_the_intent_and_never_before(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    armed = house.arm()
    assert house.column("prepared") == ""
    house.gate(armed)
    assert prepared_of(house, "dorset/record/launch").content == house.get().content


def test_an_older_sender_that_arms_last_does_not_change_what_is_looked_for(house: House) -> None:
    """Two senders arm the same delivery, the slow one with the words before the change."""
    name = "dorset/listing/launch"
    house.queue(rendered("dorset/listing", "old"))
    old = house.all()
    house.queue(rendered("dorset/listing", "new"))
    house.approve_all()
    (new,), _ = arm(house.db, house.reach, house.all(), LAUNCH.timestamp())
    arm(house.db, house.reach, old, LAUNCH.timestamp())
    one = new.delivery
    passed = house.gate({one.id: gates.Ready(one.content_sha256, stored(new.prepared))})
    assert prepared_of(house, name).content.text == "new"
    house.hands.at = LAUNCH
    lost = house.world.send(house.publishers["listing"], new.prepared, one.key, "lost_but_done")
    settle(house.db, house.clock, [Outcome(one.id, passed.attempts[one.id], lost)])
    assert house.look() == [THERE]
    assert [p.text for p in house.world.posts] == ["new"]


@pytest.mark.parametrize("platform", CANNOT_RESEND_BLINDLY)
def test_other_words_than_those_sent_are_never_looked_for_a_person_is_asked(
    house: House, platform: str
) -> None:
    name = f"dorset/{platform}/launch"
    house.queue(rendered(f"dorset/{platform}", "old"))
    other, _ = arm(house.db, house.reach, house.all(), LAUNCH.timestamp())
    house.queue(rendered(f"dorset/{platform}", "new"))
    house.approve_all()
    house.launch("lost_but_done")
    with house.db.write() as conn:
        outbox.note(conn, [house.get(name).id], prepared=stored(other[0].prepared))
    said = [s for _ in range(24) for s in house.look(timedelta(seconds=40))]
    assert (said, house.get(name).state) == ([ASKED], State.ASKING)
    assert [p.text for p in house.world.posts] == ["new"]


# 4: only a lock proves a death


def test_a_missing_lock_file_proves_nothing(house: House) -> None:
    assert not lock.proven_dead(house.folder, lock.sender_name("01NEVER"))
    assert not lock.proven_dead(house.folder / "nothing here", lock.sender_name("01NEVER"))


def test_a_sender_of_another_workspace_on_the_same_database_keeps_its_deliveries(
    house: House, tmp_path: Path
) -> None:
    """Two workspaces, one PostgreSQL: the other one's lock files are not in our folder."""
    house.queue(rendered())
    house.approve_all()
    with lock.Lock(tmp_path / "other" / "senders" / "01LIVE.lock", "this sender runs"):
        passed = house.gate(house.arm(), sender="01LIVE")
        assert house.adopt() == ()
        one = house.get()
        settle(
            house.db,
            house.clock,
            [Outcome(one.id, passed.attempts[one.id], Receipt("1", "https://fake.example/1"))],
        )
    assert house.get().state is State.PUBLISHED


def test_adopting_for_one_organisation_leaves_the_others_alone(house: House) -> None:
    house.queue(rendered("dorset/record"), rendered("wiltshire/record"))
    house.approve_all()
    house.gate(house.arm())
    adopted = looks.adopt(house.db, house.clock, LIVE, house.is_dead, "wiltshire")
    assert [d.organisation for d in adopted] == ["wiltshire"]
    assert house.get("dorset/record/launch").state is State.PUBLISHING
    house.hands.at += timedelta(minutes=1)
    looks.reconcile(house.db, house.clock, house.reach, LIVE, house.is_dead, "dorset")
    assert house.get("wiltshire/record/launch").state is State.UNCONFIRMED


# 5: a key is not trusted alone


@pytest.mark.parametrize("looked", [0, 1])
def test_a_key_platform_is_not_sent_to_again_before_two_settled_absent_looks(looked: int) -> None:
    settle_for = timedelta(seconds=120)
    late = LAUNCH + timedelta(minutes=4)
    facts = Look(LAUNCH, late, late, looked, answered=True, sender_dead=True, settle=settle_for)
    assert verdict(Capability.KEY, facts) is Verdict.WAIT
    early = LAUNCH + timedelta(seconds=31)
    facts = Look(LAUNCH, early, late, 2, answered=True, sender_dead=True, settle=settle_for)
    assert verdict(Capability.KEY, facts) is Verdict.WAIT


def test_a_key_that_its_platform_has_forgotten_makes_no_second_post(house: House) -> None:
    name = "dorset/key/launch"
    house.queue(rendered("dorset/key"))
    house.approve_all()
    house.launch("late")
    house.look(timedelta(seconds=35))
    hold(house.db, house.clock, actor("bob"), "all", "an incident", patience=0)
    house.world.land()
    house.world.posts[0].key = "(forgotten after its hour)"
    house.hands.at += timedelta(minutes=5)
    release(house.db, house.clock, actor("bob"), "all", "", resume=True, soon=timedelta(seconds=20))
    house.hands.at += timedelta(seconds=21)
    house.launch(at=house.clock.now())
    assert len(house.world.posts) == 1
    assert (house.get(name).state, house.attempts(name)) == (State.UNCONFIRMED, ["unknown"])


# 6: another delivery's post is not ours


@pytest.fixture
def same_words(house: House) -> House:
    """The same words twice on the same account, a minute apart; the first is out."""
    soon = LAUNCH + timedelta(minutes=1)
    house.queue(
        rendered("dorset/listing", "same words"),
        rendered("dorset/listing", "same words", post="again", due=soon),
    )
    house.approve_all()
    return house


AGAIN = "dorset/listing/again"


def test_a_post_that_belongs_to_another_delivery_is_not_taken_for_ours_a_person_is_asked(
    same_words: House,
) -> None:
    same_words.launch("ok")
    same_words.launch("lost", LAUNCH + timedelta(minutes=1))
    said = [s for _ in range(24) for s in same_words.look(timedelta(seconds=40))]
    assert said == [ASKED]
    assert (same_words.get(AGAIN).state, same_words.get(AGAIN).remote_id) == (State.ASKING, "")
    assert "anothers" in same_words.get(AGAIN).reason
    assert len(same_words.world.posts) == 1


@pytest.mark.parametrize("faults", [("lost_but_done", "lost"), ("lost", "lost_but_done")])
def test_one_post_is_not_proof_for_either_of_two_deliveries_in_doubt(
    same_words: House, faults: tuple[str, str]
) -> None:
    same_words.launch(faults[0])
    same_words.launch(faults[1], LAUNCH + timedelta(minutes=1))
    said = [s for _ in range(30) for s in same_words.look(timedelta(seconds=40))]
    assert said == [ASKED, ASKED]
    assert [(d.state, d.remote_id) for d in same_words.all()] == [(State.ASKING, "")] * 2
    assert len(same_words.world.posts) == 1


def test_a_post_that_another_delivery_may_be_making_right_now_is_nobodys_yet(same_words: House) -> None:
    """The second's post is there, its receipt is not recorded yet, and the first is looked for."""
    same_words.launch("lost")
    passed = same_words.gate(
        same_words.arm(LAUNCH + timedelta(minutes=1)), LAUNCH + timedelta(minutes=1), "01LIVE"
    )
    again = same_words.get(AGAIN)
    made = same_words.world.send(
        same_words.publishers["listing"], prepared_of(same_words, AGAIN), again.key, "ok"
    )
    assert same_words.look() == []
    settle(same_words.db, same_words.clock, [Outcome(again.id, passed.attempts[again.id], made)])
    said = [s for _ in range(24) for s in same_words.look(timedelta(seconds=40))]
    assert said == [ASKED]
    assert (same_words.get(AGAIN).state, same_words.get("dorset/listing/launch").remote_id) == (
        State.PUBLISHED,
        "",
    )


# 8: a sender that can never be proven dead


@pytest.mark.parametrize("platform", ["record", *CANNOT_RESEND_BLINDLY])
def test_what_an_unreachable_sender_had_becomes_a_question_never_a_resend_never_stuck(
    house: House, platform: str
) -> None:
    name = f"dorset/{platform}/launch"
    house.queue(rendered(f"dorset/{platform}"))
    house.approve_all()
    gate_as(house, FOREIGN)
    seen = set()
    for _ in range(48):
        house.hands.at += timedelta(minutes=1)
        house.adopt()
        house.look()
        close_windows(house.db, house.clock)
        house.launch(at=house.clock.now())
        seen.add(house.get(name).state)
    assert seen == {State.PUBLISHING, State.ASKING}
    assert house.world.posts == []
    assert f"launchday resolve {name}" in house.get(name).reason
    resolve(house.db, house.clock, actor("bob"), house.get(name), "", "it is not there")
    assert house.get(name).state is State.FAILED


def test_what_an_unreachable_sender_had_sent_is_found_and_recorded(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    gate_as(house, FOREIGN)
    one = house.get()
    house.world.send(house.publishers["record"], prepared_of(house, one.name), one.key, "ok")
    house.hands.at = hopeless(LAUNCH + LIVE.reply_within, LIVE.settle)
    assert house.adopt() == ()
    house.hands.at += timedelta(seconds=1)
    assert len(house.adopt()) == 1
    assert house.look() == [THERE]
    assert (house.get().state, len(house.world.posts)) == (State.PUBLISHED, 1)
