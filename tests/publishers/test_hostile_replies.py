"""What a reply does not prove is not believed: other posts' ids, lists that cannot be read, absurd times."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.publisher import Prepared, Publisher, Receipt, Reply, Request
from scheduler.errors import CannotTell, OutcomeUnknown, PublishError
from scheduler.publishers import replies
from scheduler.publishers.registry import load
from scheduler.transport.reply import ReplyReader

from .samples import DUE, KEY, account, content, reply

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
PLATFORMS = ("bluesky", "facebook", "mastodon", "x")
HANDLES: dict[str, dict[str, Any]] = {
    "bluesky": {"did": DID, "due": "2027-03-09T07:00:00.000Z", "mentions": {}, "blobs": []},
    "facebook": {"page": "1234567890", "photos": []},
    "mastodon": {"user": "7", "media": []},
    "x": {"user": "7", "media": []},
}


def prepared(platform: str) -> Prepared:
    return Prepared(content(platform, "Hello."), account(platform, "http://127.0.0.1:9"), HANDLES[platform])


def publisher(platform: str) -> Publisher:
    return load([platform])[platform]


class Says:
    """An `Http` that gives one answer to everything."""

    def __init__(self, status: int, body: Any) -> None:
        self.reply = reply(status, json.dumps(body).encode())

    def send(self, request: Request, *, authorise: bool = True) -> Reply:
        return self.reply

    def wait(self, seconds: float) -> None:
        raise AssertionError("nothing waits here")


@pytest.mark.parametrize(
    ("platform", "body"),
    [
        ("bluesky", {"uri": "at://did:plc:another/app.bsky.feed.post/3", "cid": "c"}),
        ("bluesky", {"uri": f"at://{DID}/app.bsky.graph.follow/3", "cid": "c"}),
        ("facebook", {"id": "999_1"}),
        ("facebook", {"id": "1234567890_1", "error": {"code": 1}}),
        ("facebook", {"id": "javascript:alert(1)"}),
        ("mastodon", {"id": "1", "error": "no"}),
        ("mastodon", {"id": "1\u001b[2J"}),
        ("mastodon", {"id": "\ud800"}),
        ("mastodon", {"id": "9" * 5000}),
        ("x", {"data": {"id": "../../1"}}),
    ],
)
def test_a_success_that_names_no_post_of_this_account_is_unknown(platform: str, body: Any) -> None:
    with pytest.raises(OutcomeUnknown):
        publisher(platform).receipt(prepared(platform), reply(200, json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("platform", "body"),
    [
        ("x", {"data": None, "errors": [{"title": "no"}]}),
        ("x", {"meta": {}}),
        ("x", {"data": [1, 2]}),
        ("x", {"data": [{"text": "Hello."}]}),
        ("x", {"data": [{"id": "1", "text": "Other."}], "errors": [{"title": "partly"}]}),
        ("facebook", {"data": [], "error": {"code": 1}}),
        ("facebook", {"data": ["1"]}),
        ("mastodon", [None]),
        ("mastodon", [{"content": "<p>Hello.</p>"}]),
        ("bluesky", {"uri": f"at://{DID}/app.bsky.feed.post/another", "cid": "c", "value": {}}),
    ],
)
def test_a_list_that_cannot_be_read_whole_does_not_say_that_a_post_is_absent(
    platform: str, body: Any
) -> None:
    with pytest.raises(CannotTell):
        publisher(platform).find(prepared(platform), KEY, DUE, Says(200, body))


def test_what_x_says_of_an_empty_list_is_believed() -> None:
    nothing = Says(200, {"meta": {"result_count": 0}})
    assert publisher("x").find(prepared("x"), KEY, DUE, nothing) is None


@pytest.mark.parametrize(
    "when", ["-1", "1e308", "NaN", "9" * 40, "Fri, 31 Dec 9999 23:59:59 GMT", "\xff", ""]
)
def test_an_absurd_time_to_come_back_can_still_be_added_to(when: str) -> None:
    at = replies.after(reply(429, b"", retry_after=when))
    assert at is None or at + timedelta(days=3650) < datetime(2100, 1, 1, tzinfo=UTC)
    said = replies.said_at(reply(200, b"", date=when))
    assert said + timedelta(days=3650)


def _framed(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


NAMES = st.sampled_from(("id", "data", "uri", "cid", "error", "errors", "code", "message"))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner)),
    max_leaves=8,
)
RAW = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=200).map(_framed),
    VALUES.map(lambda value: _framed(json.dumps(value).encode())),
    VALUES.map(lambda value: b"HTTP/1.1 422 No\r\n\r\n" + json.dumps(value).encode()),
)


@pytest.mark.parametrize("platform", PLATFORMS)
@settings(max_examples=150, deadline=None)
@given(raw=RAW)
def test_random_bytes_are_never_more_than_a_publishers_word(platform: str, raw: bytes) -> None:
    reader = ReplyReader("POST")
    try:
        if raw:
            reader.feed(raw)
        if reader.reply is None:
            reader.end()
        assert reader.reply is not None
        found = publisher(platform).receipt(prepared(platform), reader.reply)
    except PublishError:
        return
    assert isinstance(found, Receipt)
    assert found.remote_id.isprintable()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_reply_cut_at_any_byte_is_unknown(platform: str) -> None:
    good: dict[str, Any] = {
        "bluesky": {"uri": f"at://{DID}/app.bsky.feed.post/3", "cid": "c"},
        "facebook": {"id": "1234567890_1"},
        "mastodon": {"id": "1", "content": "<p>Hello.</p>"},
        "x": {"data": {"id": "1", "text": "Hello."}},
    }
    body = json.dumps(good[platform]).encode()
    whole = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    for at in range(1, len(whole)):
        reader = ReplyReader("POST")
        reader.feed(whole[:at])
        assert reader.reply is None
        with pytest.raises(OutcomeUnknown):
            reader.end()
    reader = ReplyReader("POST")
    reader.feed(whole)
    assert reader.reply is not None
    assert publisher(platform).receipt(prepared(platform), reader.reply).remote_id
