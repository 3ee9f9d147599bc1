"""What a platform will have forgotten by T0 is never sent stale; media that is never ready costs itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from scheduler.domain.account import Account
from scheduler.domain.delivery import State
from scheduler.domain.publisher import Http, Outgoing, Prepared
from scheduler.errors import NotReady
from scheduler.services.arming import Due, arm_wave
from scheduler.services.put_off import put_off
from scheduler.services.reach import Reach
from scheduler.services.timing import LIVE
from scheduler.services.windows import close_windows

from .house import LAUNCH, House, rendered
from .platform import Fake


@dataclass
class Forgetful(Fake):
    """What is uploaded to it is kept until then only."""

    until: datetime | None = None

    def prepare(self, outgoing: Outgoing, account: Account, http: Http) -> Prepared:
        return replace(super().prepare(outgoing, account, http), expires_at=self.until)


@pytest.fixture
def ready(house: House) -> House:
    house.queue(rendered(), rendered("dorset/key"))
    house.approve_all()
    house.hands.at = LAUNCH - LIVE.connecting(2)
    usual = house.publishers["record"]
    house.publishers["record"] = Forgetful(usual.platform, usual.capability, house.world)
    house.reach = Reach(dict(house.publishers), house.transport, lambda a: a, lambda a: "secret")
    return house


def armed(house: House) -> list[str]:
    due = Due(tuple({d.fire_at for d in house.all()}))
    ready, _ = arm_wave(house.db, house.clock, LIVE, house.reach, house.approvers, due)
    return sorted(a.delivery.account for a in ready)


@pytest.mark.parametrize(
    ("until", "goes"),
    [
        (None, True),
        (LAUNCH + timedelta(minutes=2), True),
        (LAUNCH + timedelta(seconds=5), False),  # a moment's delay, and it would be gone
        (LAUNCH - timedelta(hours=1), False),
    ],
)
def test_handles_that_expire_are_honoured(ready: House, until: datetime | None, goes: bool) -> None:
    ready.publishers["record"].until = until  # type: ignore[attr-defined]
    assert armed(ready) == (["dorset/key", "dorset/record"] if goes else ["dorset/key"])
    if not goes:
        assert ready.get().reason.startswith("not ready: expires: ")
        assert LAUNCH < ready.get().fire_at < ready.get().not_after


def test_they_are_made_anew_for_the_next_try(ready: House) -> None:
    ready.publishers["record"].until = LAUNCH  # type: ignore[attr-defined]
    assert "dorset/record" not in armed(ready)
    ready.publishers["record"].until = LAUNCH + timedelta(hours=1)  # type: ignore[attr-defined]
    ready.hands.at = ready.get().fire_at - LIVE.connecting(2)
    assert "dorset/record" in armed(ready)


def test_a_picture_that_is_never_ready_is_tried_until_its_window_closes_and_then_missed_with_that_reason(
    ready: House,
) -> None:
    stuck = NotReady("media_processing", "still processing p.png")
    ready.publishers["record"].not_ready = stuck
    ready.launch()
    assert ready.get("dorset/key/launch").state is State.PUBLISHED
    tries = 0
    while ready.get().state is State.SCHEDULED:
        ready.hands.at = max(ready.hands.at, ready.get().fire_at)
        put_off(ready.db, ready.clock, [(ready.get(), stuck)], ready.hands.at + timedelta(seconds=60))
        close_windows(ready.db, ready.clock)
        tries += 1
    assert tries == 11  # one a minute until its window closed
    assert ready.get().state is State.MISSED
    assert "media_processing: still processing p.png" in ready.get().reason
