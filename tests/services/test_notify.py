"""Notices reach named persons: gathered, tried again, escalated, acknowledged; never a storm."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scheduler.domain.account import Directory
from scheduler.domain.message import Message
from scheduler.domain.notify import Apprise, Away, Mail, Notify, Step, Webhook
from scheduler.domain.recipients import recipients
from scheduler.errors import SecretError, UsageError
from scheduler.services import notify
from scheduler.services.channels import Teller, ways
from scheduler.services.tell import tell
from scheduler.services.windows import close_windows
from scheduler.store import notices
from scheduler.transport.http import Transport
from tests.mailbox import Mailbox

from .house import DIRECTORY, LAUNCH, House, actor, rendered

STEPS = (Step(timedelta(minutes=10), ("bea",)), Step(timedelta(hours=1)))


def refuse(reference: str) -> str:
    raise SecretError(f"no secret {reference} here")


class Desk:
    """A house whose people are told by e-mail, through a real server on loopback."""

    def __init__(self, house: House, box: Mailbox) -> None:
        self.house, self.box = house, box
        people = {
            slug: replace(person, email=f"{slug}@{person.organisation}.example")
            for slug, person in DIRECTORY.people.items()
        }
        organisations = {
            slug: replace(one, duty=("bob",) if slug == "dorset" else ())
            for slug, one in DIRECTORY.organisations.items()
        }
        mail = Mail("127.0.0.1", box.port, "none", "launchday@swrocu.example")
        self.directory = replace(
            DIRECTORY,
            people=people,
            organisations=organisations,
            notify=Notify(mail, keepers=("dan",), steps=STEPS),
        )
        self.transport = Transport()

    def round(self, after: timedelta = timedelta(0)) -> list[Message]:
        """One round of telling, `after` a while; the messages that were tried."""
        self.house.hands.at += after
        wanted = notify.tasks(self.house.db, self.house.clock, self.directory)
        made = Teller(self.directory, self.transport, refuse)
        outcomes = made.tell([(t.message, t.reached) for t in wanted])
        notify.record(self.house.db, self.house.clock, list(zip(wanted, outcomes, strict=True)))
        return [t.message for t in wanted]

    def rows(self, *states: str) -> list[Any]:
        with self.house.db.read() as conn:
            return notices.find(conn, states=states or ("waiting", "told", "acknowledged", "closed"))

    def fail(self, *names: str) -> None:
        """Deliveries that are missed, all of one wave."""
        self.house.queue(*[rendered(name) for name in names])
        self.house.hands.at = LAUNCH + timedelta(hours=1)
        close_windows(self.house.db, self.house.clock)

    @property
    def letters(self) -> list[tuple[str, str]]:
        """(to whom, subject) of every letter that arrived."""
        return sorted((k.to, k.letter["Subject"]) for k in self.box.kept)


GATHERED = notices.GATHER + timedelta(seconds=1)


@pytest.fixture
def desk(house: House) -> Iterator[Desk]:
    box = Mailbox()
    made = Desk(house, box)
    yield made
    box.stop()
    made.transport.close()


def test_a_missed_delivery_is_told_to_the_duty_person_by_name_and_logged(desk: Desk) -> None:
    desk.fail("dorset/record")
    desk.round(GATHERED)
    assert desk.letters == [
        ("bob@dorset.example", "SIMULATION [Launchday] missed · dorset/record/launch · Dorset")
    ]
    (row,) = desk.rows()
    assert row.state == "told"
    assert [line[1:] for line in json.loads(row.told)] == [["e-mail", "bob", "accepted"]]
    (entry,) = desk.house.entries("notice.told")
    assert (entry.body["to"], entry.body["by"]) == (["bob"], ["e-mail"])
    assert "@dorset.example" not in json.dumps(entry.body)
    assert desk.house.verify()


def test_the_letter_says_what_happened_why_and_what_to_do(desk: Desk) -> None:
    desk.fail("dorset/record")
    desk.round(GATHERED)
    text = desk.box.kept[0].letter.get_content()
    assert "SIMULATION. No real account is concerned." in text
    assert "dorset/record/launch was missed and is certainly not out: " in text
    assert f"launchday ack {desk.rows()[0].message}" in text
    assert "launchday move WAVE --to LATER" in text
    assert "more people are told Tue 9 Mar 2027 08:10 GMT" in text


def test_a_wave_that_fails_is_one_letter_for_each_who_is_told_and_each_notice_stands(
    desk: Desk,
) -> None:
    desk.fail("dorset/record", "dorset/key", "dorset/listing", "wiltshire/record", "wiltshire/key")
    desk.round(GATHERED)
    assert desk.letters == [
        ("bob@dorset.example", "SIMULATION [Launchday] 3 × missed · Dorset"),
        ("wil@wiltshire.example", "SIMULATION [Launchday] 2 × missed · Wiltshire"),
    ]
    assert len(desk.rows("told")) == 5
    assert len(desk.house.entries("notice")) == 2


def test_organisations_whose_people_are_the_same_share_one_letter(desk: Desk) -> None:
    shared = {s: replace(o, duty=("bob",)) for s, o in desk.directory.organisations.items()}
    desk.directory = replace(desk.directory, organisations=shared)
    desk.fail("dorset/record", "wiltshire/record")
    desk.round(GATHERED)
    assert desk.letters == [("bob@dorset.example", "SIMULATION [Launchday] 2 × missed · Dorset, Wiltshire")]


def test_nothing_is_told_before_others_of_its_kind_had_time_to_join(desk: Desk) -> None:
    desk.fail("dorset/record")
    assert desk.round(timedelta(seconds=1)) == []
    assert len(desk.round(GATHERED)) == 1
    assert desk.round(timedelta(minutes=5)) == []
    assert len(desk.letters) == 1


def test_a_server_that_refuses_is_asked_again_with_growing_pauses(
    desk: Desk,
) -> None:
    desk.box.fault = "refused"
    desk.directory = replace(desk.directory, notify=replace(desk.directory.notify, steps=()))
    desk.fail("dorset/record")
    desk.round(GATHERED)
    tries = [1]
    for _ in range(300):
        tries.append(len(desk.round(timedelta(seconds=15))))
    rounds = [number for number, tried in enumerate(tries) if tried]
    gaps = [b - a for a, b in pairwise(rounds)]
    assert gaps == [2, 4, 8, 20, 60]  # times fifteen seconds: 30 s, 1, 2, 5 and 15 minutes, then an hour
    assert [r.state for r in desk.rows()] == ["waiting"]
    desk.box.fault = "ok"
    desk.round(timedelta(hours=1))
    assert [r.state for r in desk.rows()] == ["told"]


def test_a_lost_acknowledgement_tells_twice_under_one_message_id(
    desk: Desk,
) -> None:
    desk.box.fault = "lost"
    desk.fail("dorset/record")
    desk.round(GATHERED)
    desk.box.fault = "ok"
    desk.round(timedelta(minutes=1))
    first, second = desk.box.kept
    assert first.letter["Message-ID"] == second.letter["Message-ID"]
    assert desk.round(timedelta(minutes=1)) == []


def test_a_process_that_dies_while_telling_tells_again_after_the_pause_under_the_same_key(desk: Desk) -> None:
    desk.fail("dorset/record")
    desk.house.hands.at += GATHERED
    (died,) = notify.tasks(desk.house.db, desk.house.clock, desk.directory)
    assert desk.round(timedelta(seconds=5)) == []  # no storm where it dies each time
    (again,) = desk.round(timedelta(minutes=1))
    assert again.key == died.message.key


def test_who_was_reached_is_not_told_again_because_another_channel_fails(desk: Desk) -> None:
    hook = Webhook("https://127.0.0.1:1/hook", private=True)
    desk.directory = replace(desk.directory, notify=replace(desk.directory.notify, webhooks=(hook,)))
    desk.fail("dorset/record")
    desk.round(GATHERED)
    desk.round(timedelta(minutes=1))
    assert len(desk.letters) == 1
    (row,) = desk.rows()
    assert row.state == "told"
    lines = [line[1:] for line in json.loads(row.told)]
    assert [line for line in lines if line[0] == "e-mail"] == [["e-mail", "bob", "accepted"]]
    assert [line[2].partition(":")[0] for line in lines if line[0] != "e-mail"] == ["connect_refused"] * 2


def test_what_nobody_acknowledges_is_told_again_and_to_more_people(desk: Desk) -> None:
    desk.fail("dorset/record")
    desk.round(GATHERED)
    desk.box.kept.clear()
    desk.round(timedelta(minutes=10))
    still = "SIMULATION [Launchday] STILL NOT ACKNOWLEDGED: missed · dorset/record/launch · Dorset"
    assert desk.letters == [("bea@dorset.example", still), ("bob@dorset.example", still)]
    desk.box.kept.clear()
    desk.round(timedelta(hours=1))
    assert [to for to, _ in desk.letters] == [
        "bea@dorset.example",
        "bob@dorset.example",
        "dan@dorset.example",
    ]
    desk.box.kept.clear()
    for _ in range(5):
        desk.round(timedelta(hours=8))
    assert desk.letters == []
    assert [e.body["level"] for e in desk.house.entries("notice.escalated")] == [1, 2]


def test_an_escalation_has_a_key_of_its_own(desk: Desk) -> None:
    desk.fail("dorset/record")
    keys = [*desk.round(GATHERED), *desk.round(timedelta(minutes=10))]
    assert [m.key for m in keys] == [f"{keys[0].id}.0", f"{keys[0].id}.1"]


@pytest.mark.parametrize("named", ["id", "message", "about"])
def test_who_acknowledges_stops_the_escalation(desk: Desk, named: str) -> None:
    desk.fail("dorset/record")
    desk.round(GATHERED)
    name = getattr(desk.rows()[0], named)
    notify.acknowledge(desk.house.db, desk.house.clock, actor("bob"), [name], "I am on it")
    desk.box.kept.clear()
    assert desk.round(timedelta(hours=3)) == []
    (row,) = desk.rows()
    assert (row.state, row.acknowledged_by) == ("acknowledged", "bob")
    (entry,) = desk.house.entries("notice.acknowledged")
    assert (entry.body["actor"]["id"], entry.reason_text) == ("bob", "I am on it")


def test_acknowledging_nothing_of_that_name_changes_nothing(desk: Desk) -> None:
    desk.fail("dorset/record")
    with pytest.raises(UsageError, match="no open notice"):
        notify.acknowledge(desk.house.db, desk.house.clock, actor("bob"), ["dorset/record/launch", "x"])
    assert [r.state for r in desk.rows()] == ["waiting"]


def test_an_acknowledgement_while_the_letter_is_on_its_way_stays(desk: Desk) -> None:
    desk.fail("dorset/record")
    desk.house.hands.at += GATHERED
    wanted = notify.tasks(desk.house.db, desk.house.clock, desk.directory)
    notify.acknowledge(desk.house.db, desk.house.clock, actor("bob"), [], every=True)
    notify.record(desk.house.db, desk.house.clock, [(t, {("e-mail", "bob"): "accepted"}) for t in wanted])
    assert [r.state for r in desk.rows()] == ["acknowledged"]


def test_what_needs_no_person_is_told_once_and_closed(desk: Desk) -> None:
    with desk.house.db.write() as conn:
        tell(
            conn,
            desk.house.clock.now(),
            "upgraded",
            "",
            "The database was brought up to date.",
            severity="info",
        )
    desk.round(GATHERED)
    assert [r.state for r in desk.rows()] == ["closed"]
    assert desk.letters == [("dan@dorset.example", "SIMULATION [Launchday] upgraded")]
    assert "ack" not in desk.box.kept[0].letter.get_content()


def test_where_no_channel_leads_to_anybody_it_is_written_down_and_tried_again(desk: Desk) -> None:
    desk.directory = replace(desk.directory, people=DIRECTORY.people)
    desk.fail("dorset/record")
    desk.round(GATHERED)
    (row,) = desk.rows()
    assert row.state == "waiting"
    assert json.loads(row.told)[0][3] == "nobody could be told: no channel leads to anybody"
    assert len(desk.round(timedelta(minutes=1))) == 1


def test_a_secret_that_cannot_be_read_costs_only_its_channel(desk: Desk) -> None:
    desk.directory = replace(
        desk.directory,
        notify=replace(
            desk.directory.notify, webhooks=(Webhook("https://127.0.0.1:1", "env:NONE", private=True),)
        ),
    )
    desk.fail("dorset/record")
    desk.round(GATHERED)
    assert len(desk.letters) == 1
    assert ["webhook 1 127.0.0.1", "", "no secret env:NONE here"] in [
        line[1:] for line in json.loads(desk.rows()[0].told)
    ]


# Who, and whether for real


def slugs(directory: Directory, organisation: str, level: int = 0) -> Sequence[str]:
    return [p.slug for p in recipients(directory, organisation, level, LAUNCH)]


def test_the_duty_people_are_told_first_then_approvers_then_who_looks_after_the_machine() -> None:
    assert slugs(DIRECTORY, "dorset") == ["bob", "bea", "dan"]
    on_duty = {
        s: replace(p, roles=p.roles | {"duty"}) for s, p in DIRECTORY.people.items() if s in ("bea", "wil")
    }
    with_role = replace(DIRECTORY, people={**DIRECTORY.people, **on_duty})
    assert slugs(with_role, "dorset") == ["bea"]
    assert slugs(with_role, "") == ["bea", "wil"]
    assert slugs(DIRECTORY, "") == ["bob", "bea", "dan", "wil", "cat"]
    assert slugs(replace(DIRECTORY, notify=Notify(keepers=("ann",))), "") == ["ann"]
    assert slugs(DIRECTORY, "an organisation that was taken out") == ["bob", "bea", "dan", "wil", "cat"]


def test_a_deputy_stands_in_from_the_beginning_of_an_absence_to_its_end() -> None:
    def told(start: timedelta, end: timedelta) -> Sequence[str]:
        away = Away(LAUNCH + start, LAUNCH + end, "dan")
        people = {**DIRECTORY.people, "wil": replace(DIRECTORY.people["wil"], away=away)}
        return slugs(replace(DIRECTORY, people=people), "wiltshire")

    hour = timedelta(hours=1)
    assert told(-hour, hour) == ["dan"]
    assert told(timedelta(0), hour) == ["dan"]
    assert told(-hour, timedelta(0)) == ["wil"]


def test_a_simulation_tells_nobody_outside_this_machine_unless_an_address_is_for_that() -> None:
    people = {s: replace(p, email=f"{s}@x.example", apprise="env:PHONE") for s, p in DIRECTORY.people.items()}
    mail = Mail("mail.example", 587, "starttls", "l@x.example")
    channels = Notify(mail, (Webhook("https://alerts.example/hook"),), (Apprise("env:A"),))
    directory = replace(DIRECTORY, people=people, notify=channels)
    base = Message("id", "failed", "now", ("dorset",), ("Dorset",), (people["bob"],), (), LAUNCH)

    def real(mode: str, given: Directory = directory) -> list[bool]:
        return [w.real for w in ways(given, replace(base, mode=mode))]

    assert real("simulation") == real("rehearsal") == [False] * 4
    assert real("live") == [True] * 4
    test = replace(directory, notify=replace(channels, mail=replace(mail, simulation=True)))
    assert real("simulation", test) == [True, False, False, False]


def test_what_a_simulation_would_have_told_is_written_down(desk: Desk) -> None:
    away = replace(desk.directory.notify, mail=Mail("mail.example", 587, "starttls", "l@x.example"))
    desk.directory = replace(desk.directory, notify=away)
    desk.fail("dorset/record")
    desk.round(GATHERED)
    (row,) = desk.rows()
    assert (row.state, json.loads(row.told)[0][1:]) == ("told", ["e-mail", "bob", "simulated"])
    (entry,) = desk.house.entries("notice.told")
    assert entry.body["simulated"] is True


def test_a_webhook_for_one_organisation_hears_of_no_other() -> None:
    hooks = (Webhook("https://a.example", organisations=("wiltshire",)), Webhook("https://b.example"))
    directory = replace(DIRECTORY, notify=Notify(webhooks=hooks))
    about = Message("id", "failed", "now", ("dorset",), ("Dorset",), (), (), LAUNCH)
    assert [w.channel for w in ways(directory, about)] == ["webhook 2 b.example"]
    assert [w.channel for w in ways(directory, replace(about, organisations=()))] == ["webhook 2 b.example"]


def test_what_is_said_cannot_become_a_header_or_hide_in_the_text(tmp_path: Path) -> None:
    told = notify.Told("n", "dorset/x\r\nBcc: all@x.example", "first\r\n\x1b[2Jsecond\u202e")
    message = Message("id", "failed", "now", ("dorset",), ("Dorset\nPolice",), (), (told,), LAUNCH)
    assert "\n" not in message.subject
    assert "\x1b" not in message.text
    assert "\u202e" not in message.text
    assert "- first [2Jsecond" in message.text


def test_a_long_list_is_cut_and_counted() -> None:
    many = [notify.Told(str(n), f"d{n}", f"said {n}") for n in range(300)]
    message = Message("id", "failed", "now", ("dorset",), ("Dorset",), (), many, LAUNCH)
    assert "and 260 more: launchday notices" in message.text
    assert len(json.loads(message.document())["notices"]) == 40
