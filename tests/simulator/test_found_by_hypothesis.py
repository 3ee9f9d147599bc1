"""Days whose every choice is hypothesis' own: one that fails shrinks to a short story."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .day import Day, Store
from .mix import HOSTILE


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    made = Store()
    yield made
    made.close()


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(dice=st.randoms(note_method_calls=False, use_true_random=False))
def test_whatever_is_chosen_no_promise_is_broken(store: Store, dice: random.Random) -> None:
    lines: list[str] = []
    day = Day(store, dice, HOSTILE, lines.append).run()
    assert not day.violations, "\n".join([*lines, *day.violations])
