"""Bluesky's own traps; what every publisher does alike is in the conformance suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.publisher import Prepared, Receipt
from scheduler.errors import CannotTell, NotReady, OutcomeUnknown, Rejected, RetryLater, Unauthorised
from scheduler.publishers.bluesky import Bluesky
from scheduler.publishers.bluesky_record import rkey
from scheduler.transport.http import Transport

from .samples import DUE, KEY, account, content, media, outgoing, reply
from .scripted import Answer, Scripted, Seen, routes

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
BLOB = {"$type": "blob", "ref": {"$link": "bafkreia"}, "mimeType": "image/png", "size": 9}
SESSION = {"did": DID, "handle": "dorset.test"}
Serve = Callable[[Callable[[Seen], Answer]], Scripted]


def prepared(text: str = "Ask for help.", **handles: object) -> Prepared:
    given_ = {"did": DID, "due": "2027-03-09T07:00:00.000Z", "mentions": {}, "blobs": [], **handles}
    return Prepared(content("bluesky", text), account("bluesky", "http://127.0.0.1:9"), given_)


def test_the_golden_request() -> None:
    request = Bluesky().request(prepared("Ask @a.com #Help"), KEY)
    assert request.url == "http://127.0.0.1:9/xrpc/com.atproto.repo.putRecord"
    assert request.headers == (("Content-Type", "application/json"), ("Accept", "application/json"))
    assert request.body.decode() == (
        '{"repo":"did:plc:ewvi7nxzyoun6zhxrhs64oiz","collection":"app.bsky.feed.post",'
        '"rkey":"' + rkey(prepared(), KEY) + '","record":{"$type":"app.bsky.feed.post",'
        '"text":"Ask @a.com #Help","createdAt":"2027-03-09T07:00:00.000Z","langs":["en-GB"],'
        '"facets":[{"index":{"byteStart":11,"byteEnd":16},'
        '"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"Help"}]}]}}'
    )


def test_swap_record_stays_out_so_that_a_repeat_is_no_error() -> None:
    assert b"swapRecord" not in Bluesky().request(prepared(), KEY).body


def test_the_key_is_a_tid_of_the_due_second() -> None:
    made = rkey(prepared(), KEY)
    letters = "234567abcdefghijklmnopqrstuvwxyz"
    value = 0
    for letter in made:
        value = value * 32 + letters.index(letter)
    micros = value >> 10
    assert len(made) == 13
    assert datetime.fromtimestamp(micros // 1_000_000, UTC) == DUE


@settings(deadline=None)
@given(st.sets(st.uuids().map(str), min_size=2, max_size=50))
def test_no_two_deliveries_of_one_instant_share_a_key(keys: set[str]) -> None:
    assert len({rkey(prepared(), key) for key in keys}) == len(keys)


def test_mentioned_handles_are_resolved_and_unknown_ones_stay_text(
    serve: Serve, transport: Transport
) -> None:
    def answer(seen: Seen) -> Answer:
        if seen.path.endswith("getSession"):
            return Answer(200, SESSION)
        if seen.query.get("handle") == "known.com":
            return Answer(200, {"did": "did:plc:known"})
        return Answer(400, {"error": "InvalidRequest", "message": "Unable to resolve handle"})

    server = serve(answer)
    made = Bluesky().prepare(
        outgoing(content("bluesky", "@known.com @unknown.com")),
        account("bluesky", server.url),
        transport.http(server.url, "t"),
    )
    assert made.handles["mentions"] == {"known.com": "did:plc:known"}
    assert Bluesky().request(made, KEY).body.count(b"#mention") == 1


def test_a_resolver_that_is_down_means_not_ready_rather_than_dead_text(
    serve: Serve, transport: Transport
) -> None:
    server = serve(lambda s: Answer(200, SESSION) if s.path.endswith("getSession") else Answer(502))
    with pytest.raises(NotReady):
        Bluesky().prepare(
            outgoing(content("bluesky", "@known.com")),
            account("bluesky", server.url),
            transport.http(server.url, "t"),
        )


def test_uploads_expire_an_hour_after_the_server_took_them(serve: Serve, transport: Transport) -> None:
    server = serve(
        routes(
            {
                "GET /xrpc/com.atproto.server.getSession": SESSION,
                "POST /xrpc/com.atproto.repo.uploadBlob": Answer(
                    200, {"blob": BLOB}, (("Date", "Tue, 09 Mar 2027 06:50:00 GMT"),)
                ),
            }
        )
    )
    made = Bluesky().prepare(
        outgoing(content("bluesky", media=(media(),))),
        account("bluesky", server.url),
        transport.http(server.url, "t"),
    )
    assert made.expires_at == datetime(2027, 3, 9, 7, 50, tzinfo=UTC)
    assert server.seen[-1].headers["content-type"] == "image/png"


def test_a_token_of_another_profile_is_refused(serve: Serve, transport: Transport) -> None:
    server = serve(lambda _: Answer(200, {"did": "did:plc:other", "handle": "dorset.test"}))
    with pytest.raises(Rejected, match="wrong_profile"):
        Bluesky().prepare(
            outgoing(content("bluesky")),
            account("bluesky", server.url, remote_id=DID),
            transport.http(server.url, "t"),
        )


@pytest.mark.parametrize(
    ("status", "name", "error"),
    [
        (400, "InvalidToken", Unauthorised),
        (400, "ExpiredToken", Unauthorised),
        (403, "ScopeMissingError", Unauthorised),
        (400, "RepoDeactivated", Unauthorised),
        (400, "InvalidRequest", Rejected),
        (400, "BlobNotFound", Rejected),
        (400, "SomethingNew", OutcomeUnknown),
        (500, "InternalServerError", OutcomeUnknown),
        (502, "UpstreamFailure", OutcomeUnknown),
    ],
)
def test_errors_are_read_by_name(status: int, name: str, error: type[Exception]) -> None:
    body = f'{{"error":"{name}","message":"why"}}'.encode()
    with pytest.raises(error) as caught:
        Bluesky().receipt(prepared(), reply(status, body))
    assert type(caught.value) is error


def test_a_reset_in_epoch_seconds_says_when_to_come_back() -> None:
    with pytest.raises(RetryLater) as caught:
        Bluesky().receipt(prepared(), reply(429, b"", ratelimit_reset="1804575900"))
    assert caught.value.at == datetime.fromtimestamp(1804575900, UTC)


def test_only_record_not_found_means_absent(serve: Serve, transport: Transport) -> None:
    answers = [
        (Answer(400, {"error": "RecordNotFound"}), None),
        (Answer(400, {"error": "InvalidRequest"}), CannotTell),
        (Answer(404, {"error": "RecordNotFound"}), CannotTell),
    ]
    for answer, error in answers:
        server = serve(lambda _, said=answer: said)  # type: ignore[misc]
        there = replace(prepared(), account=account("bluesky", server.url))
        if error is None:
            assert Bluesky().find(there, KEY, DUE, transport.http(server.url)) is None
        else:
            with pytest.raises(error):
                Bluesky().find(there, KEY, DUE, transport.http(server.url))


def test_a_record_with_missing_pictures_is_found_and_said_to_differ(
    serve: Serve, transport: Transport
) -> None:
    uri = f"at://{DID}/app.bsky.feed.post/{rkey(prepared(), KEY)}"
    server = serve(lambda _: Answer(200, {"uri": uri, "cid": "c", "value": {"text": "Ask for help."}}))
    there = replace(prepared(), account=account("bluesky", server.url))
    there = replace(there, content=replace(there.content, media=(media(),)))
    found = Bluesky().find(there, KEY, DUE, transport.http(server.url))
    assert found is not None
    assert found.extra["differs"] == "the record has 0 pictures of 1"


def test_a_reply_names_the_record_before_it_and_the_first_one(serve: Serve, transport: Transport) -> None:
    server = serve(lambda _: Answer(200, SESSION))
    first, second = (Receipt(f"at://{DID}/p/{n}", "https://bsky.app", {"cid": f"c{n}"}) for n in (1, 2))
    made = Bluesky().prepare(
        outgoing(content("bluesky"), parent=second, root=first),
        account("bluesky", server.url),
        transport.http(server.url, "t"),
    )
    assert made.handles["reply"]["root"] == {"uri": f"at://{DID}/p/1", "cid": "c1"}
    assert made.handles["reply"]["parent"]["cid"] == "c2"


@pytest.mark.parametrize("error", ["AuthenticationRequired", "AuthFactorTokenRequired", "AccountTakedown"])
def test_a_refused_password_needs_a_person(serve: Serve, transport: Transport, error: str) -> None:
    server = serve(lambda _: Answer(401, {"error": error, "message": "Invalid identifier or password"}))
    with pytest.raises(Unauthorised):
        Bluesky().open_session(account("bluesky", server.url), "pw", transport.http(server.url))
    assert server.seen[0].json == {"identifier": "dorset.test", "password": "pw"}


def test_a_text_of_few_characters_and_many_bytes_is_too_long() -> None:
    length = Bluesky().length(content("bluesky", "👨‍👩‍👧‍👦" * 121))
    assert (length.used, length.limit, length.unit) == (3025, 3000, "bytes")
    assert Bluesky().length(content("bluesky", "ab")).used == 2


def test_a_quota_that_does_not_do_for_the_post_is_no_surprise_at_t0(
    serve: Serve, transport: Transport
) -> None:
    headers = (("RateLimit-Remaining", "0"), ("RateLimit-Reset", "1804575900"))
    server = serve(lambda seen: Answer(200, SESSION, headers))
    with pytest.raises(RetryLater) as caught:
        Bluesky().prepare(
            outgoing(content("bluesky", "words")),
            account("bluesky", server.url),
            transport.http(server.url, "t"),
        )
    assert (caught.value.code, caught.value.at) == ("quota", datetime(2027, 3, 9, 7, 5, tzinfo=UTC))
