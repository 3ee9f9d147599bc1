"""A named person is told why: no delivery ends badly without its notice, and no notice says too much."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from scheduler.domain.delivery import State
from scheduler.domain.notice import without_words
from scheduler.errors import RefusedTransition, Rejected
from scheduler.services.events import DAEMON, about
from scheduler.services.hold import release
from scheduler.services.move import move
from scheduler.services.resolve import resolve
from scheduler.services.settle import Outcome, settle
from scheduler.services.tell import over, tell
from scheduler.services.windows import close_windows
from scheduler.store import outbox
from scheduler.store.tables import NoticeRow, table_of

from .house import LAUNCH, House, actor, rendered


def notices(house: House) -> list[Any]:
    table = table_of(NoticeRow)
    with house.db.read() as conn:
        return list(conn.execute(select(table).order_by(table.c.at, table.c.id)))


def told(house: House) -> list[tuple[str, str, str]]:
    return [(n.topic, n.about, n.state) for n in notices(house)]


@pytest.fixture
def ready(house: House) -> House:
    house.queue(rendered())
    house.approve_all()
    return house


def test_a_failed_delivery_leaves_a_notice_with_the_reason(ready: House) -> None:
    ready.launch("rejected")
    (one,) = notices(ready)
    assert (one.topic, one.severity, one.organisation) == ("failed", "now", "dorset")
    assert one.about == "dorset/record/launch"
    assert "too_long: the text is too long" in one.said


def test_a_missed_delivery_leaves_a_notice_with_the_reason(house: House) -> None:
    house.queue(rendered())
    house.hands.at = LAUNCH + timedelta(hours=1)
    close_windows(house.db, house.clock)
    (one,) = notices(house)
    assert (one.topic, one.delivery_id) == ("missed", house.get().id)
    assert one.said.startswith("dorset/record/launch was missed and is certainly not out: ")
    assert "approv" in one.said


def test_a_question_leaves_a_notice_and_the_answer_closes_it(house: House) -> None:
    house.queue(rendered("dorset/write-only"))
    house.approve_all()
    house.launch("lost")
    house.look(timedelta(minutes=5))
    name = "dorset/write-only/launch"
    assert told(house) == [("asking", name, "waiting")]
    resolve(house.db, house.clock, actor("bob"), house.get(name), "https://fake.example/1", "")
    assert told(house) == [("asking", name, "closed")]


def test_who_answers_that_it_is_not_out_is_not_alarmed_by_it(house: House) -> None:
    house.queue(rendered("dorset/write-only"))
    house.approve_all()
    house.launch("lost")
    house.look(timedelta(minutes=5))
    resolve(house.db, house.clock, actor("bob"), house.get("dorset/write-only/launch"), "", "I looked")
    assert sorted((n.topic, n.severity, n.state) for n in notices(house)) == [
        ("asking", "now", "closed"),
        ("failed", "info", "waiting"),
    ]


def test_moving_what_was_missed_closes_its_notice(house: House) -> None:
    house.queue(rendered())
    house.hands.at = LAUNCH + timedelta(hours=1)
    close_windows(house.db, house.clock)
    move(house.db, house.clock, actor("ann"), [house.get()], LAUNCH + timedelta(days=1))
    assert [n.state for n in notices(house)] == ["closed"]


def test_what_goes_well_leaves_no_notice(ready: House) -> None:
    ready.launch()
    assert ready.get().state is State.PUBLISHED
    assert notices(ready) == []


def test_a_change_that_is_refused_leaves_no_notice(ready: House) -> None:
    one = ready.get()
    ready.launch()
    event = about("schedule.missed", DAEMON, one)
    with pytest.raises(RefusedTransition), ready.db.write() as conn:
        outbox.change(conn, LAUNCH, [(one, State.MISSED, {"reason": "too late"}, event)])
    assert notices(ready) == []


def test_a_held_account_is_told_once_and_closed_by_its_release(house: House) -> None:
    house.queue(rendered("dorset/record"), rendered("dorset/record", post="second"))
    house.approve_all()
    house.launch("unauthorised")
    assert [t for t in told(house) if t[0] == "held"] == [("held", "dorset/record", "waiting")]
    (one,) = [n for n in notices(house) if n.topic == "held"]
    assert "launchday release --account dorset/record" in one.said
    release(house.db, house.clock, actor("bob"), "all", "", resume=False, soon=timedelta(0))
    assert [t for t in told(house) if t[0] == "held"] == [("held", "dorset/record", "closed")]


def test_a_platform_that_quotes_the_post_does_not_bring_its_words_into_a_notice(house: House) -> None:
    words = "A confidential draft that nobody has signed off yet."
    house.queue(rendered(text=words))
    house.approve_all()
    passed = house.gate(house.arm())
    ((delivery, attempt),) = passed.attempts.items()
    answer = Rejected("duplicate", f'Status "{words.upper()}" was refused')
    settle(house.db, house.clock, [Outcome(delivery, attempt, answer)])
    (one,) = notices(house)
    assert "confidential" not in one.said.lower()
    assert 'duplicate: Status "[words of the post]" was refused' in one.said


def test_words_are_taken_out_whole_and_plain_english_stays() -> None:
    words = ["Help is there, whoever you are.\nCall 0808 1000 900.", "#Ok"]
    assert without_words("it is late, help is there,  whoever you are. call", words).startswith(
        "it is late, [words"
    )
    assert without_words("its window closed #Ok", words) == "its window closed #Ok"
    assert len(without_words("x" * 2000, words)) == 600
    assert without_words("said: shortish", ["shortish"]) == "said: [words of the post]"


def test_saying_the_same_again_is_no_news_and_other_words_are(house: House) -> None:
    def say(said: str) -> None:
        with house.db.write() as conn:
            tell(conn, house.clock.now(), "safe_mode", "", said)

    say("The database is older than its mark.")
    say("The database is older than its mark.")
    assert told(house) == [("safe_mode", "", "waiting")]
    house.hands.at += timedelta(seconds=1)
    say("Two deliveries are left to look for.")
    assert told(house) == [("safe_mode", "", "closed"), ("safe_mode", "", "waiting")]


def test_what_is_over_is_closed_and_may_come_again(house: House) -> None:
    for _ in range(2):
        with house.db.write() as conn:
            tell(conn, house.clock.now(), "disk", "", "The disk is nearly full.")
            assert over(conn, "disk")
            assert not over(conn, "disk")
    assert [n.state for n in notices(house)] == ["closed", "closed"]
