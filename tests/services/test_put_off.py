"""What is not ready, throttled or refused: tried again inside its window only, and a person is told why."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from scheduler.domain.delivery import State
from scheduler.errors import NotReady, PublishError, RetryLater, Unauthorised
from scheduler.services import hold as holds
from scheduler.services.put_off import put_off
from scheduler.store import desk
from scheduler.store.tables import NoticeRow, table_of

from .house import LAUNCH, House, actor, rendered

MINUTE = timedelta(minutes=1)
WINDOW = LAUNCH + timedelta(minutes=10)
_notices = table_of(NoticeRow)


@pytest.fixture
def ready(house: House) -> House:
    house.queue(rendered(), rendered("dorset/key"))
    house.approve_all()
    return house


def told(house: House, *states: str) -> list[tuple[str, str]]:
    """(topic, about) of the notices that are open."""
    with house.db.read() as conn:
        rows = conn.execute(_notices.select().order_by(_notices.c.at)).all()
    return [(r.topic, r.about) for r in rows if r.state != "closed"]


def refuse(house: House, error: PublishError, now: datetime = LAUNCH) -> None:
    house.hands.at = now
    put_off(house.db, house.clock, [(house.get(), error)], now + timedelta(seconds=5))


# After a send


def test_a_throttled_delivery_that_may_only_come_back_after_its_window_is_missed_now(ready: House) -> None:
    ready.world.retry_at = LAUNCH + timedelta(minutes=11)
    ready.launch("throttled")
    one = ready.get()
    assert one.state is State.MISSED
    assert "its next try would come after its window closed: http_429" in one.reason
    assert ready.types()[-2:] == ["schedule.missed", "schedule.missed"]
    assert ("missed", one.name) in told(ready)


def test_it_is_a_question_where_an_earlier_attempt_may_still_land(ready: House) -> None:
    ready.launch("late")
    ready.look(timedelta(seconds=40))
    ready.world.retry_at = LAUNCH + timedelta(minutes=20)
    ready.launch("throttled", ready.get().fire_at)
    one = ready.get()
    assert one.state is State.ASKING
    assert "an earlier attempt may still land" in one.reason
    ready.world.land()
    assert len([p for p in ready.world.posts if p.account == "dorset/record"]) == 1


@pytest.mark.parametrize("asked", [timedelta(days=-400), timedelta(seconds=-1), timedelta(0)])
def test_a_time_that_has_passed_means_a_second_from_now(ready: House, asked: timedelta) -> None:
    ready.world.retry_at = LAUNCH + asked
    ready.launch("throttled")
    assert ready.get().fire_at - LAUNCH == timedelta(seconds=1)


def test_what_was_not_sent_at_the_end_of_its_window_is_missed_and_not_left_waiting(ready: House) -> None:
    ready.launch("not_sent", WINDOW)
    assert ready.get().state is State.MISSED


# While arming


def test_what_is_not_ready_waits_inside_its_window_and_a_person_hears_of_it_early(ready: House) -> None:
    refuse(ready, NotReady("media_processing", "the server is still processing p.png"))
    one = ready.get()
    assert (one.state, one.fire_at) == (State.SCHEDULED, LAUNCH + timedelta(seconds=5))
    assert one.reason == "not ready: media_processing: the server is still processing p.png"
    assert told(ready) == [("not_ready", one.name)]
    ready.launch(at=one.fire_at)
    assert ready.get().state is State.PUBLISHED
    assert told(ready) == []


def test_saying_so_again_is_not_told_again(ready: House) -> None:
    for minute in range(3):
        refuse(ready, NotReady("media_processing", "still processing"), LAUNCH + minute * MINUTE)
    assert told(ready) == [("not_ready", ready.get().name)]


def test_the_last_try_comes_when_its_window_closes_and_not_after(ready: House) -> None:
    refuse(ready, NotReady("x"), WINDOW - timedelta(seconds=2))
    assert ready.get().fire_at == WINDOW
    refuse(ready, NotReady("x"), WINDOW)
    assert (ready.get().state, ready.get().reason.endswith("not ready: x")) == (State.MISSED, True)


def test_a_quota_that_is_free_again_inside_the_window_is_waited_for_and_another_is_missed_now(
    ready: House,
) -> None:
    refuse(ready, RetryLater("quota", "0 of 300 requests are left", at=LAUNCH + 4 * MINUTE))
    assert (ready.get().state, ready.get().fire_at) == (State.SCHEDULED, LAUNCH + 4 * MINUTE)
    refuse(ready, RetryLater("quota", "0 of 300 requests are left", at=WINDOW + MINUTE), LAUNCH + 4 * MINUTE)
    assert ready.get().state is State.MISSED
    assert told(ready) == [("missed", ready.get().name)]


def test_a_refused_token_holds_its_account_and_nobody_elses_and_its_people_are_told(ready: House) -> None:
    refuse(ready, Unauthorised("unauthorised", "The access token was revoked"))
    with ready.db.read() as conn:
        assert [h.scope for h in desk.holds(conn)] == ["account:dorset/record"]
    assert ("held", "dorset/record") in told(ready)
    ready.launch(at=LAUNCH + timedelta(seconds=5))
    assert ready.get().state is State.SCHEDULED
    assert ready.get("dorset/key/launch").state is State.PUBLISHED


# After a refused token


def release(house: House, at: datetime, scope: str = "account:dorset/record") -> holds.Released:
    house.hands.at = at
    return holds.release(
        house.db, house.clock, actor("cat"), scope, "a new token", resume=True, soon=timedelta(seconds=20)
    )


@pytest.mark.parametrize("where", ["arming", "sending"])
def test_after_its_release_it_goes_with_the_new_secret_inside_the_window(ready: House, where: str) -> None:
    if where == "arming":
        refuse(ready, Unauthorised("unauthorised"))
    else:
        ready.launch("unauthorised")
        assert ready.get().state is State.FAILED
    done = release(ready, LAUNCH + 2 * MINUTE)
    assert "dorset/record/launch" in [d.name for d in done.resumed]
    one = ready.get()
    assert (one.state, one.fire_at) == (State.SCHEDULED, LAUNCH + 2 * MINUTE + timedelta(seconds=20))
    ready.launch(at=one.fire_at)
    assert ready.get().state is State.PUBLISHED
    assert [p.account for p in ready.world.posts].count("dorset/record") == 1


def test_after_its_window_it_stays_failed(ready: House) -> None:
    ready.launch("unauthorised")
    assert release(ready, WINDOW + MINUTE).resumed == ()
    assert ready.get().state is State.FAILED


def test_a_release_does_not_bring_back_what_was_refused_for_its_words(ready: House) -> None:
    passed = ready.gate(ready.arm())
    ready.fire(passed, how=lambda d: "unauthorised" if d.platform == "key" else "rejected")
    assert [d.name for d in release(ready, LAUNCH + MINUTE, "all").resumed] == ["dorset/key/launch"]
    assert ready.get().state is State.FAILED
