"""The tables of states: what they promise as a whole."""

from __future__ import annotations

import pytest

from scheduler.domain.delivery import (
    ATTEMPT_MAY_BECOME,
    ENDED,
    MAY_BECOME,
    MAY_STILL_LAND,
    OPEN_ATTEMPT,
    AttemptState,
    State,
)

A, S = AttemptState, State


def test_every_state_has_its_row() -> None:
    assert set(MAY_BECOME) == set(State)
    assert set(ATTEMPT_MAY_BECOME) == set(AttemptState)


def test_what_has_ended_stays_ended_but_for_a_question_to_a_person() -> None:
    assert {s for s in State if MAY_BECOME[s] <= {S.ASKING}} == ENDED


def test_every_state_can_be_reached_and_comes_to_an_end() -> None:
    reached = {S.SCHEDULED}
    while more := {t for s in reached for t in MAY_BECOME[s]} - reached:
        reached |= more
    assert reached == set(State)
    ends = set(ENDED)
    while more := {s for s in State if MAY_BECOME[s] & ends} - ends:
        ends |= more
    assert ends == set(State)


def test_only_what_waits_may_begin_to_publish() -> None:
    assert [s for s in State if S.PUBLISHING in MAY_BECOME[s]] == [S.SCHEDULED]


def test_what_may_be_out_is_never_called_missed_or_cancelled() -> None:
    for state in (S.PUBLISHING, S.UNCONFIRMED, S.ASKING, S.PUBLISHED, S.VERIFIED, S.RETRACTING):
        assert not MAY_BECOME[state] & {S.MISSED, S.CANCELLED}


def test_what_is_out_never_waits_again() -> None:
    for state in (S.PUBLISHED, S.VERIFIED, S.RETRACTING, S.RETRACTED):
        assert not MAY_BECOME[state] & {S.SCHEDULED, S.PUBLISHING, S.FAILED}


@pytest.mark.parametrize("state", [A.ACCEPTED, A.NOT_SENT, A.REJECTED, A.PROVEN_ABSENT])
def test_a_verdict_on_an_attempt_is_final(state: AttemptState) -> None:
    assert not ATTEMPT_MAY_BECOME[state]
    assert state not in MAY_STILL_LAND


def test_safe_to_send_again_is_not_proven_absent() -> None:
    assert A.RESEND_SAFE in MAY_STILL_LAND
    assert A.RESEND_SAFE not in OPEN_ATTEMPT
    assert A.NOT_SENT not in ATTEMPT_MAY_BECOME[A.RESEND_SAFE]
