"""Against a real Bluesky server: posts arrive exactly, and once, whatever happens to the reply."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from scheduler.domain.account import Account
from scheduler.domain.content import Content
from scheduler.domain.publisher import Http, Prepared, Receipt
from scheduler.errors import OutcomeUnknown, Rejected, Unauthorised
from scheduler.publishers.bluesky import Bluesky
from scheduler.transport.http import Transport
from tests.cutproxy import CutProxy, Fault

from .pds.server import Pds
from .samples import DUE, KEY, PICTURE, content, media, outgoing

pytestmark = pytest.mark.pds
SINCE = DUE - timedelta(minutes=1)


@dataclass
class Profile:
    """One account of the server, with its own publisher and transport."""

    pds: Pds
    transport: Transport
    account: Account
    did: str
    token: str
    bluesky: Bluesky

    def http(self, url: str = "") -> Http:
        return self.transport.http(url or self.account.server, self.token)

    def prepare(self, made: Content, **more: Receipt | None) -> Prepared:
        return self.bluesky.prepare(outgoing(made, **more), self.account, self.http())

    def publish(self, prepared: Prepared, key: str = KEY) -> Receipt:
        reply = self.http(prepared.account.server).send(self.bluesky.request(prepared, key))
        return self.bluesky.receipt(prepared, reply)

    def find(self, prepared: Prepared, key: str = KEY) -> Receipt | None:
        return self.bluesky.find(prepared, key, SINCE, self.http(prepared.account.server))


@pytest.fixture
def profile(pds: Pds, transport: Transport) -> Profile:
    handle, did, password = pds.signup()
    bluesky = Bluesky()
    account = Account("dorset", "bluesky", "bluesky", handle, pds.url, secret="env:DORSET")
    token = bluesky.open_session(account, password, transport.http(pds.url))
    return Profile(pds, transport, account, did, token, bluesky)


def test_a_post_with_links_tags_mentions_picture_and_alt_text_arrives_exactly(profile: Profile) -> None:
    other, other_did, _ = profile.pds.signup()
    text = f"Ydych chi’n poeni? 👨‍👩‍👧‍👦 https://www.stopitnow.org.uk/ — ask @{other} #Atal 💙"
    prepared = profile.prepare(content("bluesky", text, media=(media(),), language="cy"))
    receipt = profile.publish(prepared)
    (record,) = profile.pds.records(profile.did)
    value, raw = record["value"], text.encode()
    assert (record["uri"], record["cid"]) == (receipt.remote_id, receipt.extra["cid"])
    assert (value["text"], value["langs"], value["createdAt"]) == (text, ["cy"], "2027-03-09T07:00:00.000Z")
    marked = [raw[f["index"]["byteStart"] : f["index"]["byteEnd"]].decode() for f in value["facets"]]
    assert marked == ["https://www.stopitnow.org.uk/", f"@{other}", "#Atal"]
    assert value["facets"][1]["features"] == [{"$type": "app.bsky.richtext.facet#mention", "did": other_did}]
    (image,) = value["embed"]["images"]
    assert image["alt"] == media().alt
    assert image["aspectRatio"] == {"width": 32, "height": 18}
    stored = profile.pds.blob(profile.did, image["image"]["ref"]["$link"])
    assert hashlib.sha256(stored).hexdigest() == hashlib.sha256(PICTURE).hexdigest()
    assert receipt.url == f"https://bsky.app/profile/{profile.account.handle}/post/{record['uri'][-13:]}"


def test_the_same_delivery_published_twice_leaves_one_record(profile: Profile) -> None:
    prepared = profile.prepare(content("bluesky", media=(media(),)))
    again = profile.prepare(content("bluesky", media=(media(),)))
    assert profile.publish(prepared) == profile.publish(prepared) == profile.publish(again)
    assert len(profile.pds.records(profile.did)) == 1


def test_two_deliveries_of_one_wave_leave_two_records(profile: Profile) -> None:
    prepared = profile.prepare(content("bluesky"))
    assert profile.publish(prepared, "one") != profile.publish(prepared, "two")
    assert len(profile.pds.records(profile.did)) == 2


def test_a_post_is_found_after_it_was_published_and_not_before(profile: Profile) -> None:
    prepared = profile.prepare(content("bluesky"))
    assert profile.find(prepared) is None
    assert profile.publish(prepared) == profile.find(prepared)


def test_find_says_where_the_record_differs_from_what_was_approved(profile: Profile) -> None:
    prepared = profile.prepare(content("bluesky"))
    profile.publish(replace(prepared, content=content("bluesky", "other words")))
    found = profile.find(prepared)
    assert found is not None
    assert found.extra["differs"] == "the words of the record are not the approved ones"


@pytest.fixture
def cut(profile: Profile) -> Iterator[Callable[[Fault], Account]]:
    """The profile behind a proxy whose first connection fails."""
    proxies: list[CutProxy] = []

    def behind(fault: Fault) -> Account:
        port = urlsplit(profile.pds.url).port
        assert port
        proxies.append(CutProxy(("localhost", port), [fault]).__enter__())
        return replace(profile.account, server=proxies[-1].url)

    yield behind
    for proxy in proxies:
        proxy.__exit__()


@pytest.mark.parametrize(
    ("fault", "arrived"), [("cut", True), ("half", True), ("kill", True), ("drop", False), ("reset", False)]
)
def test_after_a_lost_reply_looking_and_sending_again_leave_one_record(
    profile: Profile, cut: Callable[[Fault], Account], fault: Fault, arrived: bool
) -> None:
    prepared = replace(profile.prepare(content("bluesky")), account=cut(fault))
    with pytest.raises(OutcomeUnknown):
        profile.publish(prepared)
    found = profile.find(prepared)
    assert (found is not None) == arrived
    assert profile.publish(prepared) == profile.find(prepared)
    assert len(profile.pds.records(profile.did)) == 1


def test_a_thread_refers_to_its_first_and_its_previous_post(profile: Profile) -> None:
    first = profile.publish(profile.prepare(content("bluesky", "1/3")), "1")
    second = profile.publish(profile.prepare(content("bluesky", "2/3"), parent=first, root=first), "2")
    profile.publish(profile.prepare(content("bluesky", "3/3"), parent=second, root=first), "3")
    last = next(r for r in profile.pds.records(profile.did) if r["value"]["text"] == "3/3")
    assert last["value"]["reply"]["root"]["uri"] == first.remote_id
    assert last["value"]["reply"]["parent"] == {"uri": second.remote_id, "cid": second.extra["cid"]}


def test_a_link_without_pictures_gets_a_card_titled_by_its_host(profile: Profile) -> None:
    link = "https://www.stopitnow.org.uk/help"
    profile.publish(profile.prepare(content("bluesky", "Ask for help.", link=link)))
    (record,) = profile.pds.records(profile.did)
    assert record["value"]["embed"]["external"] == {
        "uri": link,
        "title": "stopitnow.org.uk",
        "description": "",
    }


def test_300_graphemes_are_taken_and_what_we_refuse_the_server_refuses(profile: Profile) -> None:
    family = "👨‍👩‍👧‍👦"
    for text in ("ก" * 300, family * 120, "é" * 300):
        assert profile.bluesky.faults(content("bluesky", text)) == ()
        profile.publish(profile.prepare(content("bluesky", text)), text)
    fits = profile.prepare(content("bluesky"))
    for text in ("a" * 301, family * 121):
        assert profile.bluesky.faults(content("bluesky", text))
        with pytest.raises(Rejected):
            profile.publish(replace(fits, content=content("bluesky", text)))


def test_wrong_passwords_and_dead_tokens_are_a_matter_for_a_person(profile: Profile) -> None:
    with pytest.raises(Unauthorised):
        profile.bluesky.open_session(profile.account, "wrong", profile.http())
    prepared = profile.prepare(content("bluesky"))
    profile.token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA"
    with pytest.raises(Unauthorised):
        profile.publish(prepared)
    assert profile.pds.records(profile.did) == []
