"""Mastodon's own traps, and those of servers that claim its API."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from scheduler.domain.content import Content
from scheduler.domain.publisher import Prepared, Receipt
from scheduler.errors import CannotTell, NotReady, OutcomeUnknown, Rejected, RetryLater, Unauthorised
from scheduler.publishers.mastodon import Mastodon
from scheduler.transport.http import Transport

from .samples import DUE, KEY, PICTURE, account, content, media, outgoing, reply
from .scripted import Answer, Scripted, Seen, routes

Serve = Callable[[Callable[[Seen], Answer]], Scripted]
ME = "GET /api/v1/accounts/verify_credentials"
V1, V2, UPLOAD = "GET /api/v1/instance", "GET /api/v2/instance", "POST /api/v2/media"
LIST = "GET /api/v1/accounts/7/statuses"
TEXT = "Ask for help: https://www.stopitnow.org.uk/ #Help"
SHOWN = "<p>Ask for help: <a><span>https://</span>www.stopitnow.org.uk/</a> <a>#<span>Help</span></a></p>"


def served(**more: Any) -> dict[str, Any]:
    """A server that works; `more` replaces routes by name."""
    table = {ME: {"id": "7", "username": "dorset"}, V2: {"version": "4.4.1", "configuration": {}}}
    table[UPLOAD] = {"id": "11", "url": "https://files/11"}
    names = {"me": ME, "v1": V1, "v2": V2, "upload": UPLOAD, "media": "GET /api/v1/media/11", "list": LIST}
    return table | {names[name]: value for name, value in more.items()}


def prepare(server: Scripted, transport: Transport, made: Content, **more: Any) -> Prepared:
    mine = account("mastodon", server.url)
    return Mastodon().prepare(outgoing(made, **more), mine, transport.http(server.url, "t", deadline=None))


def prepared(server: str = "http://127.0.0.1:9", text: str = TEXT, **more: Any) -> Prepared:
    mine = account("mastodon", server)
    return Prepared(content("mastodon", text, **more), mine, {"user": "7", "media": []})


def test_the_golden_request() -> None:
    before = prepared(language="cy-GB", visibility="unlisted")
    before = replace(before, handles={"user": "7", "media": ["11", "12"], "reply_to": "9"})
    request = Mastodon().request(before, KEY)
    assert (request.method, request.url) == ("POST", "http://127.0.0.1:9/api/v1/statuses")
    assert dict(request.headers)["Idempotency-Key"] == KEY
    assert request.body.decode() == (
        '{"status":"Ask for help: https://www.stopitnow.org.uk/ #Help","visibility":"unlisted",'
        '"language":"cy","media_ids":["11","12"],"in_reply_to_id":"9"}'
    )


def test_nothing_ever_asks_the_server_to_schedule() -> None:
    assert b"scheduled_at" not in Mastodon().request(prepared(), KEY).body


def test_a_picture_is_uploaded_with_its_alt_text_and_awaited(serve: Serve, transport: Transport) -> None:
    waiting = [Answer(206, {"id": "11"}), Answer(200, {"id": "11"})]
    server = serve(routes(served(upload=Answer(202, {"id": "11", "url": None}), media=waiting)))
    made = prepare(server, transport, content("mastodon", media=(media(),)))
    upload = next(s for s in server.seen if s.path == "/api/v2/media")
    assert made.handles["media"] == ["11"]
    assert PICTURE in upload.body
    assert media().alt.encode() in upload.body
    assert [s.path for s in server.seen].count("/api/v1/media/11") == 2


def test_a_picture_that_the_server_cannot_read_is_refused(serve: Serve, transport: Transport) -> None:
    failed = Answer(422, {"error": "Error processing media"})
    server = serve(routes(served(upload=Answer(202, {"id": "11"}), media=failed)))
    with pytest.raises(Rejected):
        prepare(server, transport, content("mastodon", media=(media(),)))


def test_waiting_for_a_picture_ends_with_the_deadline(serve: Serve, transport: Transport) -> None:
    server = serve(routes(served(upload=Answer(202, {"id": "11"}), media=Answer(206, {}))))
    http = transport.http(server.url, "t", deadline=transport.now() + 0.3)
    with pytest.raises(NotReady):
        Mastodon().prepare(
            outgoing(content("mastodon", media=(media(),))), account("mastodon", server.url), http
        )


@pytest.mark.parametrize(
    ("instance", "text", "fits"),
    [
        ({"configuration": {"statuses": {"max_characters": 40}}, "version": "4.4.0"}, "a" * 41, False),
        ({"configuration": {"statuses": {"max_characters": 5000}}, "version": "4.4.0"}, "a" * 4999, True),
        ({"version": "4.4.0"}, "a" * 477 + " https://a.uk/" + "b" * 90, False),
        ({"version": "4.4.0"}, "a" * 476 + " https://a.uk/" + "b" * 90, True),
        # Away from Mastodon itself links may count in full, and code points instead of graphemes.
        ({"version": "4.0.0 (not true; really snac/2.75)"}, "a" * 476 + " https://a.uk/" + "b" * 90, False),
        ({"version": "0.17.3"}, "👨‍👩‍👧‍👦" * 72, False),
        ({"version": "4.4.0"}, "👨‍👩‍👧‍👦" * 72, True),
        ({"max_toot_chars": 600, "version": "2.7.2 (compatible; Pleroma 2.6)"}, "a" * 600, True),
        ({"configuration": {"statuses": {"max_characters": -1}}, "version": "4.4.0"}, "a" * 500, True),
    ],
)
def test_the_servers_own_limits_hold(
    instance: dict[str, Any], text: str, fits: bool, serve: Serve, transport: Transport
) -> None:
    server = serve(routes(served(v2=instance)))
    if fits:
        prepare(server, transport, content("mastodon", text))
        return
    with pytest.raises(Rejected, match="shorten it by"):
        prepare(server, transport, content("mastodon", text))


def test_a_server_without_the_second_form_is_asked_in_the_first(serve: Serve, transport: Transport) -> None:
    old = {"version": "4.0.0", "configuration": {"statuses": {"max_characters": 60}}}
    server = serve(routes(served(v2=Answer(404, {}), v1=old)))
    with pytest.raises(Rejected, match="takes 60 characters"):
        prepare(server, transport, content("mastodon", "a" * 61))


def test_the_pictures_that_a_server_takes_are_checked_before_uploading(
    serve: Serve, transport: Transport
) -> None:
    limits = {"media_attachments": {"image_size_limit": 10, "description_limit": 5}}
    server = serve(routes(served(v2={"version": "4.4.0", "configuration": limits})))
    with pytest.raises(Rejected, match="make it smaller"):
        prepare(server, transport, content("mastodon", media=(media(),)))
    assert all(s.method == "GET" for s in server.seen)


def status(**more: Any) -> dict[str, Any]:
    plain = {
        "id": "21",
        "url": "https://social.example/@dorset/21",
        "content": SHOWN,
        "media_attachments": [],
    }
    return plain | {"created_at": "2027-03-09T07:00:00.120Z"} | more


def read(body: dict[str, Any], before: Prepared | None = None) -> Receipt:
    return Mastodon().receipt(before or prepared(), reply(200, json.dumps(body).encode()))


def test_a_published_status_is_a_receipt() -> None:
    assert read(status()) == Receipt("21", "https://social.example/@dorset/21")


def test_a_dropped_picture_is_a_receipt_that_says_so_because_the_post_is_out() -> None:
    before = prepared(media=(media(), media()))
    assert read(status(media_attachments=[{}]), before).extra == {"differs": "the status has 1 pictures of 2"}


def test_other_words_are_a_receipt_that_says_so() -> None:
    assert read(status(content="<p></p>")).extra == {
        "differs": "the words of the status are not the approved ones"
    }


def test_a_scheduled_status_is_no_proof() -> None:
    with pytest.raises(OutcomeUnknown, match="scheduled"):
        read({"id": "3", "scheduled_at": "2027-03-09T07:00:00Z", "params": {}})


def test_an_address_that_is_no_address_is_made_from_the_server() -> None:
    assert read(status(url=None)).url == "http://127.0.0.1:9/@dorset/21"


@pytest.mark.parametrize(
    ("code", "said", "error"),
    [
        (401, "The access token is invalid", Unauthorised),
        (403, "This action is outside the authorized scopes", Unauthorised),
        (404, "Record not found", Rejected),
        (422, "Validation failed: Text character limit of 500 exceeded", Rejected),
        (422, "Media 11 not found or already attached to another post", OutcomeUnknown),
        (400, "Bad Request: media already attached to status", OutcomeUnknown),
        (409, "Conflict", OutcomeUnknown),
        (500, "Idempotency replay", OutcomeUnknown),
        (503, "Service Unavailable", OutcomeUnknown),
    ],
)
def test_errors_are_classified(code: int, said: str, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        Mastodon().receipt(prepared(), reply(code, json.dumps({"error": said}).encode()))
    assert type(caught.value) is error


def test_a_reset_as_iso_time_says_when_to_come_back() -> None:
    with pytest.raises(RetryLater) as caught:
        Mastodon().receipt(prepared(), reply(429, b"{}", x_ratelimit_reset="2027-03-09T07:05:00.000000Z"))
    assert caught.value.at == datetime(2027, 3, 9, 7, 5, tzinfo=UTC)


def find(server: Scripted, transport: Transport, **more: Any) -> Receipt | None:
    return Mastodon().find(prepared(server.url, **more), KEY, DUE, transport.http(server.url, "t"))


def source(number: int, text: str) -> dict[str, Any]:
    return {f"GET /api/v1/statuses/{number}/source": {"id": str(number), "text": text}}


def test_a_status_is_found_by_its_source(serve: Serve, transport: Transport) -> None:
    listed = Answer(200, [status(id="22", content="<p>other</p>"), status()])
    server = serve(routes({LIST: listed, **source(22, "other"), **source(21, TEXT)}))
    assert find(server, transport) == Receipt("21", "https://social.example/@dorset/21")


def test_a_status_older_than_the_attempt_is_another_one(serve: Serve, transport: Transport) -> None:
    server = serve(
        routes({LIST: Answer(200, [status(created_at="2027-03-09T06:59:58Z")]), **source(21, TEXT)})
    )
    assert find(server, transport) is None


def test_nothing_listed_is_absent(serve: Serve, transport: Transport) -> None:
    assert find(serve(routes({LIST: Answer(200, [])})), transport) is None


def test_a_server_without_sources_is_read_by_its_html(serve: Serve, transport: Transport) -> None:
    server = serve(routes({LIST: Answer(200, [status(id="22", content="<p>other</p>"), status()])}))
    found = find(server, transport)
    assert found is not None
    assert found.remote_id == "21"


def test_a_found_status_with_too_few_pictures_is_ours_and_differs(serve: Serve, transport: Transport) -> None:
    found = find(
        serve(routes({LIST: Answer(200, [status()]), **source(21, TEXT)})), transport, media=(media(),)
    )
    assert found is not None
    assert found.extra["differs"] == "the status has 0 pictures of 1"


def test_a_source_that_could_not_be_read_is_no_answer(serve: Serve, transport: Transport) -> None:
    server = serve(routes({LIST: Answer(200, [status()]), "GET /api/v1/statuses/21/source": Answer(503)}))
    with pytest.raises(CannotTell):
        find(server, transport)


def test_looking_goes_on_page_by_page_and_gives_up_rather_than_say_absent(
    serve: Serve, transport: Transport
) -> None:
    page = [status(id=str(n), content="<p>other</p>") for n in range(40)]
    server = serve(routes({LIST: Answer(200, page)}))
    with pytest.raises(CannotTell, match="too_many"):
        find(server, transport)
    asked = [s.query.get("max_id") for s in server.seen if s.path.endswith("/statuses")]
    assert asked == [None, "39", "39", "39", "39"]


def test_a_quota_that_does_not_do_for_the_post_is_no_surprise_at_t0(
    serve: Serve, transport: Transport
) -> None:
    me, reset = {"id": "7", "username": "dorset"}, "2027-03-09T07:05:00.000Z"
    for left, enough in (("3", True), ("2", False), ("0", False), ("many", True), ("-1", True)):
        headers = (("X-RateLimit-Remaining", left), ("X-RateLimit-Reset", reset))
        server = serve(routes(served(me=Answer(200, me, headers))))
        made = content("mastodon", TEXT, media=(media(),))
        if enough:
            assert prepare(server, transport, made).handles["media"] == ["11"]
            continue
        with pytest.raises(RetryLater) as caught:
            prepare(server, transport, made)
        assert (caught.value.code, caught.value.at) == ("quota", datetime(2027, 3, 9, 7, 5, tzinfo=UTC))
        assert caught.value.detail == f"{left} requests are left for now, and this post needs 3"
