"""People's answers: what is certainly not out may be tried again, what may be out or is proven out never."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.domain.delivery import State
from scheduler.domain.gates import MAX_ATTEMPTS
from scheduler.domain.publisher import Receipt
from scheduler.errors import UsageError
from scheduler.services.resolve import is_of, resolve
from scheduler.services.retry import retry
from scheduler.services.settle import Outcome, settle
from scheduler.services.timing import LIVE
from scheduler.services.windows import close_windows
from scheduler.store import outbox

from .house import ACCOUNTS, House, actor, rendered

NAME = "dorset/listing/launch"
SOON = timedelta(seconds=20)


def again(house: House, name: str = NAME) -> str:
    """What is said to a person who wants it tried again ("" = it is)."""
    done = retry(house.db, house.clock, actor("bob"), [house.get(name)], "the words fit now", soon=SOON)
    return "" if done.going else done.refused[0][1]


def failed(house: House, platform: str = "listing") -> str:
    house.queue(rendered(f"dorset/{platform}"))
    house.approve_all()
    house.launch("rejected")
    assert house.get(f"dorset/{platform}/launch").state is State.FAILED
    return f"dorset/{platform}/launch"


def asked(house: House, platform: str = "write-only", fault: str = "lost") -> str:
    name = f"dorset/{platform}/launch"
    house.queue(rendered(f"dorset/{platform}"))
    house.approve_all()
    house.launch(fault)
    house.look(timedelta(seconds=31))
    assert house.get(name).state is State.ASKING
    return name


def test_what_failed_goes_through_the_gate_again_with_its_approvals(house: House) -> None:
    name = failed(house)
    assert again(house, name) == ""
    entry = house.entries("schedule.retried")[0].body
    assert (entry["actor"]["id"], entry["was"]) == ("bob", "failed")
    house.launch(at=house.get(name).fire_at)
    assert (house.get(name).state, len(house.world.posts)) == (State.PUBLISHED, 1)
    assert house.attempts(name) == ["rejected", "accepted"]


def test_a_retry_gives_new_tries_and_they_are_counted(house: House) -> None:
    name = failed(house)
    again(house, name)
    for _ in range(MAX_ATTEMPTS + 3):
        house.launch("not_sent", at=max(house.clock.now(), house.get(name).fire_at))
    assert house.get(name).attempts == MAX_ATTEMPTS
    assert len(house.attempts(name)) == MAX_ATTEMPTS + 1


def test_a_retry_of_what_lost_its_approval_sends_nothing(house: House) -> None:
    name = failed(house)
    again(house, name)
    house.approvers["dorset"] = ("bea",)
    house.launch(at=house.get(name).fire_at)
    assert house.world.posts == []


def test_past_its_window_a_move_is_asked_for(house: House) -> None:
    name = failed(house)
    house.hands.at += timedelta(minutes=11)
    assert "launchday move" in again(house, name)
    house.queue(rendered("dorset/key"))
    close_windows(house.db, house.clock)
    assert "launchday move" in again(house, "dorset/key/launch")


@pytest.mark.parametrize("state", ["scheduled", "published", "asking", "unconfirmed"])
def test_what_is_not_certainly_over_is_not_tried_again(house: House, state: str) -> None:
    house.queue(rendered("dorset/write-only"))
    house.approve_all()
    name = "dorset/write-only/launch"
    if state != "scheduled":
        house.launch("ok" if state == "published" else "lost")
    if state == "asking":
        house.look(timedelta(seconds=31))
    assert house.get(name).state == state
    assert again(house, name) != ""
    assert house.get(name).state == state


def test_not_published_is_not_believed_while_it_may_still_land(house: House) -> None:
    name = asked(house)
    with pytest.raises(UsageError, match="too early"):
        resolve(house.db, house.clock, actor("bob"), house.get(name), "", "", settle=LIVE.settle)
    house.hands.at += LIVE.settle
    resolve(house.db, house.clock, actor("bob"), house.get(name), "", "", settle=LIVE.settle)
    assert (house.get(name).state, house.attempts(name)) == (State.FAILED, ["proven_absent"])
    assert again(house, name) == ""
    house.launch(at=house.get(name).fire_at)
    assert len(house.world.posts) == 1


def test_not_published_is_not_believed_against_the_platforms_proof(house: House) -> None:
    name = failed(house)
    with house.db.read() as conn:
        (attempt,) = outbox.attempts_of(conn, [house.get(name).id])[house.get(name).id]
    word = Receipt("77", "https://fake.example/77")
    settle(house.db, house.clock, [Outcome(house.get(name).id, attempt.id, word)])
    assert house.get(name).state is State.ASKING
    with pytest.raises(UsageError, match="proof"):
        resolve(house.db, house.clock, actor("bob"), house.get(name), "", "I looked")
    resolve(house.db, house.clock, actor("bob"), house.get(name), "", "taken down", removed=True)
    assert house.get(name).state is State.RETRACTED
    assert house.entries("publish.retracted")[0].body["by_word_of"] == "bob"


def test_an_answer_is_for_a_question_only(house: House) -> None:
    name = failed(house)
    for url, removed in (("https://fake.example/1", False), ("", False), ("", True)):
        with pytest.raises(UsageError, match="not a question"):
            resolve(house.db, house.clock, actor("bob"), house.get(name), url, "", removed=removed)


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://fake.example/@dorset/1", True),
        ("https://www.fake.example/1", True),
        ("https://notfake.example/1", False),
        ("https://fake.example@elsewhere.example/1", False),
        ("https://elsewhere.example/fake.example", False),
        ("https://fake.example.elsewhere.example/1", False),
    ],
)
def test_an_address_is_of_the_accounts_own_server(url: str, fits: bool) -> None:
    assert is_of(url, ACCOUNTS[0], None) is fits
