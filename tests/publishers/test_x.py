"""X's own traps."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.domain.account import Account
from scheduler.domain.content import Content
from scheduler.domain.publisher import Prepared, Receipt
from scheduler.errors import CannotTell, NotReady, OutcomeUnknown, Rejected, RetryLater, Unauthorised
from scheduler.publishers.replies import same_profile
from scheduler.publishers.x import X
from scheduler.transport.http import Transport

from .samples import DUE, KEY, PICTURE, account, content, media, outgoing, reply
from .scripted import Answer, Scripted, Seen, routes

Serve = Callable[[Callable[[Seen], Answer]], Scripted]
ME, UPLOAD, STATUS = "GET /2/users/me", "POST /2/media/upload", "GET /2/media/upload"
ALT, LIST = "POST /2/media/metadata", "GET /2/users/7/tweets"
TEXT = "Ask & tell: https://www.stopitnow.org.uk/ #Help"
NOW = ("Date", "Tue, 09 Mar 2027 06:30:00 GMT")


def served(**more: Any) -> dict[str, Any]:
    table = {ME: {"data": {"id": "7", "username": "Dorset"}}, ALT: {"data": {"id": "11"}}}
    table[UPLOAD] = {"data": {"id": "11", "expires_after_secs": 86400}}
    return table | {
        {"upload": UPLOAD, "status": STATUS, "me": ME}[name]: value for name, value in more.items()
    }


def prepare(server: Scripted, transport: Transport, made: Content, **more: Any) -> Prepared:
    return X().prepare(outgoing(made, **more), account("x", server.url), transport.http(server.url, "t"))


def prepared(server: str = "http://127.0.0.1:9", text: str = TEXT) -> Prepared:
    return Prepared(content("x", text), account("x", server), {"user": "7", "media": []})


def test_the_golden_request() -> None:
    before = replace(prepared(), handles={"user": "7", "media": ["11"], "reply_to": "9"})
    request = X().request(before, KEY)
    assert (request.method, request.url) == ("POST", "http://127.0.0.1:9/2/tweets")
    assert request.headers == (("Content-Type", "application/json"), ("Accept", "application/json"))
    assert request.body.decode() == (
        '{"text":"Ask & tell: https://www.stopitnow.org.uk/ #Help","media":{"media_ids":["11"]},'
        '"reply":{"in_reply_to_tweet_id":"9"}}'
    )


def test_a_picture_is_uploaded_awaited_and_described(serve: Serve, transport: Transport) -> None:
    pending = {"data": {"id": "11", "processing_info": {"state": "pending", "check_after_secs": 0}}}
    ready = {"data": {"id": "11", "processing_info": {"state": "succeeded"}}}
    server = serve(routes(served(upload=Answer(200, pending, (NOW,)), status=[pending, ready])))
    made = prepare(server, transport, content("x", media=(media(),)))
    upload, described = server.seen[1], server.seen[-1]
    assert made.handles == {"user": "7", "media": ["11"]}
    assert PICTURE in upload.body
    assert b'name="media_category"\r\n\r\ntweet_image' in upload.body
    assert described.json == {"id": "11", "metadata": {"alt_text": {"text": media().alt}}}
    assert server.seen[2].query == {"command": "STATUS", "media_id": "11"}


@pytest.mark.parametrize(
    ("seconds", "life"),
    [(86400, 1435), (600, 5), (10**12, 1435), (None, 1435), (-5, 1435), (True, 1435), ("9", 1435)],
)
def test_an_upload_lasts_as_long_as_x_says_and_a_day_at_most(
    seconds: object, life: int, serve: Serve, transport: Transport
) -> None:
    uploaded = Answer(200, {"data": {"id": "11", "expires_after_secs": seconds}}, (NOW,))
    made = prepare(serve(routes(served(upload=uploaded))), transport, content("x", media=(media(),)))
    assert made.expires_at == datetime(2027, 3, 9, 6, 30, tzinfo=UTC) + timedelta(minutes=life)


def test_a_picture_that_x_cannot_read_is_refused(serve: Serve, transport: Transport) -> None:
    info = {"state": "failed", "error": {"code": 1, "message": "InvalidMedia"}}
    server = serve(routes(served(upload={"data": {"id": "11", "processing_info": info}})))
    with pytest.raises(Rejected, match="InvalidMedia"):
        prepare(server, transport, content("x", media=(media(),)))


def test_an_alt_text_that_was_not_taken_means_not_ready(serve: Serve, transport: Transport) -> None:
    server = serve(routes(served() | {ALT: Answer(503)}))
    with pytest.raises(NotReady, match="alt text"):
        prepare(server, transport, content("x", media=(media(),)))


def test_a_decorative_picture_gets_no_description(serve: Serve, transport: Transport) -> None:
    server = serve(routes(served()))
    prepare(server, transport, content("x", media=(media(alt=""),)))
    assert "/2/media/metadata" not in [s.path for s in server.seen]


def test_a_receipt_stands_even_with_errors_beside_it() -> None:
    body = b'{"data":{"id":"21","text":"Ask"},"errors":[{"title":"odd"}]}'
    assert X().receipt(prepared(), reply(201, body)) == Receipt("21", "https://x.com/dorset/status/21")


@pytest.mark.parametrize(
    ("status", "problem", "error"),
    [
        (400, {"title": "Invalid Request", "detail": "One or more parameters was invalid."}, Rejected),
        (400, {"errors": [{"message": "text is too long"}]}, Rejected),
        (401, {"title": "Unauthorized", "detail": "Unauthorized"}, Unauthorised),
        (402, {"title": "CreditsDepleted", "detail": "no credits"}, Rejected),
        (403, {"detail": "You are not allowed to create a Tweet with duplicate content."}, OutcomeUnknown),
        (403, {"detail": "You are not permitted to perform this action."}, Rejected),
        (403, {"detail": "x", "type": "https://api.twitter.com/2/problems/client-forbidden"}, Unauthorised),
        (403, {"detail": "x", "type": "https://api.x.com/2/problems/oauth1-permissions"}, Unauthorised),
        (503, {"title": "Service Unavailable"}, OutcomeUnknown),
    ],
)
def test_errors_are_classified(status: int, problem: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        X().receipt(prepared(), reply(status, json.dumps(problem).encode()))
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("headers", "epoch"),
    [
        ({"x_rate_limit_reset": "1804575900"}, 1804575900),
        ({"x_rate_limit_reset": "1804575900", "x_app_limit_24hour_remaining": "5"}, 1804575900),
        (
            {
                "x_rate_limit_reset": "1804575900",
                "x_user_limit_24hour_remaining": "0",
                "x_user_limit_24hour_reset": "1804640000",
            },
            1804640000,
        ),
    ],
)
def test_the_reset_of_the_limit_that_is_used_up_counts(headers: dict[str, str], epoch: int) -> None:
    with pytest.raises(RetryLater) as caught:
        X().receipt(prepared(), reply(429, b"{}", **headers))
    assert caught.value.at == datetime.fromtimestamp(epoch, UTC)


def find(server: Scripted, transport: Transport, text: str = TEXT) -> Receipt | None:
    return X().find(prepared(server.url, text), KEY, DUE, transport.http(server.url, "t"))


def link(short: str, full: str) -> dict[str, str]:
    return {"url": short, "expanded_url": full}


def test_a_post_is_found_through_short_links_and_escapes(serve: Serve, transport: Transport) -> None:
    post = {
        "id": "21",
        "text": "Ask &amp; tell: https://t.co/aaa #Help https://t.co/bbb",
        "entities": {
            "urls": [
                link("https://t.co/aaa", "https://www.stopitnow.org.uk/"),
                link("https://t.co/bbb", "https://x.com/dorset/status/21/photo/1"),
            ]
        },
    }
    server = serve(routes({LIST: {"data": [{"id": "22", "text": "other"}, post], "meta": {}}}))
    assert find(server, transport) == Receipt("21", "https://x.com/dorset/status/21")
    assert server.seen[0].query["start_time"] == "2027-03-09T07:00:00Z"


def test_a_long_post_is_read_from_its_note(serve: Serve, transport: Transport) -> None:
    post = {"id": "21", "text": "Ask …", "note_tweet": {"text": "Ask for help"}}
    server = serve(routes({LIST: {"data": [post], "meta": {}}}))
    assert find(server, transport, "Ask for help") is not None


def test_an_empty_list_is_absent_and_a_half_answer_is_not(serve: Serve, transport: Transport) -> None:
    assert find(serve(routes({LIST: {"meta": {"result_count": 0}}})), transport) is None
    with pytest.raises(CannotTell):
        find(serve(routes({LIST: {"errors": [{"title": "Not Found Error"}]}})), transport)


def test_every_page_is_read_before_a_post_is_called_absent(serve: Serve, transport: Transport) -> None:
    first = {"data": [{"id": "1", "text": "a"}], "meta": {"next_token": "n"}}
    last = {"data": [{"id": "21", "text": "Ask"}], "meta": {}}
    server = serve(routes({LIST: [first, last]}))
    assert find(server, transport, "Ask") is not None
    assert server.seen[1].query["pagination_token"] == "n"
    with pytest.raises(CannotTell, match="too_many"):
        find(serve(routes({LIST: first})), transport)


def test_one_cashtag_is_taken_and_two_are_not() -> None:
    assert X().faults(content("x", "$ACME rose, £5 and $5 did not")) == ()
    assert X().faults(content("x", "$ACME and $OTHER")) == (
        "X takes one cashtag in a post: write the other ones without $.",
    )


def test_a_token_of_another_profile_is_refused() -> None:
    live = Account("dorset", "x", "x", "@Dorset", secret="env:X")
    same_profile(live, "7", "dorset")
    with pytest.raises(Rejected, match="wrong_profile"):
        same_profile(live, "7", "wiltshire")
    with pytest.raises(Rejected, match="wrong_profile"):
        same_profile(replace(live, remote_id="8"), "7", "dorset")
