"""Late evidence: word that comes after a conclusion is kept, logged and never makes a second post."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.domain.delivery import State
from scheduler.domain.publisher import Receipt
from scheduler.errors import NotSent, OutcomeUnknown, PublishError, Rejected, Unauthorised
from scheduler.services.arm import unstored
from scheduler.services.events import DAEMON, about
from scheduler.services.hold import cancel
from scheduler.services.resolve import resolve
from scheduler.services.settle import Outcome, settle
from scheduler.services.windows import close_windows
from scheduler.store import desk, late, outbox

from .house import LAUNCH, House, actor, rendered
from .test_never_twice import FOREIGN, gate_as

POST = Receipt("77", "https://fake.example/77")
OTHER = Receipt("78", "https://fake.example/78")


def begun(house: House, platform: str = "listing", words: str = "words") -> tuple[str, str, str]:
    """Its sender is on another machine and stands still: name, delivery id, attempt id."""
    name = f"dorset/{platform}/launch"
    house.queue(rendered(f"dorset/{platform}", words))
    house.approve_all()
    passed = gate_as(house, FOREIGN)
    one = house.get(name)
    return name, one.id, passed.attempts[one.id]


def given_up(house: House, platform: str = "listing") -> tuple[str, str, str]:
    found = begun(house, platform)
    house.hands.at = LAUNCH + timedelta(minutes=11)
    assert len(house.adopt()) == 1
    return found


def absent(house: House, platform: str = "listing") -> tuple[str, str, str]:
    """Looked for twice, settled, its sender proven dead: not there, and through the gate again."""
    name = f"dorset/{platform}/launch"
    house.queue(rendered(f"dorset/{platform}"))
    house.approve_all()
    passed = house.launch("lost")
    one = house.get(name)
    house.look(timedelta(seconds=151))
    house.look(timedelta(seconds=31))
    assert (house.get(name).state, house.attempts(name)) == (State.SCHEDULED, ["proven_absent"])
    return name, one.id, passed.attempts[one.id]


def hears(house: House, delivery: str, attempt: str, word: Receipt | PublishError) -> None:
    settle(house.db, house.clock, [Outcome(delivery, attempt, word, 5)])


def kept(house: House, delivery: str) -> list[tuple[str, str]]:
    with house.db.read() as conn:
        return [(e.kind, e.remote_id) for e in late.of(conn, delivery)]


def no_more_requests(house: House, name: str) -> None:
    """Whatever the daemon does from now on, nothing of it is sent."""
    before = len(house.world.posts)
    for _ in range(8):
        house.hands.at += timedelta(seconds=40)
        house.adopt()
        house.look()
        house.launch(at=house.clock.now())
        close_windows(house.db, house.clock)
    assert len(house.world.posts) == before
    assert house.verify() == len(house.entries())


@pytest.mark.parametrize("platform", ["record", "key", "listing", "write-only"])
def test_a_stalled_senders_receipt_after_it_was_given_up_is_the_truth(house: House, platform: str) -> None:
    name, one, attempt = given_up(house, platform)
    hears(house, one, attempt, POST)
    assert (house.get(name).state, house.attempts(name)) == (State.PUBLISHED, ["accepted"])
    assert (house.get(name).remote_id, kept(house, one)) == ("77", [("accepted", "77")])
    assert house.entries("publish.late_evidence")[0].body["receipt"]["remote_id"] == "77"
    no_more_requests(house, name)


def test_a_late_receipt_answers_the_question_that_was_asked_of_a_person(house: House) -> None:
    name, one, attempt = given_up(house, "write-only")
    house.look()
    assert house.get(name).state is State.ASKING
    hears(house, one, attempt, POST)
    assert (house.get(name).state, house.attempts(name)) == (State.PUBLISHED, ["accepted"])


def test_a_late_receipt_of_what_is_safe_to_send_again_stops_the_sending(house: House) -> None:
    house.queue(rendered("dorset/record"))
    house.approve_all()
    passed = house.launch("lost")
    one = house.get()
    house.look(timedelta(seconds=40))
    assert (house.get().state, house.attempts()) == (State.SCHEDULED, ["resend_safe"])
    hears(house, one.id, passed.attempts[one.id], POST)
    assert (house.get().state, house.attempts()) == (State.PUBLISHED, ["accepted"])
    no_more_requests(house, one.name)


def test_a_receipt_for_what_was_proven_absent_stops_the_second_try_and_the_verdict_stays(
    house: House,
) -> None:
    name, one, attempt = absent(house)
    hears(house, one, attempt, POST)
    assert (house.get(name).state, house.attempts(name)) == (State.PUBLISHED, ["proven_absent"])
    assert kept(house, one) == [("accepted", "77")]
    no_more_requests(house, name)


def test_a_receipt_with_words_of_an_earlier_revision_is_a_question(house: House) -> None:
    name, one, attempt = absent(house)
    house.queue(rendered("dorset/listing", "better words"))
    hears(house, one, attempt, POST)
    assert house.get(name).state is State.ASKING
    assert "https://fake.example/77" in house.get(name).reason
    no_more_requests(house, name)


@pytest.mark.parametrize("ending", ["missed", "failed", "cancelled"])
def test_what_people_were_told_is_certainly_not_out_and_is_becomes_their_question(
    house: House, ending: str
) -> None:
    name, one, attempt = absent(house)
    if ending == "missed":
        house.hands.at = LAUNCH + timedelta(minutes=11)
        close_windows(house.db, house.clock)
    elif ending == "failed":
        house.launch("rejected", at=house.get(name).fire_at)
    else:
        cancel(house.db, house.clock, actor("bob"), [house.get(name)], "no")
    hears(house, one, attempt, POST)
    found = next(d for d in house.all() if d.id == one)
    assert (found.state, found.remote_id, found.url) == (State.ASKING, "77", POST.url)
    assert ending in found.reason
    with house.db.read() as conn:
        assert [e.kind for e in late.of(conn, one)] == ["accepted"]


def test_a_cancelled_delivery_that_is_out_after_all_stops_the_one_queued_in_its_place(house: House) -> None:
    name, one, attempt = absent(house)
    house.queue()  # its file is gone: withdrawn
    house.queue(rendered("dorset/listing"))
    hears(house, one, attempt, POST)
    assert [d.state for d in house.all() if d.name == name] == [State.ASKING, State.ASKING]
    no_more_requests(house, name)


def test_a_receipt_after_a_person_said_it_is_not_there_is_a_question_never_a_second_post(
    house: House,
) -> None:
    name, one, attempt = given_up(house, "write-only")
    house.look()
    resolve(house.db, house.clock, actor("bob"), house.get(name), "", "I looked")
    hears(house, one, attempt, POST)
    assert house.get(name).state is State.ASKING
    assert house.get(name).remote_id == "77"
    no_more_requests(house, name)


def test_the_receipt_of_the_first_try_while_the_second_is_on_its_way(house: House) -> None:
    name, one, first = absent(house)
    second = house.gate(house.arm(house.get(name).fire_at), house.get(name).fire_at)
    hears(house, one, first, POST)
    assert house.get(name).state is State.PUBLISHING
    hears(house, one, second.attempts[one], OTHER)
    assert house.get(name).state is State.ASKING
    assert POST.url in house.get(name).reason
    assert OTHER.url in house.get(name).reason


@pytest.mark.parametrize("word", [Rejected("too_long"), NotSent("dns"), OutcomeUnknown("timeout")])
@pytest.mark.parametrize("platform", ["record", "listing", "write-only"])
def test_a_second_try_that_fails_beside_a_late_receipt_is_never_tried_again(
    house: House, word: PublishError, platform: str
) -> None:
    name, one, first = absent(house) if platform != "record" else ("dorset/record/launch", "", "")
    if platform == "record":
        house.queue(rendered("dorset/record"))
        house.approve_all()
        first = next(iter(house.launch("lost").attempts.values()))
        one = house.get(name).id
        house.look(timedelta(seconds=40))
    second = house.gate(house.arm(house.get(name).fire_at), house.get(name).fire_at)
    hears(house, one, first, POST)
    hears(house, one, second.attempts[one], word)
    no_more_requests(house, name)
    assert house.get(name).state is State.ASKING
    assert POST.url in house.get(name).reason


def test_two_receipts_of_two_posts_are_a_question(house: House) -> None:
    house.queue(rendered("dorset/record"))
    house.approve_all()
    passed = house.launch("lost")
    one = house.get()
    house.look(timedelta(seconds=40))
    house.launch("ok", at=house.get().fire_at)
    assert house.get().state is State.PUBLISHED
    hears(house, one.id, passed.attempts[one.id], POST)
    assert house.get().state is State.ASKING
    assert POST.url in house.get().reason


def test_the_same_receipt_a_second_time_changes_nothing(house: House) -> None:
    house.queue(rendered("dorset/record"))
    house.approve_all()
    passed = house.launch("ok")
    before = house.get()
    hears(house, before.id, passed.attempts[before.id], Receipt(before.remote_id, before.url))
    assert house.get() == before
    assert kept(house, before.id) == [("accepted", before.remote_id)]


@pytest.mark.parametrize(
    ("word", "state", "attempt"),
    [
        (Rejected("too_long"), State.FAILED, "rejected"),
        (NotSent("dns"), State.MISSED, "not_sent"),
        (OutcomeUnknown("timeout"), State.UNCONFIRMED, "unknown"),
    ],
)
def test_a_sender_that_was_given_up_may_still_say_what_became_of_its_own_request(
    house: House, word: PublishError, state: State, attempt: str
) -> None:
    name, one, first = given_up(house)
    hears(house, one, first, word)
    assert (house.get(name).state, house.attempts(name)) == (state, [attempt])
    assert len(kept(house, one)) == 1


def test_a_refusal_of_ours_makes_a_post_that_was_found_by_its_words_a_question(house: House) -> None:
    """The sender stood still, somebody posted the same words by hand, a look took that post for ours."""
    name, one, first = given_up(house)
    prepared = house.publishers["listing"]
    house.world.send(prepared, unstored(house.column("prepared", name)), "by hand", "ok")
    house.look()
    assert house.get(name).state is State.PUBLISHED
    hears(house, one, first, Rejected("too_long", "the text is too long"))
    assert house.get(name).state is State.ASKING
    assert "may not be ours" in house.get(name).reason


def test_a_dead_sender_that_did_send_makes_not_there_a_question_again(house: House) -> None:
    name, one, first = absent(house)
    hears(house, one, first, OutcomeUnknown("timeout", "no reply came"))
    assert house.get(name).state is State.ASKING
    no_more_requests(house, name)


def test_what_a_look_finds_after_a_person_answered_is_kept(house: House) -> None:
    """A person says 'not there' while the look that finds it is under way."""
    name, one, _ = given_up(house)
    listing = house.publishers["listing"]
    find = listing.find

    def meanwhile(*asked: object) -> Receipt | None:
        with house.db.write() as conn:
            (d,) = outbox.find(conn, ids=[one])
            event = about("publish.reconciled", DAEMON, d)
            outbox.change(conn, house.clock.now(), [(d, State.ASKING, {"reason": "?"}, event)])
        resolve(house.db, house.clock, actor("bob"), house.get(name), "", "I looked")
        house.world.send(listing, asked[0], "key", "ok")  # type: ignore[arg-type]
        return find(*asked)  # type: ignore[arg-type]

    listing.find = meanwhile  # type: ignore[method-assign]
    house.look()
    assert house.get(name).state is State.ASKING
    assert kept(house, one) == [("accepted", "1")]


def test_a_late_refusal_of_the_token_holds_the_account(house: House) -> None:
    name, one, first = given_up(house)
    hears(house, one, first, Unauthorised("bad_token", "the token is refused"))
    assert house.get(name).state is State.FAILED
    with house.db.read() as conn:
        assert [h.scope for h in desk.holds(conn)] == ["account:dorset/listing"]
