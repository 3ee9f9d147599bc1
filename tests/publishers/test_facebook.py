"""Facebook's own traps."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from scheduler.domain.content import Content
from scheduler.domain.publisher import Prepared, Receipt
from scheduler.errors import CannotTell, OutcomeUnknown, Rejected, RetryLater, Unauthorised
from scheduler.publishers.facebook import Facebook
from scheduler.transport.http import Transport

from .samples import DUE, KEY, PICTURE, account, content, media, outgoing, reply
from .scripted import Answer, Scripted, Seen, routes

Serve = Callable[[Callable[[Seen], Answer]], Scripted]
PAGE = "1234567890"
LIST = f"GET /{PAGE}/published_posts"


def prepare(server: Scripted, transport: Transport, made: Content, **more: Any) -> Prepared:
    mine = account("facebook", server.url, **more)
    return Facebook().prepare(outgoing(made), mine, transport.http(server.url, "t"))


def prepared(server: str = "http://127.0.0.1:9", text: str = "Ask for help.", **more: Any) -> Prepared:
    return Prepared(
        content("facebook", text, **more), account("facebook", server), {"page": PAGE, "photos": []}
    )


def test_the_golden_requests() -> None:
    link = "https://www.stopitnow.org.uk/"
    with_link = Facebook().request(prepared(link=link), KEY)
    assert (with_link.method, with_link.url) == ("POST", f"http://127.0.0.1:9/{PAGE}/feed")
    assert with_link.body.decode() == '{"message":"Ask for help.","link":"https://www.stopitnow.org.uk/"}'
    photos = replace(prepared(link=link), handles={"page": PAGE, "photos": ["5", "6"]})
    assert Facebook().request(photos, KEY).body.decode() == (
        '{"message":"Ask for help.","attached_media":[{"media_fbid":"5"},{"media_fbid":"6"}]}'
    )


def test_a_picture_is_uploaded_unpublished_with_its_alt_text(serve: Serve, transport: Transport) -> None:
    server = serve(routes({f"POST /{PAGE}/photos": {"id": "5"}}))
    made = prepare(server, transport, content("facebook", media=(media(),)))
    body = server.seen[0].body
    assert made.handles == {"page": PAGE, "photos": ["5"]}
    assert b'name="published"\r\n\r\nfalse' in body
    assert media().alt.encode() in body
    assert PICTURE in body


def test_the_page_is_asked_for_where_the_file_does_not_name_it(serve: Serve, transport: Transport) -> None:
    server = serve(routes({"GET /me": {"id": "99"}}))
    made = prepare(server, transport, content("facebook"), remote_id="")
    assert Facebook().request(made, KEY).url == f"{server.url}/99/feed"


def test_a_page_that_is_no_number_is_refused_before_anything_is_sent(
    serve: Serve, transport: Transport
) -> None:
    server = serve(routes({}))
    with pytest.raises(Rejected, match="no_page_id"):
        prepare(server, transport, content("facebook"), remote_id="../me")
    assert server.seen == []


def test_a_receipt_leads_to_the_post() -> None:
    said = reply(200, b'{"id":"1234567890_77"}')
    assert Facebook().receipt(prepared(), said) == Receipt(
        "1234567890_77", "https://www.facebook.com/1234567890/posts/77"
    )


@pytest.mark.parametrize(
    ("status", "code", "said", "error"),
    [
        (400, 1, "An unknown error occurred", OutcomeUnknown),
        (500, 2, "Please retry your request later", OutcomeUnknown),
        (400, 2, "Service temporarily unavailable", OutcomeUnknown),
        (500, 190, "even a token error", OutcomeUnknown),
        (400, 4, "Application request limit reached", RetryLater),
        (403, 32, "Page request limit reached", RetryLater),
        (400, 613, "Calls to this api have exceeded the rate limit", RetryLater),
        (400, 190, "Error validating access token", Unauthorised),
        (400, 102, "Session key invalid", Unauthorised),
        (403, 10, "Application does not have permission", Unauthorised),
        (403, 200, "(#200) requires pages_manage_posts", Unauthorised),
        (403, 299, "(#299)", Unauthorised),
        (400, 100, "(#100) Invalid parameter", Rejected),
        (400, 368, "The action attempted has been deemed abusive", Rejected),
        (400, 368, "You have already posted this", OutcomeUnknown),
        (400, 506, "Duplicate status message", OutcomeUnknown),
        (400, 12345, "new", OutcomeUnknown),
        (400, "100", "not a number", OutcomeUnknown),
    ],
)
def test_errors_are_read_by_code(status: int, code: object, said: str, error: type[Exception]) -> None:
    body = json.dumps({"error": {"code": code, "message": said}}).encode()
    with pytest.raises(error) as caught:
        Facebook().receipt(prepared(), reply(status, body))
    assert type(caught.value) is error


def test_a_transient_error_may_have_published() -> None:
    body = b'{"error":{"code":100,"message":"try again","is_transient":true}}'
    with pytest.raises(OutcomeUnknown):
        Facebook().receipt(prepared(), reply(400, body))


def find(server: Scripted, transport: Transport) -> Receipt | None:
    return Facebook().find(prepared(server.url), KEY, DUE, transport.http(server.url, "t"))


def test_a_post_is_found_by_its_message_from_the_attempt_on(serve: Serve, transport: Transport) -> None:
    posts = [{"id": "1_2"}, {"id": "1_3", "message": "Ask for help. "}]
    server = serve(routes({LIST: {"data": posts}}))
    found = find(server, transport)
    assert found is not None
    assert found.remote_id == "1_3"
    assert server.seen[0].query["since"] == str(int(DUE.timestamp()))


def test_every_page_is_read_before_a_post_is_called_absent(serve: Serve, transport: Transport) -> None:
    assert find(serve(routes({LIST: {"data": []}})), transport) is None
    more = {"data": [{"id": "1_2", "message": "other"}], "paging": {"next": "x", "cursors": {"after": "c"}}}
    server = serve(routes({LIST: more}))
    with pytest.raises(CannotTell, match="too_many"):
        find(server, transport)
    assert server.seen[1].query["after"] == "c"


def test_a_thread_is_a_fault_because_pages_have_none() -> None:
    assert Facebook().faults(content("facebook", part=1, parts=2)) == (
        "Facebook has no threads: write one text for it under `::: facebook`.",
    )
