"""A clock that is more than two seconds wrong refuses to arm, a person is told, and it is tried again."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from email.utils import formatdate

import pytest

from scheduler.domain.delivery import State
from scheduler.domain.publisher import Reply
from scheduler.domain.skew import Reading, skew
from scheduler.services.arming import Due, arm_wave
from scheduler.services.clocks import kept_right, read_clocks, reading
from scheduler.services.doctor import _clock
from scheduler.services.timing import LIVE
from scheduler.store.tables import NoticeRow, table_of
from scheduler.transport.http import Transport

from .house import LAUNCH, House, rendered

SERVER = "https://fake.example"
_notices = table_of(NoticeRow)


@pytest.fixture
def ready(house: House) -> House:
    house.queue(rendered(), rendered("wiltshire/record"))
    house.approve_all()
    house.hands.at = LAUNCH - LIVE.connecting(2)
    return house


def armed(house: House, *readings: Reading) -> int:
    def clocks(servers: Collection[str], deadline: float) -> Sequence[Reading]:
        assert set(servers) == {SERVER}
        return readings

    due = Due(tuple({d.fire_at for d in house.all()}))
    ready, _ = arm_wave(house.db, house.clock, LIVE, house.reach, house.approvers, due, clocks)
    return len(ready)


def told(house: House) -> list[tuple[str, str]]:
    with house.db.read() as conn:
        rows = conn.execute(_notices.select().where(_notices.c.state != "closed")).all()
    return sorted({(r.topic, r.about) for r in rows})


def test_a_wrong_clock_arms_nothing_and_a_person_is_told_and_it_is_tried_again(ready: House) -> None:
    assert armed(ready, Reading("a", 5, 6), Reading("b", 5, 6)) == 0
    one = ready.get()
    assert one.state is State.SCHEDULED
    assert one.reason == "not ready: clock: this machine's clock is about 6 s ahead of a, b"
    assert LAUNCH < one.fire_at < one.not_after
    assert told(ready) == [
        ("clock", ""),
        ("not_ready", "dorset/record/launch"),
        ("not_ready", "wiltshire/record/launch"),
    ]
    ready.hands.at = one.fire_at - LIVE.connecting(2)
    assert armed(ready, Reading("a", -0.5, 0.6), Reading("b", -0.5, 0.6)) == 2
    assert ("clock", "") not in told(ready)


def test_one_server_that_lies_stops_nobody(ready: House) -> None:
    assert armed(ready, Reading(SERVER, 3600, 3601), Reading("b", -0.5, 0.6)) == 2
    assert told(ready) == []


@pytest.mark.parametrize(("server", "left"), [(SERVER, 0), ("https://other.example", 2)])
def test_the_only_server_stops_its_own_deliveries(ready: House, server: str, left: int) -> None:
    assert armed(ready, Reading(server, 3600, 3601)) == left


# Measuring


@contextmanager
def serving(ahead: float, date: str | None = None) -> Iterator[str]:
    """A server whose clock is `ahead` of ours by so many seconds."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert "Authorization" not in self.headers
            self.send_response_only(404)
            self.send_header(
                "Date", date if date is not None else formatdate(time.time() + ahead, usegmt=True)
            )
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def transport() -> Iterator[Transport]:
    made = Transport()
    yield made
    made.close()


def test_servers_are_asked_for_the_time_over_http(transport: Transport) -> None:
    with serving(0) as right, serving(-30) as behind, serving(0, "yesterday, or so") as odd:
        found = read_clocks(transport, time.time, [right, behind, odd, "http://127.0.0.1:1"], float("inf"))
    by_server = {r.server: r for r in found}
    assert by_server.keys() == {right, behind}
    assert by_server[right].low <= 0 <= by_server[right].high
    assert by_server[behind].low <= 30 <= by_server[behind].high
    assert skew(found) is None


def test_two_servers_that_are_ahead_by_a_minute_say_that_we_are_behind(transport: Transport) -> None:
    with serving(60) as one, serving(60) as other:
        wrong = skew(read_clocks(transport, time.time, [one, other], float("inf")))
    assert wrong
    assert wrong.everyone
    assert wrong.seconds < -55


@pytest.mark.parametrize("date", ["", "Tue", "Tue, 99 Foo 2027 07:00:00 GMT", "\x00", "9" * 400])
def test_a_date_that_cannot_be_read_says_nothing(date: str) -> None:
    assert reading("a", Reply(200, {"date": date}, b""), 0.0, 1.0) is None


def test_a_slow_reply_says_less_but_nothing_untrue() -> None:
    date = {"date": formatdate(1_000_000, usegmt=True)}
    assert reading("a", Reply(200, date, b""), 1_000_000.2, 1_000_009.2) == Reading(
        "a", pytest.approx(-0.8), pytest.approx(9.2)
    )


def test_the_kernel_may_be_asked_whether_the_clock_is_kept_right() -> None:
    said = kept_right()
    assert said is None or (isinstance(said[0], bool) and said[1] >= 0)


def test_doctor_says_the_measured_offset() -> None:
    assert (
        "2 servers say it is between -0.6 and +0.5 s ahead"
        in _clock([Reading("a", -0.6, 0.5), Reading("b", -0.5, 0.5)]).said
    )
    wrong = _clock([Reading("a", 5, 6), Reading("b", 5, 6)])
    assert (wrong.level, wrong.fix) == ("bad", "timedatectl set-ntp true")
    assert "about 6 s ahead of a, b" in wrong.said
