"""Counting and links: what the platforms' own suites fix, in cases of our own."""

from __future__ import annotations

import time
import unicodedata
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.publishers.text.count import graphemes, mastodon_length, x_weight
from scheduler.publishers.text.facets import facets, mentions
from scheduler.publishers.text.urls import mastodon_urls, x_urls
from scheduler.publishers.text.words import expanded, from_html, letters, plain, same

FAMILY, WALES = "👨‍👩‍👧‍👦", "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("", 0),
        ("Mae’n iawn.", 11),
        ("…", 2),
        ("“–—”", 4),
        ("日本語", 6),
        ("한국", 4),
        ("हिन्दी", 6),
        ("ศึกษา", 5),
        ("שלום", 4),
        ("e\u0301", 1),  # NFC makes one of two
        ("\U0001d400", 2),
        ("👍", 2),
        ("👍🏽", 2),
        (FAMILY, 2),
        (WALES, 2),
        ("🇬🇧", 2),
        ("1\ufe0f\u20e3", 2),
        ("❤", 2),
        ("❤\ufe0f", 2),
        ("©®™", 4),
        ("©\ufe0f", 2),
        ("12#*", 4),
        ("👨👩", 4),
        ("a\u200bb", 3),
        ("\u202aa\u202c", 5),
        ("https://a.uk", 23),
        ("stopitnow.org.uk", 23),
        ("https://www.example.org/" + "a" * 400, 23),
        ("see https://example.org/a?b=c#d, or example.com.", 4 + 23 + 5 + 23 + 1),
        ("(https://en.wikipedia.org/wiki/Police_(disambiguation))", 25),
        ("someone@example.com", 19),
        ("https://" + "a" * 64 + ".com", 76),  # a label of more than 63 characters
        ("https://example.org/" + "a" * 5000, 5020),  # longer than a URL may be
        ("https://intranet/page", 21),
    ],
)
def test_x_weighs_texts_as_twitter_text_3_does(text: str, weight: int) -> None:
    assert x_weight(text) == weight


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Go to www.example.co.uk/a_(b) now", ["www.example.co.uk/a_(b)"]),
        ("example.police.uk, example.cymru; example.zz", ["example.police.uk", "example.cymru"]),
        ("日本語example.com日本語https://example.jp/道", ["example.com", "https://example.jp/"]),
        ("https://例え.jp/a", ["https://例え.jp/a"]),
        ("@example.com #example.com $example.com", []),
        ("-example.com _example.com .example.com /example.com", []),
        ("https://-bad.com https://bad-.com https://a_b.com", []),
        ("https://a_b.example.com", ["https://a_b.example.com"]),
        ("https://t.co/abc/def", ["https://t.co/abc"]),
        ("https://t.co/" + "a" * 41, []),
        (
            "https://example.com/a+ https://example.com/a.",
            ["https://example.com/a+", "https://example.com/a"],
        ),
        ("https://example.com:8080/?a=b&c", ["https://example.com:8080/?a=b&c"]),
        ("ftp://example.com", []),
    ],
)
def test_x_links_what_twitter_text_3_links(text: str, found: list[str]) -> None:
    assert [text[start:end] for start, end in x_urls(text)] == found


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("a" * 476 + " https://" + "b" * 30 + ".com/example", 500),
        ("a" * 476 + "https://" + "b" * 30 + ".com/example", 526),  # runs into the word: not a link
        ("example.org", 11),  # only with a protocol
        ("https://example.org/?" + "#foo?" * 1000, 5021),
        ("hello @alice@" + "b" * 30 + ".com", 12),
        ("hello @alice and @bob.", 22),
        ("@alice@" + "b" * 500 + ".com", 511),
        ("mail alice@example.org", 22),
        (FAMILY + "é" + "e\u0301", 3),
        ("नमस्ते", 3),
        ("https://example.org/@alice@example.com", 23),
    ],
)
def test_mastodon_counts_graphemes_links_as_23_and_mentions_by_their_local_part(
    text: str, length: int
) -> None:
    assert mastodon_length(text) == length


def test_a_server_says_itself_what_a_url_counts() -> None:
    assert mastodon_length("see https://example.org/", 32) == 36
    assert [(s.start, s.end) for s in mastodon_urls("see https://example.org/")] == [(4, 24)]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("\r\n", 1),
        ("a\u0308", 1),
        ("각", 1),
        ("\u1100\u1161\u11a8", 1),
        ("🇬🇧🇫🇷", 2),
        ("🇬🇧🇫", 2),
        (FAMILY * 3, 3),
        ("👍🏽👍", 2),
        (WALES, 1),
        ("नि", 1),
        ("ক্ষ", 1),
        ("க்ஷி", 2),
        ("กำ", 1),
        ("ห้", 1),
        ("\u0600a", 1),
        ("a\u200d", 1),
        ("a\u200db", 2),
        ("#\ufe0f\u20e3", 1),
        ("\u200b", 1),
    ],
)
def test_graphemes_break_where_unicode_says(text: str, count: int) -> None:
    assert graphemes(text) == count


class Anyone(dict[str, str]):
    """Every handle has a DID."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> str:
        return f"did:fake:{key}"


def marked(text: str) -> list[tuple[str, str]]:
    """What is marked, and what it leads to."""
    raw = text.encode()
    return [
        (raw[f["index"]["byteStart"] : f["index"]["byteEnd"]].decode(), _target(f["features"][0]))
        for f in facets(text, Anyone())
    ]


def _target(feature: dict[str, Any]) -> str:
    return next(str(v) for k, v in feature.items() if k != "$type")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nothing here", []),
        ("ask @force.example.com!", [("@force.example.com", "did:fake:force.example.com")]),
        ("(@a.test) x@b.test", [("@a.test", "did:fake:a.test")]),
        ("@nodomain @bad.notatld", []),
        ("https://a.uk/b?c#d, then", [("https://a.uk/b?c#d", "https://a.uk/b?c#d")]),
        ("(https://a.uk)", [("https://a.uk", "https://a.uk")]),
        ("https://a.uk/b_(c)", [("https://a.uk/b_(c)", "https://a.uk/b_(c)")]),
        ("go to stopitnow.org.uk/help.", [("stopitnow.org.uk/help", "https://stopitnow.org.uk/help")]),
        ("httpbin.org", [("httpbin.org", "https://httpbin.org")]),
        ("photo.jpg e.g. a..b", []),
        ("https:// http://. https:///", []),  # a facet with such a URI makes the server refuse the post
        ("#Atal #1 #a1 #_x #x_", [("#Atal", "Atal"), ("#a1", "a1"), ("#_x", "_x"), ("#x", "x")]),
        ("＃日本 #👍🏽!", [("＃日本", "日本"), ("#👍🏽", "👍🏽")]),
        ("#a#b ##c", [("#a#b", "a#b"), ("##c", "#c")]),
        ("#" + "a" * 64 + " #" + "b" * 65, [("#" + "a" * 64, "a" * 64)]),
        ("$acme rose, $1 did not", [("$acme", "$ACME")]),
        (f"{FAMILY} #Helô", [("#Helô", "Helô")]),
    ],
)
def test_bluesky_marks_links_tags_and_mentions_by_bytes(text: str, found: list[tuple[str, str]]) -> None:
    assert marked(text) == found


def test_a_mention_without_a_did_stays_plain_text() -> None:
    assert mentions("@a.com and @b.com and @a.com") == ("a.com", "b.com")
    assert len(facets("@a.com and @b.com and @a.com", MappingProxyType({"a.com": "did:x"}))) == 2


@settings(deadline=None)
@given(st.text(alphabet="a.#@/:-_ hts👍é日\n(", max_size=60))
def test_facets_cut_the_bytes_of_any_text_at_whole_characters(text: str) -> None:
    raw = text.encode()
    for facet in facets(text, Anyone()):
        start, end = facet["index"]["byteStart"], facet["index"]["byteEnd"]
        assert 0 <= start < end <= len(raw)
        raw[start:end].decode()


@pytest.mark.parametrize(
    "text",
    ["a." * 2000, "日.本." * 1500, "https://a.com/" + "(a" * 2000, "@a." * 1500, "#" * 4000, "😀" * 4000],
)
def test_no_text_takes_more_than_a_moment(text: str) -> None:
    before = time.process_time()
    x_weight(text), mastodon_length(text), facets(text, {})
    assert time.process_time() - before < 3  # twitter-text-parser: 20 s for the first of them


def test_hundreds_of_texts_are_counted_in_a_second() -> None:
    text = f"Last year 285 people in Dorset {FAMILY} went to https://www.stopitnow.org.uk/ — #StopItNow " * 3
    before = time.process_time()
    for _ in range(300):
        x_weight(text)
    assert time.process_time() - before < 2


@settings(deadline=None)
@given(st.text(max_size=80))
def test_the_weight_of_a_text_is_that_of_its_composed_form(text: str) -> None:
    assert x_weight(text) == x_weight(unicodedata.normalize("NFC", text))
    assert x_weight(text) <= 2 * len(unicodedata.normalize("NFC", text)) + 23 * len(x_urls(text))


def test_words_are_compared_across_what_platforms_do_to_them() -> None:
    assert same("cafe\u0301\r\nnext ", "café\nnext")
    assert not same("two  spaces", "two spaces")
    shown = "Ask &amp; tell https://t.co/a https://t.co/b"
    full = [("https://t.co/a", "http://example.org/"), ("https://t.co/b", "https://x.com/d/status/1/photo/1")]
    assert plain(expanded(shown, full)) == plain("Ask & tell example.org")


def test_html_is_read_as_the_words_it_shows() -> None:
    page = (
        '<p>Ask <a href="https://a.uk/b"><span class="invisible">https://</span><span>a.uk/b</span></a>'
        '<br>now &amp; <span class="h-card">@<span>alice</span></span></p><p>#Atal</p>'
    )
    assert from_html(page) == "Ask https://a.uk/b\nnow & @alice\n#Atal"
    assert letters(from_html(page)) == letters("Ask https://a.uk/b\nnow & @alice@b.uk\n\n#Atal")
