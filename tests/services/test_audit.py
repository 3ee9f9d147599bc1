"""The auditor's questions: an honest launch answers each with nothing, and each breach is found by name."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.evidence.entry import Event
from scheduler.services.audit import QUESTIONS, ask
from scheduler.services.events import DAEMON, about
from scheduler.services.hold import hold, release
from scheduler.services.windows import close_windows
from scheduler.store import log

from .house import LAUNCH, House, actor, rendered

RECORD = "dorset/record/launch"
SECOND = timedelta(seconds=1)


@pytest.fixture
def honest(house: House) -> House:
    """Two organisations; held, released and sent on time by the rules."""
    house.queue(rendered("dorset/record"), rendered("wiltshire/record"))
    house.approve_all()
    hold(house.db, house.clock, actor("bob"), "all", "a drill", patience=0)
    release(house.db, house.clock, actor("bob"), "all", "over", resume=False, soon=timedelta(seconds=20))
    house.launch()
    return house


def said(house: House, question: str) -> list[tuple[str, str, str]]:
    """(delivery, who, what was said) of each finding."""
    return [(f["delivery"], f["who"], f["said"]) for f in ask(house.db, question).findings]


def forge(house: House, *events: Event) -> None:
    """Entries that no verb of ours would write: what an auditor is there for."""
    with house.db.write() as conn:
        log.append(conn, house.clock.now(), events)


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_honest_launch_answers_every_question_with_nothing(honest: House, question: str) -> None:
    answer = ask(honest.db, question)
    assert (answer.findings, answer.question) == ((), question)
    assert answer.entries == len(honest.entries()) > 5
    assert answer.asked.endswith("?")


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_empty_log_answers_every_question_with_nothing(house: House, question: str) -> None:
    assert (ask(house.db, question).findings, ask(house.db, question).entries) == ((), 0)


def test_a_question_that_nobody_knows_is_refused(house: House) -> None:
    with pytest.raises(KeyError):
        ask(house.db, "who-dunnit")


def test_differences_finds_words_that_nobody_had_approved(house: House) -> None:
    house.queue(rendered())
    one = house.get()
    forge(house, about("publish.attempted", DAEMON, one, facts={"content_sha256": one.content_sha256}))
    assert said(house, "differences") == [(RECORD, "daemon", "sent with words that nobody had approved")]


def test_differences_finds_words_that_were_approved_only_before_they_changed(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    house.queue(rendered(text="other words"))
    one = house.get()
    forge(house, about("publish.attempted", DAEMON, one, facts={"content_sha256": one.content_sha256}))
    assert len(said(house, "differences")) == 1


def test_differences_finds_an_approval_that_was_given_for_another_organisations_delivery(
    house: House,
) -> None:
    house.queue(rendered("dorset/record"), rendered("wiltshire/record"))
    house.approve("wil")
    one = house.get()
    forge(house, about("publish.attempted", DAEMON, one, facts={"content_sha256": one.content_sha256}))
    assert [f[0] for f in said(house, "differences")] == [RECORD]


def test_differences_finds_what_the_platform_shows_otherwise(honest: House) -> None:
    forge(honest, about("publish.mismatch", DAEMON, honest.get(), code="differs", said="a picture is gone"))
    found = said(honest, "differences")
    assert found == [(RECORD, "daemon", "the platform shows something else than was approved")]


def test_own_work_finds_who_approved_what_they_had_queued(house: House) -> None:
    house.queue(rendered(), by="dan")
    one = house.get()
    forge(house, about("approval.granted", actor("dan"), one, facts={"content_sha256": one.content_sha256}))
    assert said(house, "own-work") == [(RECORD, "dan", "approved by the author")]


def test_own_work_knows_who_wrote_the_words_last(house: House) -> None:
    house.queue(rendered(), by="ann")
    house.queue(rendered(text="other words"), by="dan")
    one = house.get()
    granted = {"content_sha256": one.content_sha256}
    forge(house, about("approval.granted", actor("ann"), one, facts=granted))
    assert said(house, "own-work") == []
    forge(house, about("approval.granted", actor("dan"), one, facts=granted))
    assert [f[1] for f in said(house, "own-work")] == ["dan"]


SCOPES = ("all", "campaign:spring", "org:dorset", "platform:record", "account:dorset/record")


@pytest.mark.parametrize("scope", [*SCOPES, "post:spring/launch"])
def test_during_holds_finds_an_attempt_under_every_kind_of_hold(house: House, scope: str) -> None:
    house.queue(rendered())
    hold(house.db, house.clock, actor("bob"), scope, "an incident", patience=0)
    forge(house, about("publish.attempted", DAEMON, house.get(), facts={"content_sha256": "0"}))
    assert said(house, "during-holds") == [(RECORD, "daemon", f"attempted during the hold on {scope}")]


@pytest.mark.parametrize("scope", ["org:wiltshire", "account:dorset/key", "post:spring/later"])
def test_during_holds_does_not_blame_what_the_hold_does_not_cover(house: House, scope: str) -> None:
    house.queue(rendered())
    hold(house.db, house.clock, actor("bob"), scope, "an incident", patience=0)
    forge(house, about("publish.attempted", DAEMON, house.get(), facts={"content_sha256": "0"}))
    assert said(house, "during-holds") == []


def test_late_finds_what_went_a_second_late_and_what_was_missed(house: House) -> None:
    house.queue(rendered("dorset/record"), rendered("wiltshire/record"))
    house.approve("bob")
    house.hands.at = LAUNCH
    one = house.get()
    for us in (999_999, 1_000_000, 90_500_000):
        forge(house, about("publish.accepted", DAEMON, one, facts={"sent_us": us}))
    house.hands.at = LAUNCH + timedelta(minutes=11)
    close_windows(house.db, house.clock)
    assert [f[2] for f in said(house, "late")] == [
        "1.0 s late",
        "90.5 s late",
        "missed: window",
        "missed: window",
    ]


def test_unknown_says_how_each_attempt_of_unknown_outcome_ended_and_which_is_still_open(
    house: House,
) -> None:
    house.queue(rendered("dorset/record"), rendered("wiltshire/listing"))
    house.approve_all()
    house.launch("lost_but_done")
    assert [f[2] for f in said(house, "unknown")] == ["unknown, and not known yet"] * 2
    house.publishers["listing"].broken = True
    house.look(40 * SECOND)
    found = {f[0]: f[2] for f in said(house, "unknown")}
    (entry,) = house.entries("publish.reconciled")
    assert found[RECORD] == f"ended as there after 40 s (entry {entry.seq})"
    assert found["wiltshire/listing/launch"] == "unknown, and not known yet"


def test_unknown_counts_each_attempt_of_one_delivery(house: House) -> None:
    house.queue(rendered())
    house.approve_all()
    house.launch("lost")
    house.look(40 * SECOND)
    house.launch("lost_but_done", at=house.get().fire_at)
    house.look(40 * SECOND)
    first, second = (f[2] for f in said(house, "unknown"))
    assert first.startswith("ended as resend")
    assert second.startswith("ended as there")
