"""What may follow a look that found nothing, and when to try again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.publisher import Capability
from scheduler.domain.retry import Look, Verdict, backoff, next_try, verdict

T0 = datetime(2027, 3, 9, 7, 0, tzinfo=UTC)
LATE = Look(
    deadline=T0 + timedelta(seconds=30),
    now=T0 + timedelta(minutes=5),
    not_after=T0 + timedelta(minutes=10),
    looks=2,
    answered=True,
    sender_dead=True,
    settle=timedelta(seconds=120),
)
LOOKS = st.builds(
    Look,
    deadline=st.just(T0 + timedelta(seconds=30)),
    now=st.timedeltas(timedelta(0), timedelta(hours=3)).map(lambda d: T0 + d),
    not_after=st.timedeltas(timedelta(0), timedelta(hours=3)).map(lambda d: T0 + d),
    looks=st.integers(0, 5),
    answered=st.booleans(),
    sender_dead=st.booleans(),
    settle=st.just(timedelta(seconds=120)),
)
CLASSES = st.sampled_from(Capability)


@given(CLASSES, LOOKS)
def test_nothing_is_sent_again_before_the_deadline_or_while_the_sender_may_live(
    capability: Capability, look: Look
) -> None:
    said = verdict(capability, look)
    if look.now < look.deadline:
        assert said is Verdict.WAIT
    elif not look.sender_dead:
        assert said in (Verdict.WAIT, Verdict.ASK)


@given(CLASSES, LOOKS)
def test_absence_is_concluded_only_from_two_settled_answers(capability: Capability, look: Look) -> None:
    if verdict(capability, look) is Verdict.ABSENT:
        assert look.answered
        assert look.looks >= 2
        assert look.now >= look.deadline + look.settle
        assert capability is not Capability.WRITE_ONLY


@given(CLASSES, LOOKS)
def test_the_same_bytes_go_again_only_where_a_key_makes_that_safe(capability: Capability, look: Look) -> None:
    if verdict(capability, look) is Verdict.RESEND:
        assert look.now <= look.not_after
        assert capability is Capability.RECORD


@given(CLASSES, LOOKS)
def test_every_doubt_ends(capability: Capability, look: Look) -> None:
    late = replace(look, now=T0 + timedelta(days=1), looks=2, sender_dead=True)
    assert verdict(capability, late) in (Verdict.ABSENT, Verdict.ASK)


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        (Capability.RECORD, Verdict.RESEND),
        (Capability.KEY, Verdict.ABSENT),
        (Capability.LISTING, Verdict.ABSENT),
        (Capability.CONTAINER, Verdict.ABSENT),
        (Capability.WRITE_ONLY, Verdict.ASK),
    ],
)
def test_each_class_has_its_rule(capability: Capability, expected: Verdict) -> None:
    assert verdict(capability, LATE) is expected


@given(st.integers(1, 100), st.floats(0, 1))
def test_waiting_grows_to_about_a_minute(attempt: int, jitter: float) -> None:
    assert timedelta(seconds=1) <= backoff(attempt, jitter) <= timedelta(seconds=75)
    assert backoff(attempt + 1, 0) >= backoff(attempt, 0)


@given(st.none() | st.timedeltas(timedelta(days=-9), timedelta(days=9)), st.integers(1, 5), st.floats(0, 1))
def test_a_platform_may_ask_for_a_second_to_an_hour(
    asked: timedelta | None, attempt: int, jitter: float
) -> None:
    at = next_try(T0, T0 + asked if asked is not None else None, attempt, jitter)
    assert timedelta(seconds=1) <= at - T0 <= timedelta(hours=1)


def test_a_record_whose_tries_are_used_up_is_looked_for_and_not_sent_to_a_gate_that_is_shut() -> None:
    """Found by kill -9 on a busy machine: five lost replies, five failed looks, and then nobody looked."""
    blind = replace(LATE, answered=False, looks=0)
    assert verdict(Capability.RECORD, blind) is Verdict.RESEND
    assert verdict(Capability.RECORD, replace(blind, tries_left=False)) is Verdict.WAIT
    assert verdict(Capability.RECORD, replace(LATE, tries_left=False)) is Verdict.ABSENT
