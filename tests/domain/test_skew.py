"""A wrong clock stops everyone only where servers agree; one server that lies stops nobody else."""

from __future__ import annotations

import pytest

from scheduler.domain.skew import Reading, Skew, skew


def at(ahead: float, server: str = "a", width: float = 1.2) -> Reading:
    return Reading(server, ahead - width / 2, ahead + width / 2)


RIGHT = at(0.3, "right")


@pytest.mark.parametrize("ahead", [0.0, 1.9, -1.9, 2.5, -2.5])
def test_what_a_date_of_whole_seconds_cannot_tell_from_right_stops_nobody(ahead: float) -> None:
    assert skew([at(ahead, "a"), at(ahead, "b")]) is None


@pytest.mark.parametrize(("ahead", "way"), [(5.0, "5 s ahead of a, b"), (-60.2, "60 s behind a, b")])
def test_two_servers_that_agree_stop_everyone(ahead: float, way: str) -> None:
    found = skew([at(ahead, "a"), at(ahead + 0.1, "b"), RIGHT])
    assert found
    assert found.everyone
    assert found.sentence == f"this machine's clock is about {way}"


def test_one_server_that_differs_from_another_stops_nobody() -> None:
    assert skew([at(3600, "liar"), RIGHT]) is None


def test_two_that_err_among_many_stop_nobody() -> None:
    right = [at(0.1, f"right{n}") for n in range(3)]
    assert skew([at(99, "a"), at(99, "b"), *right]) is None


def test_two_that_contradict_each_other_stop_nobody() -> None:
    assert skew([at(99, "a"), at(-99, "b")]) is None


def test_the_only_server_stops_what_is_bound_for_it() -> None:
    assert skew([at(9, "only")]) == Skew(9.0, ("only",), everyone=False)


def test_without_an_answer_nothing_is_said() -> None:
    assert skew([]) is None
