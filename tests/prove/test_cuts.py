"""What the gate has let through is on the disk: a power cut at any moment loses no intent."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from .cuts import CONTROLS, SETTINGS, Bench, Setting
from .disk import Disk, Inode

SEED = 20270309


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = Bench(request.param, SEED)
    yield made
    made.close()


@pytest.mark.parametrize("bench", SETTINGS, ids=lambda s: s.name, indirect=True)
def test_no_power_cut_loses_an_intent_or_half_an_outcome(bench: Bench) -> None:
    for _ in range(40):
        assert bench.cut() == {"cuts": 1}


@pytest.mark.parametrize("bench", CONTROLS, ids=lambda s: s.name, indirect=True)
def test_with_weaker_settings_power_cuts_lose_intents(bench: Bench) -> None:
    assert any(bench.cut()["lost"] for _ in range(100))


def test_a_control_that_weakens_nothing_is_refused() -> None:
    with pytest.raises(RuntimeError, match="weakened nothing"):
        Bench(Setting("none", (3, 40, 1), {"PRAGMA synchronous=WRONG": "PRAGMA synchronous=OFF"}), SEED)


# The disk itself


def cuts(inode: Inode, how: str) -> set[bytes]:
    return {inode.after_cut(random.Random(n), how) for n in range(200)}


def test_what_was_synchronised_is_there_and_what_was_not_may_be_lost_kept_or_torn() -> None:
    one = Inode()
    one.write(0, b"a" * 1024)
    one.sync()
    one.write(0, b"b" * 1024)
    old, new = b"a" * 512, b"b" * 512
    assert cuts(one, "nothing") == {old + old}
    assert cuts(one, "all") == {new + new}
    assert cuts(one, "any") == {old + old, old + new, new + old, new + new}


def test_later_writes_may_overtake_earlier_ones_but_not_where_they_are_kept_in_order() -> None:
    one = Inode(b"a" * 1024, bytearray(b"a" * 1024))
    one.write(0, b"b" * 512)
    one.write(512, b"b" * 512)
    overtaken = b"a" * 512 + b"b" * 512
    assert overtaken in cuts(one, "any")
    assert overtaken not in cuts(one, "ordered")


def test_bytes_beside_a_torn_write_stay_as_they_were() -> None:
    one = Inode(b"a" * 512, bytearray(b"a" * 512))
    one.write(100, b"b" * 10)
    assert cuts(one, "any") == {b"a" * 512, b"a" * 100 + b"b" * 10 + b"a" * 402}


def test_a_deletion_is_certain_only_after_the_folder_was_synchronised() -> None:
    for synchronised, found in ((False, {True, False}), (True, {False})):
        disk = Disk({"journal": b"x"})
        disk.xDelete("journal", synchronised)
        assert {"journal" in disk.after_cut(random.Random(n)) for n in range(50)} == found
        disk.unregister()
