"""The gate that was foreseen: whatever is changed after the reading is honoured, and nothing else decides."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from scheduler.domain.content import Blackout, instant
from scheduler.domain.delivery import AttemptState, State
from scheduler.services import gate as gates
from scheduler.services.clock import Clock
from scheduler.services.foresight import Foresight
from scheduler.services.ground import Ground
from scheduler.services.hold import cancel, hold
from scheduler.services.lease import take
from scheduler.services.review import reject
from scheduler.services.timing import LIVE
from scheduler.store import desk, lock, outbox
from scheduler.store.database import open_database
from tests.conftest import NOON
from tests.store.test_outbox import attempt

from .house import DIRECTORY, LAUNCH, LEAD, POLICY, House, actor, rendered

NAME = "dorset/record/launch"


@pytest.fixture
def ready(house: House) -> House:
    house.queue(rendered(), rendered("wiltshire/record"))
    house.approve_all()
    return house


@pytest.fixture
def foresight(ready: House) -> Iterator[Foresight]:
    """Everything that is due at LAUNCH, foreseen a second before it."""
    armed = ready.arm()
    ready.hands.at = LAUNCH - timedelta(seconds=1)
    made = Foresight(ready.db, ready.clock, armed, ready.approvers, LAUNCH)
    made.foresee()
    yield made
    made.close()


def gated(house: House, foresight: Foresight, ground: Ground | None = None) -> gates.Passed:
    house.hands.at = max(house.hands.at, LAUNCH - LEAD)
    return gates.gate(
        house.db,
        house.clock,
        foresight.armed,
        house.approvers,
        sender=lock.sender_name("gone"),
        at=LAUNCH,
        reply_within=LIVE.reply_within,
        ground=ground or Ground(),
        foreseen=foresight.now,
    )


def of_dorset(house: House, passed: gates.Passed) -> set[str]:
    """The codes of the gates that are shut for the delivery; it has no attempt then."""
    one = house.get()
    codes = {g.code for d, why in passed.shut if d.id == one.id for g in why}
    assert (one.id in passed.attempts) == (not codes)
    return codes


def test_what_was_foreseen_is_what_is_written_with_the_time_of_the_gate(
    ready: House, foresight: Foresight
) -> None:
    foreseen, mark = foresight.now() or pytest.fail("nothing was foreseen")
    passed = gated(ready, foresight)
    if mark == foreseen.mark:  # PostgreSQL may have cleaned up in between
        assert passed.attempts == foreseen.intents.attempts
    assert len(passed.attempts) == 2
    assert [e.body["at"] for e in ready.entries("publish.attempted")] == [instant(LAUNCH - LEAD)] * 2
    assert ready.verify() > 0
    assert ready.fire(passed)
    assert {d.state for d in ready.all()} == {State.PUBLISHED}


def _sql(statement: str, **values: object) -> Callable[[House], None]:
    def change(house: House) -> None:
        with house.db.write() as conn:
            conn.execute(text(statement), {"id": house.get().id, **values})

    return change


def _another_policy(house: House) -> None:
    other = replace(POLICY, valid_for=timedelta(0)).canonical()
    _sql("update deliveries set policy = :p where id = :id", p=other)(house)


def _other_words(house: House) -> None:
    body = house.get().content.canonical().replace(b"words", b"swear")
    _sql("update deliveries set content = :b where id = :id", b=body)(house)


def _requeued(house: House) -> None:
    house.queue(rendered(text="other words"), rendered("wiltshire/record"))


def _an_open_attempt(house: House) -> None:
    with house.db.write() as conn:
        outbox.open_attempts(conn, NOON, [attempt(house.get().id, "x", AttemptState.UNKNOWN)])


def _safe_mode(house: House) -> None:
    with house.db.write() as conn:
        desk.set_safe_mode(conn, instant(NOON), "an old backup")


def _held(house: House) -> None:
    hold(house.db, house.clock, actor("bob"), "org:dorset", "an attack", patience=0)


def _rejected(house: House) -> None:
    reject(house.db, house.clock, DIRECTORY, actor("bob"), [house.get()], "no")


def _unapproved(house: House) -> None:
    house.approvers["dorset"] = ()


LATER = instant(LAUNCH + timedelta(hours=1))
EARLIER = instant(LAUNCH - timedelta(hours=1))
SPAN = f'[["{EARLIER}", "{LATER}", "a silence"]]'
CHANGES: dict[str, tuple[Callable[[House], None], set[str]]] = {
    "held": (_held, {"hold"}),
    "rejected": (_rejected, {"unapproved"}),
    "approval voided": (
        _sql("update decisions set verdict = 'voided' where delivery_id = :id"),
        {"unapproved"},
    ),
    "approver taken away": (_unapproved, {"unapproved"}),
    "another policy": (_another_policy, {"unapproved"}),
    "another policy's hash": (
        _sql("update deliveries set policy_sha256 = 'x' where id = :id"),
        {"unapproved"},
    ),
    "bytes altered": (_other_words, {"changed"}),
    "queued anew": (_requeued, {"changed", "unapproved"}),
    "open attempt": (_an_open_attempt, {"in_doubt"}),
    "attempts used up": (_sql("update deliveries set attempts = 5 where id = :id"), {"attempts"}),
    "moved later": (_sql("update deliveries set fire_at = :t where id = :id", t=LATER), {"too_early"}),
    "embargo": (_sql("update deliveries set embargo = :t where id = :id", t=LATER), {"embargo"}),
    "window closed": (_sql("update deliveries set not_after = :t where id = :id", t=EARLIER), {"too_late"}),
    "blackout": (_sql("update deliveries set blackouts = :b where id = :id", b=SPAN), {"blackout"}),
    "its turn comes after another": (_sql("update deliveries set after = 'x' where id = :id"), {"after"}),
    "another state": (_sql("update deliveries set state = 'asking' where id = :id"), {"state"}),
    "safe mode": (_safe_mode, {"safe_mode"}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_fact_that_changes_after_the_reading_is_honoured(
    ready: House, foresight: Foresight, what: str
) -> None:
    change, codes = CHANGES[what]
    change(ready)
    assert of_dorset(ready, gated(ready, foresight)) == codes


def test_a_cancelled_delivery_that_was_foreseen_does_not_go(ready: House, foresight: Foresight) -> None:
    one = ready.get()
    cancel(ready.db, ready.clock, actor("bob"), [one], "")
    assert one.id not in gated(ready, foresight).attempts


def test_a_lease_that_was_taken_over_stops_what_was_foreseen(ready: House, foresight: Foresight) -> None:
    tenure = take(ready.db, ready.clock, "")
    foresight.foresee()
    with ready.db.write() as conn:
        conn.execute(text("update leases set epoch = epoch + 1"))
    passed = gated(ready, foresight, Ground(tenure.lease))
    tenure.give_back()
    assert (passed.attempts, {g.code for g in passed.stops}) == ({}, {"lease"})


def test_what_another_program_writes_past_us_is_noticed(ready: House, foresight: Foresight, url: str) -> None:
    other = open_database(url, "simulation", NOON)
    with other.engine.begin() as conn:
        conn.execute(text("update decisions set verdict = 'voided'"))
    other.close()
    passed = gated(ready, foresight)
    assert passed.attempts == {}


def test_what_was_foreseen_long_before_goes_and_what_is_held_stays(
    ready: House, foresight: Foresight
) -> None:
    """The reading came too early for the gate; it was made for the moment of the gate."""
    with ready.db.write() as conn:
        conn.execute(
            text("update deliveries set fire_at = :t"), {"t": instant(LAUNCH - timedelta(seconds=9))}
        )
    foresight.foresee()
    _held(ready)
    foresight.foresee()
    passed = gated(ready, foresight)
    assert of_dorset(ready, passed) == {"hold"}
    assert len(passed.attempts) == 1


def _now_or_later(dice: random.Random, at: datetime) -> datetime:
    return at + timedelta(seconds=dice.choice([0, 0, 0.5, 1, 1.7, 2, 2.3, 60, 3600]) - dice.choice([0, 0.3]))


def _some(dice: random.Random) -> list[timedelta]:
    return [timedelta(seconds=dice.choice([-3, -1, -0.2, 0, 0.2, 1, 3, 60])) for _ in range(2)]


@pytest.mark.parametrize("seed", range(40))
def test_while_it_stands_it_is_what_the_gate_would_decide_anew(house: House, clock: Clock, seed: int) -> None:
    """Times, spans and ages around the edges; people who act in between, or not."""
    dice = random.Random(seed)
    wanted = []
    for account in ("dorset/record", "wiltshire/record", "charity/record", "dorset/listing"):
        start, length = _some(dice)
        quiet = Blackout(
            LAUNCH + start,
            LAUNCH + start + abs(length) + timedelta(seconds=1),
            (account.split("/", maxsplit=1)[0],),
            "a silence",
        )
        aged = timedelta(days=7, hours=19) + _some(dice)[0]  # what was approved at noon is as old at LAUNCH
        wanted.append(
            rendered(
                account,
                blackouts=[quiet] if dice.random() < 0.3 else (),
                embargo=LAUNCH + dice.choice(_some(dice)) if dice.random() < 0.3 else None,
                policy=replace(POLICY, valid_for=aged) if dice.random() < 0.4 else POLICY,
            )
        )
    house.queue(*wanted)
    house.approve_all()
    armed = house.arm(LAUNCH + timedelta(minutes=1))
    house.hands.at = LAUNCH - timedelta(seconds=dice.choice([0.4, 1, 1.9, 2.5, 20]))
    foresight = Foresight(house.db, clock, armed, house.approvers, LAUNCH)
    try:
        foresight.foresee()
        if dice.random() < 0.3:
            CHANGES[dice.choice(sorted(set(CHANGES) - {"approver taken away"}))][0](house)
        for _ in range(6):
            house.hands.at = _now_or_later(dice, house.hands.at)
            foreseen, mark = foresight.now() or pytest.fail("nothing was foreseen")
            still = foreseen.still(mark, clock)
            with house.db.read() as conn:
                anew = gates.judge(conn, clock, armed, house.approvers, LAUNCH)
            if still is None:
                continue
            assert still.going == anew.going
            assert [(d.id, why) for d, why in still.shut] == [(d.id, why) for d, why in anew.shut]
            assert still.epoch == anew.epoch
            assert replace(still.known, approvers={}) == replace(anew.known, approvers={})
    finally:
        foresight.close()
