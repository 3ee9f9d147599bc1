"""Verifying what is published against the log, and arming: what is not ready costs only itself."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from scheduler.domain.content import Media, sha256
from scheduler.errors import LogBroken, NotReady
from scheduler.services.arm import arm, stored, unstored
from scheduler.services.verify import verify

from .house import ACCOUNTS, LAUNCH, House, rendered


@pytest.fixture
def out(house: House) -> House:
    house.queue(rendered())
    house.approve_all()
    house.launch()
    return house


def sql(house: House, statement: str, **values: object) -> None:
    with house.db.write() as conn:
        conn.execute(text(statement), values)


def test_what_is_published_is_what_was_approved_and_the_log_says_so(out: House) -> None:
    assert (verify(out.db).entries, verify(out.db).published) == (len(out.entries()), 1)


def test_other_words_under_a_published_delivery_are_found(out: House) -> None:
    other = out.get().content.canonical().replace(b"words", b"swear")
    sql(out, "update deliveries set content = :c", c=other)
    with pytest.raises(LogBroken, match="are not those its hash was taken of"):
        verify(out.db)
    sql(out, "update deliveries set content = :c, content_sha256 = :h", c=other, h=sha256(other))
    with pytest.raises(LogBroken, match="no attempt with these words"):
        verify(out.db)


def test_a_delivery_called_published_of_which_the_log_knows_nothing_is_found(house: House) -> None:
    house.queue(rendered())
    sql(house, "update deliveries set state = 'published'")
    with pytest.raises(LogBroken, match="no attempt"):
        verify(house.db)


def test_what_was_prepared_is_stored_without_a_secret_and_reads_back(out: House) -> None:
    kept = out.column("prepared")
    assert stored(unstored(kept)) == kept
    assert json.loads(kept)["account"]["secret"] == "env:dorset"  # the reference, not what it names


def test_a_picture_that_is_not_the_approved_one_is_not_sent(house: House) -> None:
    picture = Media("media/a.png", sha256(b"poster"), "A poster", "image/png", 6, 1, 1)
    house.queue(rendered(media=[picture]), pictures={sha256(b"poster"): b"poster"})
    house.approve_all()
    assert len(house.arm()) == 1
    sql(house, "update media set body = :b", b=b"other!")
    assert house.arm() == {}


def test_one_publisher_that_breaks_costs_only_its_own_deliveries(house: House) -> None:
    house.queue(*(rendered(a.id) for a in ACCOUNTS))
    house.publishers["key"].not_ready = NotReady("media", "still processing")
    house.publishers["listing"].not_ready = ZeroDivisionError()  # type: ignore[assignment]  # a bug in a plug-in
    ready, refused = arm(house.db, house.reach, house.all(), LAUNCH.timestamp())
    assert {a.delivery.platform for a in ready} == {"record", "container", "write-only"}
    assert {(d.platform, e.code) for d, e in refused} == {("key", "media"), ("listing", "publisher")}
