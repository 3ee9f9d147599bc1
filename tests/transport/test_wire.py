"""Requests become exactly the bytes we mean, or are refused."""

from __future__ import annotations

import email.parser
import email.policy
import math

import pytest

from scheduler.domain.publisher import Request
from scheduler.errors import NotSent
from scheduler.transport.wire import USER_AGENT, Field, Origin, json_body, multipart, serialise

AGENT = USER_AGENT.encode()


def test_a_mastodon_status_becomes_these_bytes() -> None:
    request = Request(
        "POST",
        "https://mastodon.example/api/v1/statuses",
        (("Content-Type", "application/json"), ("Idempotency-Key", "k1")),
        json_body({"status": "Grüße 🎈", "visibility": "public"}),
    )
    assert serialise(request, "tok") == (
        b"POST /api/v1/statuses HTTP/1.1\r\nHost: mastodon.example\r\nAuthorization: Bearer tok\r\n"
        b"User-Agent: " + AGENT + b"\r\nAccept-Encoding: identity\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nIdempotency-Key: k1\r\nContent-Length: 47\r\n\r\n"
        + '{"status":"Grüße 🎈","visibility":"public"}'.encode()
    )


def test_a_look_without_a_token_becomes_these_bytes() -> None:
    request = Request("GET", "http://127.0.0.1:8080?limit=20&since=1")
    assert serialise(request) == (
        b"GET /?limit=20&since=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
        b"User-Agent: " + AGENT + b"\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
    )


def test_a_post_without_a_body_says_so() -> None:
    assert b"\r\nContent-Length: 0\r\n\r\n" in serialise(Request("POST", "https://a.example/x"))


def test_a_fragment_stays_at_home() -> None:
    assert serialise(Request("GET", "https://a.example/x#secret")).startswith(b"GET /x HTTP/1.1\r\n")


def test_an_ipv6_host_keeps_its_brackets() -> None:
    assert b"\r\nHost: [::1]:81\r\n" in serialise(Request("GET", "http://[::1]:81/"))


@pytest.mark.parametrize("value", ["a\r\nX: 1", "a\nb", "a\rb", "a\x00b", "é", " padded", "a\x7f"])
def test_a_header_cannot_smuggle_another_line(value: str) -> None:
    with pytest.raises(NotSent) as refused:
        serialise(Request("POST", "https://a.example/", (("X-Key", value),)))
    assert value not in str(refused.value)


@pytest.mark.parametrize("token", ["to\r\nken", "to\nken", "tok\x00", "tök"])
def test_a_token_cannot_smuggle_another_line_and_is_not_shown(token: str) -> None:
    with pytest.raises(NotSent) as refused:
        serialise(Request("GET", "https://a.example/"), token)
    assert token not in str(refused.value)


@pytest.mark.parametrize("name", ["X Key", "X:Key", "", "X\r\nY", "Schlüssel"])
def test_a_header_name_is_a_word(name: str) -> None:
    with pytest.raises(NotSent):
        serialise(Request("GET", "https://a.example/", ((name, "1"),)))


@pytest.mark.parametrize(
    "name", ["Host", "authorization", "Content-Length", "TRANSFER-ENCODING", "Connection", "Expect"]
)
def test_a_publisher_cannot_set_what_is_ours(name: str) -> None:
    with pytest.raises(NotSent, match="transport's to set"):
        serialise(Request("POST", "https://a.example/", ((name, "1"),)))


@pytest.mark.parametrize(
    "url",
    [
        "https://a.example/a b",
        "https://a.example/\r\nX: 1",
        "https://a.example/é",
        "https://user:pass@a.example/",
        "ftp://a.example/",
        "file:///etc/passwd",
        "https:///x",
        "https://a.example:99999/",
        "//a.example/",
        "http://a.example/",
        "http://10.0.0.1/",
        "https://[::1/",
    ],
)
def test_an_address_we_do_not_send_to_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(NotSent) as refused:
        serialise(Request("GET", url))
    assert url not in str(refused.value)
    assert "pass" not in str(refused.value)


@pytest.mark.parametrize("method", ["", "GE T", "GET\r\n"])
def test_a_method_is_a_word(method: str) -> None:
    with pytest.raises(NotSent):
        serialise(Request(method, "https://a.example/"))


def test_origins_are_equal_where_scheme_host_and_port_are() -> None:
    assert Origin.of("https://A.example/x") == Origin.of("https://a.example:443")
    assert Origin.of("https://a.example") != Origin.of("https://a.example:444")
    assert Origin.of("http://localhost") != Origin.of("https://localhost")
    assert Origin.of("https://a.example.evil.example") != Origin.of("https://a.example")


def test_a_multipart_form_is_the_same_bytes_each_time_and_a_parser_reads_it_back() -> None:
    fields: list[Field] = [
        ("file", "poster é.png", b"\x89PNG\r\n--x\r\n", "image/png"),
        ("description", "Alt text, “quoted”"),
    ]
    body, content_type = multipart(fields)
    assert (body, content_type) == multipart(fields)
    message = email.parser.BytesParser(policy=email.policy.default).parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
    )
    picture, alt = message.iter_parts()
    assert picture.get_payload(decode=True) == b"\x89PNG\r\n--x\r\n"
    assert picture.get_content_type() == "image/png"
    assert 'name="file"' in picture["Content-Disposition"]
    assert alt.get_payload(decode=True) == "Alt text, “quoted”".encode()


def test_different_fields_have_different_boundaries() -> None:
    assert multipart([("a", "bc")])[1] != multipart([("ab", "c")])[1]


def test_a_golden_multipart_form() -> None:
    body, content_type = multipart([("a", "1"), ("f", "x.png", b"P", "image/png")])
    boundary = content_type.removeprefix("multipart/form-data; boundary=")
    assert body.replace(boundary.encode(), b"B") == (
        b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
        b'--B\r\nContent-Disposition: form-data; name="f"; filename="x.png"\r\n'
        b"Content-Type: image/png\r\n\r\nP\r\n--B--\r\n"
    )


def test_a_file_name_cannot_break_out_of_its_header() -> None:
    body, _ = multipart([("f", 'a"\r\nX: 1\r\n\r\n', b"", "image/png")])
    assert b"\r\nX: 1" not in body


def test_json_is_compact_utf8_in_the_given_order() -> None:
    assert json_body({"b": "é", "a": [1, None]}) == '{"b":"é","a":[1,null]}'.encode()


def test_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        json_body(math.nan)
