"""doctor says whether people can be told, and what lies unanswered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.domain.account import Directory
from scheduler.domain.notify import Mail, Notify, Webhook
from scheduler.errors import SecretError
from scheduler.services.doctor import telling
from scheduler.services.tell import tell

from .house import DIRECTORY, LAUNCH, House

ALL, ONE = Webhook("https://a.example"), Webhook("https://a.example", organisations=("dorset",))
MAIL = Notify(Mail("mail.example", 587, "starttls", "l@x.example", "l", "cred:smtp"))


def said(house: House, directory: Directory, *, live: bool = False) -> list[tuple[str, str, str]]:
    def read(reference: str) -> str:
        raise SecretError(f"{reference} is not there")

    return [(f.level, f.what, f.said) for f in telling(house.db, directory, LAUNCH, read, live=live)]


def test_without_a_channel_it_says_that_nobody_could_be_told(house: House) -> None:
    assert said(house, DIRECTORY) == [("warn", "notify", "nobody could be told: no channel is set")]


def test_open_notices_are_counted(house: House) -> None:
    with house.db.write() as conn:
        tell(conn, LAUNCH, "held", "dorset/x", "Its token was refused.")
    assert ("warn", "notices", "1 open, 1 of them not told yet") in said(house, DIRECTORY)


@pytest.mark.parametrize(
    ("with_email", "hooks", "expected"),
    [
        ((), (), ("warn", "notify", "nobody can be told for dorset, wiltshire, charity")),
        (("bob", "wil"), (), ("warn", "notify", "nobody can be told for charity")),
        ((), (ALL,), ("ok", "notify", "every organisation has somebody who can be told")),
        ((), (ONE,), ("warn", "notify", "nobody can be told for wiltshire, charity")),
    ],
)  # fmt: skip
def test_an_organisation_whose_people_no_channel_reaches_is_named(
    house: House, with_email: tuple[str, ...], hooks: tuple[Webhook, ...], expected: tuple[str, str, str]
) -> None:
    people = {
        s: replace(p, email="a@x.example" if s in with_email else "") for s, p in DIRECTORY.people.items()
    }
    assert said(house, replace(DIRECTORY, people=people, notify=replace(MAIL, webhooks=hooks))) == [expected]


def test_a_channels_secret_that_cannot_be_read_is_bad_where_it_is_live(house: House) -> None:
    directory = replace(DIRECTORY, notify=MAIL)
    assert ("bad", "notify", "cred:smtp is not there") in said(house, directory, live=True)
    assert all(level != "bad" for level, _, _ in said(house, directory))
