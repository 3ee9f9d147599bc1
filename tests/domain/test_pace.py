"""Pacing: no window ever has more than is allowed, and who is later, and by how much, is no accident."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.pace import Claim, Limit, Load, Per, Quotas, Slot, spread

T0 = datetime(2027, 3, 9, 7, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WINDOW = 5 * MINUTE


def claim(allowed: int, cost: int = 1, whose: str = "server", span: timedelta = WINDOW) -> Claim:
    return Claim(whose, Limit(allowed, "posts", span, Per.SERVER), span, cost)


def load(
    organisation: str, *claims: Claim, due: datetime = T0, post: str = "p", part: int = 1, known: bool = False
) -> Load:
    thread = f"{organisation}/{post}"
    return Load(f"{thread}/{part}", thread, organisation, due, due + timedelta(hours=2), claims, known)


def times(slots: Mapping[str, Slot]) -> Counter[timedelta]:
    return Counter(s.at - T0 for s in slots.values())


def test_what_fits_goes_at_its_time_and_the_rest_a_window_later() -> None:
    slots = spread([load(f"o{n}", claim(4)) for n in range(10)], Quotas())
    assert times(slots) == {0 * MINUTE: 4, 5 * MINUTE: 4, 10 * MINUTE: 2}
    assert {s.why is None for s in slots.values() if s.at == T0} == {True}


LOADS = st.lists(
    st.builds(
        load,
        st.sampled_from(["a", "b", "c", "d"]),
        st.builds(claim, st.just(6), st.integers(1, 6)),
        due=st.integers(0, 12).map(lambda n: T0 + n * MINUTE),
        post=st.integers(0, 99).map(str),
        known=st.booleans(),
    ),
    max_size=30,
    unique_by=lambda one: one.name,
)


@given(LOADS)
def test_no_window_ever_has_more_than_is_allowed(loads: Sequence[Load]) -> None:
    slots = spread(loads, Quotas())
    used = [(slots[one.name].at, one.claims[0].cost) for one in loads if not slots[one.name].late]
    for begin, _ in used:
        assert sum(cost for at, cost in used if begin <= at < begin + WINDOW) <= 6
    assert all(slots[one.name].at >= one.due for one in loads)


@given(LOADS, st.randoms())
def test_the_same_deliveries_in_any_order_give_the_same_plan(loads: Sequence[Load], chance: object) -> None:
    mixed = list(loads)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert spread(mixed, Quotas()) == spread(loads, Quotas())


def test_a_new_post_moves_nothing_that_was_planned_for_its_instant() -> None:
    queued = [load(f"o{n}", claim(4)) for n in range(10)]
    before = spread(queued, Quotas())
    known = [replace(one, known=True) for one in queued]
    new = [load(f"o{n}", claim(4), post="new") for n in range(3)]
    after = spread([*new, *known], Quotas())
    assert {name: after[name] for name in before} == before


def test_organisations_take_turns() -> None:
    """One with many posts does not push out one with a single post."""
    greedy = [load("big", claim(4), post=str(n)) for n in range(20)]
    small = [load(name, claim(4)) for name in ("a", "b", "c")]
    slots = spread([*greedy, *small], Quotas())
    assert [slots[one.name].at for one in small] == [T0] * 3


def test_it_is_not_always_the_same_organisation_that_waits() -> None:
    first = Counter[str]()
    for post in range(40):
        slots = spread([load(o, claim(1), post=str(post)) for o in ("a", "b")], Quotas())
        first.update(name[0] for name, slot in slots.items() if slot.at == T0)
    assert min(first["a"], first["b"]) >= 10


def test_the_parts_of_a_thread_stay_in_order() -> None:
    parts = [load("a", claim(2), part=n) for n in (1, 2, 3)]
    slots = spread([load("b", claim(2)), *parts], Quotas())
    placed = [slots[p.name].at for p in parts]
    assert placed == sorted(placed)


def test_what_others_have_used_already_counts() -> None:
    quotas = Quotas()
    quotas.take(T0 - 2 * MINUTE, [claim(4, 3)])
    slots = spread([load(f"o{n}", claim(4)) for n in range(2)], quotas)
    assert times(slots) == {0 * MINUTE: 1, 3 * MINUTE: 1}


def test_what_could_only_go_after_its_window_is_late_and_one_that_never_fits_too() -> None:
    short = [replace(load(f"o{n}", claim(1)), not_after=T0 + 9 * MINUTE) for n in range(3)]
    assert sorted(s.late for s in spread(short, Quotas()).values()) == [False, False, True]
    (never,) = spread([load("a", claim(2, 3))], Quotas()).values()
    assert never.late


def test_a_later_instant_is_not_put_into_a_blackout() -> None:
    shut = ((T0 + 4 * MINUTE, T0 + 8 * MINUTE),)
    slots = spread([replace(load(f"o{n}", claim(1)), closed=shut) for n in range(2)], Quotas())
    assert times(slots) == {0 * MINUTE: 1, 8 * MINUTE: 1}


def test_five_thousand_accounts_on_one_server_are_planned_in_moments() -> None:
    requests = Claim("s", Limit(3000, "requests", WINDOW, Per.SERVER, each=4), 6 * MINUTE, 4)
    slots = spread([load(f"o{n}", requests) for n in range(5000)], Quotas())
    assert times(slots)[0 * MINUTE] == 750
    assert max(times(slots)) == 36 * MINUTE
