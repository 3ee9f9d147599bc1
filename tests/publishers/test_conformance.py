"""What every publisher promises, ours and foreign: the cases are the entry points that are installed."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.account import Account
from scheduler.domain.content import Content, Media
from scheduler.domain.publisher import Capability, Checks, OpensSession, Prepared, Publisher, Receipt, Reply
from scheduler.errors import (
    CannotTell,
    NotReady,
    NotSent,
    OutcomeUnknown,
    PublishError,
    Rejected,
    RetryLater,
    Unauthorised,
)
from scheduler.publishers.registry import installed, load
from scheduler.transport.http import Transport

from .samples import CANARY, DUE, KEY, PICTURE, account, content, media, outgoing, reply
from .scripted import Answer, Scripted, Seen

PLATFORMS = installed()
platforms = pytest.mark.parametrize("platform", PLATFORMS)
NOW = "Tue, 09 Mar 2027 07:00:00 GMT"
PREPARING = (NotReady, Rejected, RetryLater, NotSent, OutcomeUnknown)

# A server that agrees to everything: whatever id a platform calls what, it is in here.
AGREES: dict[str, Any] = {
    "id": "1234567890",
    "username": "dorset",
    "did": "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
    "handle": "dorset.test",
    "uri": "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3jzfcijpj2z2a",
    "cid": "bafyreig",
    "blob": {"$type": "blob", "ref": {"$link": "bafkreig"}, "mimeType": "image/png", "size": len(PICTURE)},
    "data": {"id": "1234567890", "username": "dorset"},
    "version": "4.4.0",
    "access_token": "given",
}


@functools.cache
def publisher(platform: str) -> Publisher:
    return load([platform])[platform]


@functools.cache
def prepared_with(platform: str, made: Content) -> tuple[Prepared, tuple[Seen, ...]]:
    """Prepare against the server that agrees, with a token that must appear nowhere else."""
    with Scripted(lambda _: Answer(200, AGREES)) as server:
        transport = Transport()
        mine = account(platform, server.url)
        done = publisher(platform).prepare(outgoing(made), mine, transport.http(server.url, CANARY))
        transport.close()
        return done, tuple(server.seen)


@functools.cache
def sample(platform: str) -> Content:
    """A post with a picture, where the platform takes pictures."""
    made = content(platform, media=(media(),))
    checker = publisher(platform)
    return replace(made, media=()) if isinstance(checker, Checks) and checker.faults(made) else made


def prepared(platform: str) -> Prepared:
    return prepared_with(platform, sample(platform))[0]


def words_in(body: bytes) -> list[str]:
    """Every text in a body: of JSON, of a form, or the body itself."""
    try:
        return list(strings(json.loads(body)))
    except ValueError:
        whole = body.decode()
        return [whole, *(value for _, value in parse_qsl(whole, keep_blank_values=True))]


def strings(value: Any) -> Iterator[str]:
    """Every string of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def stored(before: Prepared) -> Prepared:
    """As it comes back from the database: plain JSON and nothing else."""
    fields = json.loads(json.dumps({"account": asdict(before.account), "handles": before.handles}))
    made = Content.parse(before.content.canonical())
    return Prepared(made, Account(**fields["account"]), fields["handles"], before.expires_at)


def test_the_four_platforms_of_this_package_are_installed() -> None:
    assert set(PLATFORMS) >= {"bluesky", "facebook", "mastodon", "x"}


@platforms
def test_it_fits_the_port(platform: str) -> None:
    made = publisher(platform)
    assert isinstance(made, Publisher)
    assert made.platform == platform
    assert isinstance(made.capability, Capability)
    assert made.server == "" or made.server.startswith("https://")
    assert not made.server.endswith("/")


@platforms
def test_its_file_has_at_most_200_lines(platform: str) -> None:
    file = inspect.getsourcefile(type(publisher(platform)))
    assert file is not None
    assert len(Path(file).read_text().splitlines()) <= 200


@platforms
def test_the_request_is_pure_and_needs_only_what_was_stored(platform: str) -> None:
    before = prepared(platform)
    first = publisher(platform).request(before, KEY)
    assert first == publisher(platform).request(before, KEY)
    assert first == type(publisher(platform))().request(stored(before), KEY)


@platforms
def test_the_request_goes_to_the_accounts_own_server_and_holds_no_token(platform: str) -> None:
    before = prepared(platform)
    request = publisher(platform).request(before, KEY)
    assert request.url.startswith(before.account.server + "/")
    names = {name.lower() for name, _ in request.headers}
    assert not names & {"authorization", "host", "content-length", "cookie"}
    assert CANARY not in repr(request)


@platforms
def test_what_is_stored_holds_no_token(platform: str) -> None:
    before, seen = prepared_with(platform, sample(platform))
    assert all(CANARY in str(one.headers) for one in seen), "the canary was used"
    assert CANARY not in repr(before)


@platforms
def test_preparing_publishes_nothing(platform: str) -> None:
    before, seen = prepared_with(platform, sample(platform))
    request = publisher(platform).request(before, KEY)
    assert (request.method, urlsplit(request.url).path) not in {(one.method, one.path) for one in seen}


@platforms
def test_the_picture_and_its_alt_text_reach_the_platform(platform: str) -> None:
    if not sample(platform).media:
        pytest.skip("takes no pictures")
    before, seen = prepared_with(platform, sample(platform))
    body = publisher(platform).request(before, KEY).body
    assert any(PICTURE in one for one in (body, *(one.body for one in seen)))
    alt = media().alt
    written = (alt.encode(), json.dumps(alt)[1:-1].encode())
    assert any(form in place for form in written for place in (body, *(one.body for one in seen)))


@platforms
@settings(deadline=None)
@given(text=st.text(min_size=1, max_size=400), language=st.sampled_from(["en-GB", "cy", ""]))
def test_the_words_in_the_body_are_the_approved_words(platform: str, text: str, language: str) -> None:
    before = replace(prepared(platform), content=replace(sample(platform), text=text, language=language))
    assert text in words_in(publisher(platform).request(before, KEY).body)


@platforms
def test_the_approved_words_are_in_the_body_byte_for_byte(platform: str) -> None:
    words = "“Ymddiried” — 285 o bobl 👨‍👩‍👧‍👦 \\n is not a line end\nbut this is, and <b>&amp; stay"
    before = replace(prepared(platform), content=replace(sample(platform), text=words))
    body = publisher(platform).request(before, KEY).body
    written = (json.dumps(words, ensure_ascii=False), json.dumps(words), words, quote_plus(words))
    assert any(form.encode() in body for form in written)


@platforms
@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"<html>", b'{"id": null}', b'{"data": {"id": true}}', b'{"id": {}}']
)
def test_success_without_an_id_is_unknown(platform: str, status: int, body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        publisher(platform).receipt(prepared(platform), reply(status, body))


REFUSALS = [
    b"",
    b"<html>",
    b'{"error": "InvalidRequest", "message": "no"}',
    b'{"error": {"code": 100, "message": "no"}}',
    b'{"error": {"code": 190, "message": "no"}}',
    b'{"title": "Invalid Request", "detail": "no"}',
]


@platforms
@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 520, 599])
@pytest.mark.parametrize("body", REFUSALS)
def test_every_5xx_is_unknown(platform: str, status: int, body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        publisher(platform).receipt(prepared(platform), reply(status, body, retry_after="5"))


@platforms
def test_a_5xx_with_an_id_in_it_is_unknown_too(platform: str) -> None:
    with pytest.raises(OutcomeUnknown):
        publisher(platform).receipt(prepared(platform), reply(500, json.dumps(AGREES).encode()))


@platforms
@pytest.mark.parametrize("body", REFUSALS)
def test_401_is_a_refused_token(platform: str, body: bytes) -> None:
    with pytest.raises(Unauthorised):
        publisher(platform).receipt(prepared(platform), reply(401, body))


@platforms
@pytest.mark.parametrize("body", REFUSALS)
def test_429_says_when_to_come_back(platform: str, body: bytes) -> None:
    with pytest.raises(RetryLater) as caught:
        publisher(platform).receipt(prepared(platform), reply(429, body, retry_after="90", date=NOW))
    assert caught.value.at == datetime(2027, 3, 9, 7, 1, 30, tzinfo=UTC)


@platforms
@pytest.mark.parametrize(
    "garbage", ["", "soon", "-5", "1e9", "NaN", "99999999999999999999", "0000-00-00T00:00:00Z", "٣", "\x00"]
)
def test_429_with_garbage_about_when_names_no_time(platform: str, garbage: str) -> None:
    names = ("retry_after", "ratelimit_reset", "x_ratelimit_reset", "x_rate_limit_reset")
    with pytest.raises(RetryLater) as caught:
        publisher(platform).receipt(
            prepared(platform), reply(429, b"", date=NOW, **dict.fromkeys(names, garbage))
        )
    assert caught.value.at is None


@platforms
@pytest.mark.parametrize("status", [301, 307, 400, 403, 404, 408, 409, 418, 425, 499])
def test_what_it_does_not_recognise_is_unknown(platform: str, status: int) -> None:
    for body in (b"", b"<html>a proxy says no</html>", b"[]", b'{"odd": 1}', b"[" * 100_000):
        with pytest.raises(OutcomeUnknown):
            publisher(platform).receipt(prepared(platform), reply(status, body))


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*AGREES, "error", "errors", "code", "detail", "url"]), inner)
    ),
    max_leaves=8,
)


def outcome(platform: str, said: Reply) -> Receipt | PublishError:
    try:
        return publisher(platform).receipt(prepared(platform), said)
    except PublishError as error:
        return error


@platforms
@settings(deadline=None)
@given(status=st.integers(100, 599), body=st.binary(max_size=60) | junk.map(lambda v: json.dumps(v).encode()))
def test_no_reply_makes_it_raise_anything_but_a_publish_error(
    platform: str, status: int, body: bytes
) -> None:
    read = outcome(platform, reply(status, body))
    if isinstance(read, PublishError):
        assert "\n" not in str(read)
        assert len(str(read)) < 400
        return
    assert 200 <= status < 300
    assert read.remote_id
    assert read.url.startswith(("https://", "http://"))


@platforms
def test_a_receipt_is_read_from_an_agreeing_reply_the_same_way_each_time(platform: str) -> None:
    said = Reply(200, {}, json.dumps(AGREES).encode())
    first = publisher(platform).receipt(prepared(platform), said)
    assert isinstance(first, Receipt)
    assert first == publisher(platform).receipt(stored(prepared(platform)), said)


@platforms
def test_what_a_platform_echoes_of_a_token_stays_out_of_the_error(platform: str) -> None:
    token = "eyJhbGciOiJFUzI1NksifQ.eyJzY29wZSI6ImNvbS5hdHByb3RvIn0.c2lnbmF0dXJl"
    for echo in (
        {"error": token},
        {"error": "InvalidToken", "message": token},
        {"detail": token, "title": token},
    ):
        for status in (400, 401, 403, 500):
            with pytest.raises(PublishError) as caught:
                publisher(platform).receipt(prepared(platform), reply(status, json.dumps(echo).encode()))
            assert token not in str(caught.value)


Serve = Callable[[Callable[[Seen], Answer]], Scripted]
BROKEN = [
    Answer(200, b"<html>welcome</html>"),
    Answer(200, b""),
    Answer(200, {"error": "?"}),
    Answer(401, {"error": "Unauthorized"}),
    Answer(404, b"<html>"),
    Answer(429, b"", (("Retry-After", "60"),)),
    Answer(500, b""),
    Answer(503, {"data": []}),
    Answer(cut=True),
]


def moved(platform: str, url: str) -> Prepared:
    """What was prepared, with the account on another server."""
    before = prepared(platform)
    return replace(before, account=replace(before.account, server=url))


@platforms
@pytest.mark.parametrize("broken", BROKEN, ids=lambda a: "cut" if a.cut else f"{a.status} {a.body!r:.20}")
def test_a_look_that_was_not_answered_cannot_tell(
    platform: str, broken: Answer, serve: Serve, transport: Transport
) -> None:
    if publisher(platform).capability is Capability.WRITE_ONLY:
        pytest.skip("cannot look")
    server = serve(lambda _: broken)
    with pytest.raises(CannotTell):
        publisher(platform).find(moved(platform, server.url), KEY, DUE, transport.http(server.url, CANARY))


@platforms
def test_a_look_at_a_server_that_is_not_there_cannot_tell(platform: str, transport: Transport) -> None:
    if publisher(platform).capability is Capability.WRITE_ONLY:
        pytest.skip("cannot look")
    with Scripted(lambda _: Answer()) as gone:
        pass
    with pytest.raises(CannotTell):
        publisher(platform).find(moved(platform, gone.url), KEY, DUE, transport.http(gone.url, CANARY))


@platforms
@pytest.mark.parametrize("broken", BROKEN, ids=lambda a: "cut" if a.cut else f"{a.status} {a.body!r:.20}")
def test_preparing_against_a_broken_server_says_so_in_the_ports_words(
    platform: str, broken: Answer, serve: Serve, transport: Transport
) -> None:
    server = serve(lambda _: broken)
    if not prepared_with(platform, sample(platform))[1]:
        pytest.skip("asks nothing while preparing")
    with pytest.raises(PREPARING) as caught:
        publisher(platform).prepare(
            outgoing(sample(platform)), account(platform, server.url), transport.http(server.url, CANARY)
        )
    assert CANARY not in str(caught.value)
    if broken.status == 401 and not broken.cut:
        assert isinstance(caught.value, Unauthorised)


@platforms
def test_a_session_is_opened_without_the_token_and_never_shows_the_password(
    platform: str, serve: Serve, transport: Transport
) -> None:
    made = publisher(platform)
    if not isinstance(made, OpensSession):
        pytest.skip("has no sessions")
    for broken, error in zip(BROKEN, [OutcomeUnknown] * 3 + [PublishError] * 6, strict=True):
        server = serve(lambda _, said=broken: said)  # type: ignore[misc]
        with pytest.raises(error) as caught:
            made.open_session(
                account(platform, server.url), "the-password", transport.http(server.url, CANARY)
            )
        assert "the-password" not in str(caught.value)
        assert all("authorization" not in one.headers for one in server.seen)


def checks(platform: str) -> Checks:
    made = publisher(platform)
    if not isinstance(made, Checks):
        pytest.skip("has no checks")
    return made


@platforms
def test_what_fits_has_no_faults(platform: str) -> None:
    made = sample(platform)
    assert checks(platform).faults(made) == ()
    assert 0 < checks(platform).length(made).used <= checks(platform).length(made).limit


def bad(platform: str) -> list[Content]:
    """One content for each rule that every platform with pictures has."""
    limit = checks(platform).length(content(platform)).limit
    large = replace(media(), size=10**9)
    strange = replace(media(), mime="image/tiff", file="media/a.tiff")
    return [
        content(platform, "ab " * limit),
        content(platform, "  "),
        content(platform, media=(media(),) * 30),
        content(platform, media=(large,)),
        content(platform, media=(strange,)),
        content(platform, media=(media(alt="a" * 5000),)),
        content(platform, media=(media(alt="   "),)),
        content(platform, visibility="secret"),
    ]


@platforms
@pytest.mark.parametrize("case", range(8))
def test_each_fault_is_one_sentence_that_says_what_to_change(platform: str, case: int) -> None:
    made = bad(platform)[case]
    found = checks(platform).faults(made)
    assert len(found) == 1 or (found and made.media and not sample(platform).media)
    for fault in found:
        assert fault.endswith(".")
        assert "\n" not in fault
        assert any(
            cue in fault for cue in (": shorten", ": write", ": remove", ": make", ": use", ": describe")
        )


@platforms
def test_what_has_faults_is_refused_before_anything_is_sent(
    platform: str, serve: Serve, transport: Transport
) -> None:
    server = serve(lambda _: Answer(200, AGREES))

    def never(_: Media) -> bytes:
        raise AssertionError("read a picture of a post that cannot go out")

    for made in bad(platform):
        with pytest.raises(Rejected, match=r"^rules: "):
            publisher(platform).prepare(
                outgoing(made, never), account(platform, server.url), transport.http(server.url, CANARY)
            )
    assert {one.method for one in server.seen} <= {"GET"}


@platforms
@settings(deadline=None)
@given(text=st.text(max_size=300))
def test_counting_never_fails_and_is_the_same_each_time(platform: str, text: str) -> None:
    made = replace(sample(platform), text=text)
    assert checks(platform).length(made) == checks(platform).length(made)
    assert all(fault.strip() for fault in checks(platform).faults(made))


@platforms
def test_a_post_without_words_is_never_taken_for_another_one(
    platform: str, serve: Serve, transport: Transport
) -> None:
    made = publisher(platform)
    if made.capability is not Capability.LISTING:
        pytest.skip("does not search by words")
    server = serve(lambda _: Answer(200, {"data": [{"id": "1", "text": "", "message": ""}]}))
    before = moved(platform, server.url)
    with pytest.raises(CannotTell):
        made.find(
            replace(before, content=replace(before.content, text=" ")), KEY, DUE, transport.http(server.url)
        )
