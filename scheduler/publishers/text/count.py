"""How long a text is as each platform counts it."""

from __future__ import annotations

import unicodedata

import regex

from scheduler.publishers.text.tables import tables
from scheduler.publishers.text.urls import Span, mastodon_urls, x_urls

_GRAPHEME = regex.compile(r"\X")
# Code points that weigh 1 on X, the others 2 (twitter-text's configuration version 3).
_LIGHT = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))
_URL = 23  # what any URL costs on X and, unless the server says otherwise, on Mastodon
_MENTION = regex.compile(
    r"(?<![=/\w])@(?P<user>[a-z0-9_]+(?:[.-]+[a-z0-9_]+)*)(?:@(?P<domain>\w+(?:[.-]+\w+)*))?",
    regex.IGNORECASE,
)
_AFTER_MENTION = regex.compile(r"[@＠\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]|://")
_MAX_DOMAIN = 253  # a longer domain is no mention, so all of it counts


def graphemes(text: str) -> int:
    """Extended grapheme clusters (Unicode Annex 29): what a reader calls a character."""
    return len(_GRAPHEME.findall(text))


def x_weight(text: str) -> int:
    """X's weighted length of the text in NFC: a URL 23, an emoji 2, CJK 2, Latin 1.

    Source: docs.x.com fundamentals/counting-characters; twitter-text, configuration version 3.
    """
    text = unicodedata.normalize("NFC", text)
    spans = {span.start: span.end for span in x_urls(text)}
    emoji = _emoji(text)
    weight = index = 0
    while index < len(text):
        if index in spans:
            weight += _URL
            index = spans[index]
        elif index in emoji:
            weight += 2
            index = emoji[index]
        else:
            code = ord(text[index])
            weight += 1 if any(low <= code <= high for low, high in _LIGHT) else 2
            index += 1
    return weight


def _emoji(text: str) -> dict[int, int]:
    """Start and end of each emoji."""
    if text.isascii():  # a keycap needs U+20E3, so plain ASCII has none
        return {}
    return {m.start(): m.end() for m in tables()[1].finditer(text)}


def mastodon_length(text: str, url: int = _URL) -> int:
    """Mastodon's length in graphemes: each linked URL counts `url`, a remote mention its local part.

    Source: Mastodon's status_length_validator.rb with app/lib/extractor.rb. Overlong URLs and domains
    are not linked there, so they count in full.
    """
    short, last = "", 0
    for span, instead in _entities(text, url):
        if span.start >= last:
            short += text[last : span.start] + instead
            last = span.end
    return graphemes(short + text[last:])


def _entities(text: str, url: int) -> list[tuple[Span, str]]:
    found = [(span, "x" * url) for span in mastodon_urls(text)]
    for match in _MENTION.finditer(text):
        if not _AFTER_MENTION.match(text, match.end()) and len(match["domain"] or "") <= _MAX_DOMAIN:
            found.append((Span(*match.span()), f"@{match['user']}"))
    return sorted(found)
