"""The time grammar: what it takes, what it refuses, and that it never falls over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.times import Moment, duration, parse, say
from scheduler.domain.wrong_time import FULL_MONTHS, WrongTime

LONDON = ZoneInfo("Europe/London")
LAUNCH = parse("Tue 9 March 2027 07:00", LONDON)


@pytest.mark.parametrize(
    ("text", "due", "wall"),
    [
        ("launch", "2027-03-09T07:00Z", "2027-03-09 07:00"),
        ("launch + 5h", "2027-03-09T12:00Z", "2027-03-09 12:00"),
        ("launch - 30m", "2027-03-09T06:30Z", "2027-03-09 06:30"),
        ("30m before launch", "2027-03-09T06:30Z", "2027-03-09 06:30"),
        ("2h after launch", "2027-03-09T09:00Z", "2027-03-09 09:00"),
        ("launch + 7d", "2027-03-16T07:00Z", "2027-03-16 07:00"),
        ("launch + 1d 2h", "2027-03-10T09:00Z", "2027-03-10 09:00"),
        ("Wed 10 March 2027 16:00", "2027-03-10T16:00Z", "2027-03-10 16:00"),
        ("Wednesday 10 Mar 2027 16:00", "2027-03-10T16:00Z", "2027-03-10 16:00"),
        ("10 March 2027 16:00", "2027-03-10T16:00Z", "2027-03-10 16:00"),
        ("2027-03-10 16:00", "2027-03-10T16:00Z", "2027-03-10 16:00"),
        ("2027-06-10T16:00Z", "2027-06-10T16:00Z", "2027-06-10 17:00"),
        ("10 June 2027 16:00 UTC", "2027-06-10T16:00Z", "2027-06-10 17:00"),
        ("10 June 2027 16:00 BST", "2027-06-10T15:00Z", "2027-06-10 16:00"),
        ("10 March 2027 16:00 Europe/Paris", "2027-03-10T15:00Z", "2027-03-10 15:00"),
        ("Sun 31 October 2027 01:30 BST", "2027-10-31T00:30Z", "2027-10-31 01:30"),
        ("Sun 31 October 2027 01:30 GMT", "2027-10-31T01:30Z", "2027-10-31 01:30"),
    ],
)
def test_it_reads_what_people_write(text: str, due: str, wall: str) -> None:
    assert parse(text, LONDON, LAUNCH) == Moment(datetime.fromisoformat(due), wall)


def test_days_keep_the_wall_time_and_hours_are_elapsed_over_a_clock_change() -> None:
    assert parse("launch + 21d", LONDON, LAUNCH).wall == "2027-03-30 07:00"
    assert parse("launch + 504h", LONDON, LAUNCH).wall == "2027-03-30 08:00"


def test_a_day_that_ends_in_a_gap_is_refused() -> None:
    launch = parse("Sun 21 March 2027 01:30", LONDON)
    with pytest.raises(WrongTime, match="does not exist"):
        parse("launch + 7d", LONDON, launch)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "E201"),
        ("tomorrow", "E201"),
        ("noon", "E201"),
        ("9th March 2027 07:00", "E201"),
        ("9 Merch 2027 07:00", "E201"),
        ("launch +", "E201"),
        ("5h", "E201"),
        ("03/04/2027", "E202"),
        ("03/04/2027 07:00", "E202"),
        ("3.4.27 07:00", "E202"),
        ("Tue 9 March 2027 7", "E203"),
        ("Tue 9 March 2027 7am", "E203"),
        ("Tue 9 March 2027 7:00", "E203"),
        ("Tue 9 March 2027 24:00", "E203"),
        ("Tue 9 March 2027 07:60", "E203"),
        ("Tue 9 March 07:00", "E204"),
        ("9 March", "E204"),
        ("31 February 2027 07:00", "E205"),
        ("2027-13-01 07:00", "E205"),
        ("29 February 2027 07:00", "E205"),
        ("9 March 0027 07:00", "E205"),
        ("Mon 9 March 2027 07:00", "E206"),
        ("Foo 9 March 2027 07:00", "E206"),
        ("Sun 28 March 2027 01:30", "E207"),
        ("Sun 31 October 2027 01:30", "E208"),
        ("launch + 5", "E209"),
        ("launch + 5x", "E209"),
        ("launch + 2h 1d", "E209"),
        ("launch + 999999d", "E209"),
        ("9 March 2027 07:00 BST", "E211"),
        ("9 March 2027 07:00 Europe/Nowhere", "E211"),
    ],
)
def test_it_refuses_what_could_be_misread_and_says_why(text: str, code: str) -> None:
    with pytest.raises(WrongTime) as wrong:
        parse(text, LONDON, LAUNCH)
    assert wrong.value.code == code
    assert wrong.value.help


def test_a_gap_and_a_fold_show_both_readings() -> None:
    with pytest.raises(WrongTime) as gap:
        parse("Sun 28 March 2027 01:30", LONDON)
    assert "00:30 GMT" in gap.value.help
    assert "02:30 BST" in gap.value.help
    with pytest.raises(WrongTime) as fold:
        parse("Sun 31 October 2027 01:30", LONDON)
    assert "01:30 BST" in fold.value.help
    assert "01:30 GMT" in fold.value.help


def test_the_launch_itself_cannot_be_relative() -> None:
    with pytest.raises(WrongTime):
        parse("launch + 1h", LONDON, None)


def outcome(text: str) -> Moment | WrongTime:
    """What parsing comes to; anything but these two is a failure of the test."""
    try:
        return parse(text, LONDON, LAUNCH)
    except WrongTime as wrong:
        return wrong


@given(st.text(max_size=60))
def test_no_text_makes_it_fall_over(text: str) -> None:
    came = outcome(text)
    assert came.due.tzinfo is not None if isinstance(came, Moment) else came.message and came.help


_RELATIVE = ("launch", "before", "after", "+", "-", "5h", "30m", "1d", "7d")
_ABSOLUTE = (
    "9",
    "31",
    "March",
    "Feb",
    "2027",
    "07:00",
    "24:00",
    "7",
    "Tue",
    "Mon",
    "BST",
    "UTC",
    "03/04/2027",
)
_WORDS = st.sampled_from((*_RELATIVE, *_ABSOLUTE))


@given(st.lists(_WORDS, max_size=7).map(" ".join))
def test_no_mixture_of_its_own_words_makes_it_fall_over(text: str) -> None:
    came = outcome(text)
    assert came.wall if isinstance(came, Moment) else came.help


@given(st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2090, 1, 1)))  # noqa: DTZ001 (wall times)
def test_every_wall_time_is_read_back_or_refused_as_a_clock_change(wall: datetime) -> None:
    came = outcome(f"{wall.day} {FULL_MONTHS[wall.month - 1]} {wall.year} {wall:%H:%M}")
    if isinstance(came, WrongTime):
        assert came.code in ("E207", "E208")
        assert wall.month in (3, 10)
        return
    assert came.wall == f"{wall:%Y-%m-%d %H:%M}"
    assert f"{came.due.astimezone(LONDON):%Y-%m-%d %H:%M}" == came.wall


@given(st.integers(0, 200), st.integers(0, 23), st.integers(0, 59))
def test_lengths_add_up(days: int, hours: int, minutes: int) -> None:
    assert duration(f"{days}d {hours}h {minutes}m") == timedelta(days=days, hours=hours, minutes=minutes)


def test_an_instant_is_shown_with_weekday_date_and_zone() -> None:
    assert say(datetime(2027, 3, 9, 7, 0, tzinfo=UTC), LONDON) == "Tue 9 Mar 2027 07:00 GMT"
    assert say(datetime(2027, 6, 9, 7, 0, 5, tzinfo=UTC), LONDON) == "Wed 9 Jun 2027 08:00:05 BST"
