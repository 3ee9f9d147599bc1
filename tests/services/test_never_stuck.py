"""What goes wrong in one place costs only itself: odd outcomes, damage, busy databases, dead readers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from scheduler.domain.delivery import AttemptState, State
from scheduler.domain.publisher import Reply
from scheduler.errors import PublishError, Rejected
from scheduler.services import gate as gates
from scheduler.services.arm import Armed, arm
from scheduler.services.collect import collect
from scheduler.services.hold import cancel, hold
from scheduler.services.status import status
from scheduler.services.windows import close_windows
from scheduler.store import outbox
from scheduler.transport.volley import Fired

from .house import LAUNCH, House, actor, rendered

THREE = ("dorset/record", "wiltshire/record", "charity/record")
REFUSED = Rejected("too_long", "the text is too long")


@pytest.fixture
def wave(house: House) -> House:
    house.queue(*(rendered(a) for a in THREE))
    house.approve_all()
    return house


@dataclass
class Replies:
    """A volley that was fired: these are its replies, and then perhaps its reader breaks."""

    those: Sequence[tuple[str, Reply | PublishError]] = ()
    broken: bool = False

    def replies(self, within: float) -> Iterator[tuple[str, Reply | PublishError]]:
        yield from self.those
        if self.broken:
            raise ValueError("the reader broke")


def armed_and_fired(house: House) -> tuple[dict[str, Armed], gates.Passed, Fired]:
    ready, _ = arm(house.db, house.reach, house.all(), LAUNCH.timestamp())
    passed = house.gate(house.arm())
    house.hands.at = LAUNCH
    fired = Fired(False, {a.delivery.id: LAUNCH.timestamp() + 0.001 for a in ready})
    return {a.delivery.id: a for a in ready}, passed, fired


def collected(house: House, volley: Replies, *parts: Any) -> None:
    by_id, passed, fired = parts
    collect(house.db, house.clock, house.reach, volley, by_id, passed, fired, timedelta(seconds=1))  # type: ignore[arg-type]


# 12 and 14: outcomes


def test_one_outcome_that_does_not_fit_costs_only_itself(
    wave: House, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = armed_and_fired(wave)
    odd, *rest = parts[1].attempts
    with wave.db.write() as conn:
        outbox.settle_attempts(
            conn, [(parts[1].attempts[odd], AttemptState.INTENT, AttemptState.REJECTED, {"code": "x"})]
        )
    collected(wave, Replies([(i, REFUSED) for i in parts[0]]), *parts)
    by_id = {d.id: d.state for d in wave.all()}
    assert [by_id[i] for i in rest] == [State.FAILED, State.FAILED]
    assert by_id[odd] is State.PUBLISHING
    assert [e.body["type"] for e in wave.entries("publish.late_evidence")] == ["publish.late_evidence"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("answered", [0, 1, 3])
def test_when_the_reader_breaks_the_sender_goes_on_and_what_has_no_outcome_is_looked_for(
    wave: House, answered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)  # the reader says so on stderr
    parts = armed_and_fired(wave)
    ids = list(parts[0])
    collected(wave, Replies([(i, REFUSED) for i in ids[:answered]], broken=True), *parts)
    states = [d.state for d in wave.all()]
    assert (states.count(State.FAILED), states.count(State.UNCONFIRMED)) == (answered, 3 - answered)
    wave.look(timedelta(minutes=1))
    wave.launch(at=wave.clock.now() + timedelta(seconds=1))
    assert [d.state for d in wave.all()].count(State.PUBLISHED) == 3 - answered


# 13: a damaged row


@pytest.fixture(params=[b"{}", b"\xff\x00", b"", b"null", b'{"text": 7}', b"[1, 2]"])
def damaged(wave: House, request: pytest.FixtureRequest) -> House:
    with wave.db.write() as conn:
        statement = text("update deliveries set content = :c where account = 'dorset/record'")
        conn.execute(statement, {"c": request.param})
    return wave


def test_damaged_words_cost_only_their_own_delivery(damaged: House) -> None:
    damaged.launch()
    assert len(damaged.world.posts) == 2
    assert damaged.get().state is State.SCHEDULED
    damaged.hands.at = LAUNCH + timedelta(minutes=11)
    close_windows(damaged.db, damaged.clock)
    assert damaged.get().state is State.MISSED
    assert {damaged.get(f"{a}/launch").state for a in THREE[1:]} == {State.PUBLISHED}


@pytest.mark.parametrize(
    ("column", "value"),
    [("policy", b"{}"), ("policy", b"no"), ("blackouts", "[1"), ("needs", "["), ("needs", "[]")],
)
def test_other_damage_costs_only_its_own_delivery_too(wave: House, column: str, value: object) -> None:
    with wave.db.write() as conn:
        outbox.note(conn, [wave.get().id], **{column: value})
    wave.launch()
    assert (len(wave.world.posts), wave.attempts()) == (2, [])
    wave.hands.at = LAUNCH + timedelta(minutes=11)
    close_windows(wave.db, wave.clock)
    assert wave.get().state is State.MISSED


def test_damaged_words_do_not_keep_people_from_holding_looking_and_cancelling(damaged: House) -> None:
    found = status(damaged.db, damaged.clock, damaged.approvers, "")
    assert found.counts == {"scheduled": 3}
    held = hold(damaged.db, damaged.clock, actor("wil"), "all", "an incident", patience=0)
    assert len(held.waiting) == 3
    gone = cancel(damaged.db, damaged.clock, actor("bob"), [damaged.get()], "damaged")
    assert [d.name for d in gone] == ["dorset/record/launch"]


# 16: what was refused has a way back


def test_what_failed_can_be_moved_once_nothing_of_it_can_land(wave: House) -> None:
    from scheduler.services.move import move

    wave.launch("unauthorised")
    assert {d.state for d in wave.all()} == {State.FAILED}
    done = move(wave.db, wave.clock, actor("bea"), wave.all(), LAUNCH + timedelta(hours=1))
    assert (len(done.moved), done.refused) == (3, ())
    passed = wave.gate(wave.ready(), LAUNCH + timedelta(hours=1))
    assert passed.attempts == {}  # the old approvals were for the old time


# 22: settling reads what it needs


def test_settling_reads_only_what_follows_on_the_published_parts(house: House) -> None:
    many = [rendered(post=f"other-{n}", due=LAUNCH + timedelta(days=1)) for n in range(40)]
    house.queue(rendered(part=1, parts=2, text="one"), rendered(part=2, parts=2, text="two"), *many)
    house.approve_all()
    passed = house.gate(house.arm())
    reads: list[bool] = []

    def count(_conn: object, cursor: Any, statement: str, *_: object) -> None:
        if statement.lstrip().upper().startswith("SELECT") and "FROM deliveries" in statement:
            plainly = statement.replace('"', "").replace("= ANY", "IN")
            narrow = any(f"{column} IN" in plainly for column in ("deliveries.id", "after", "remote_id"))
            reads.append(narrow)

    event.listen(house.db.engine, "after_cursor_execute", count)
    house.fire(passed)
    event.remove(house.db.engine, "after_cursor_execute", count)
    assert (
        next(d for d in house.all() if d.content.part == 1 and d.content.parts == 2).state is State.PUBLISHED
    )
    # The first statement is of this test's own: House.fire reads everything.
    assert (reads[0], len(reads) > 2, all(reads[1:])) == (False, True, True)
