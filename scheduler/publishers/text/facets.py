"""Bluesky's rich text: which words are links, tags and mentions, as UTF-8 byte ranges.

The server makes none of them: words without a facet are dead text (platforms.md A2). The rules are
those of the reference client (@atproto/api 0.19 rich-text/detection and util), so that a post looks as
if it had been typed into the app.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import regex

from scheduler.publishers.text.tables import tables

_SPACE = r"\t-\r\x20\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"  # JavaScript's \s
_HIDDEN = r"\u00ad\u2060\u200a\u200b\u200c\u200d\u20e2"
_EDGE = r"(?:(?<=[A-Za-z0-9_])(?![A-Za-z0-9_])|(?<![A-Za-z0-9_])(?=[A-Za-z0-9_]))"  # JavaScript's \b
_MENTION = regex.compile(rf"(?:^|[{_SPACE}(])@(?P<handle>[a-zA-Z0-9.-]+){_EDGE}")
_LINK = regex.compile(
    rf"(?:^|[{_SPACE}(])(?P<uri>https?://[^{_SPACE}]+|(?P<domain>[a-z][a-z0-9]*(?:\.[a-z0-9]+)+)[^{_SPACE}]*)",
    regex.IGNORECASE | regex.MULTILINE,
)
_TAG = regex.compile(
    rf"(?:^|[{_SPACE}])(?P<mark>[#＃])(?!\ufe0f)"
    rf"(?P<tag>[^{_SPACE}{_HIDDEN}]*[^0-9{_SPACE}\p{{P}}{_HIDDEN}][^{_SPACE}{_HIDDEN}]*)"
)
_CASHTAG = regex.compile(
    rf"(?:^|[{_SPACE}(])\$(?P<ticker>[A-Za-z][A-Za-z0-9]{{0,4}})(?=[{_SPACE}]|$|[.,;:!?)\"'\u2019])"
)
_END_PUNCTUATION = regex.compile(r"\p{P}+$")
_URI = regex.compile(r"\w+:(?://)?[^\s/]\S*")  # the lexicon's format `uri`; anything else is refused whole
MAX_URI = 8192  # characters
MAX_TAG = 64  # UTF-16 units, as the reference client counts


def mentions(text: str) -> tuple[str, ...]:
    """The handles that the text mentions, in order, each once; they still need their DIDs."""
    return tuple(dict.fromkeys(m["handle"] for m in _mentioned(text)))


def facets(text: str, dids: Mapping[str, str]) -> list[dict[str, Any]]:
    """The facets of a text in order of their place. `dids` are the known DIDs of mentioned handles.

    A mention whose handle is not in `dids` stays plain text.
    """
    found = [
        (m.start("handle") - 1, m.end("handle"), {"$type": f"{_FACET}#mention", "did": dids[m["handle"]]})
        for m in _mentioned(text)
        if m["handle"] in dids
    ]
    found += _links(text) + _tags(text)
    return [_facet(text, *place) for place in sorted(found, key=lambda f: f[:2])]


_FACET = "app.bsky.richtext.facet"
_Place = tuple[int, int, dict[str, str]]


def _facet(text: str, start: int, end: int, feature: dict[str, str]) -> dict[str, Any]:
    first = len(text[:start].encode())
    index = {"byteStart": first, "byteEnd": first + len(text[start:end].encode())}
    return {"index": index, "features": [feature]}


def _mentioned(text: str) -> list[Any]:
    return [m for m in _MENTION.finditer(text) if _is_domain(m["handle"]) or m["handle"].endswith(".test")]


def _links(text: str) -> list[_Place]:
    found: list[_Place] = []
    for m in _LINK.finditer(text):
        uri, start = m["uri"], m.start("uri")
        if not uri.startswith(("http://", "https://")):
            if not m["domain"] or not _is_domain(m["domain"]):
                continue
            uri = f"https://{uri}"
        added = len(uri) - len(m["uri"])
        if uri[-1] in ".,;:!?":
            uri = uri[:-1]
        if uri.endswith(")") and "(" not in uri:
            uri = uri[:-1]
        if not _URI.fullmatch(uri) or len(uri) > MAX_URI:
            continue
        found.append((start, start + len(uri) - added, {"$type": f"{_FACET}#link", "uri": uri}))
    return found


def _tags(text: str) -> list[_Place]:
    found: list[_Place] = []
    for m in _TAG.finditer(text):
        tag = _END_PUNCTUATION.sub("", m["tag"])
        if tag and len(tag.encode("utf-16-le")) // 2 <= MAX_TAG:
            start = m.start("mark")
            found.append((start, start + 1 + len(tag), {"$type": f"{_FACET}#tag", "tag": tag}))
    for m in _CASHTAG.finditer(text):
        start = m.start("ticker") - 1
        ticker = f"${m['ticker'].upper()}"
        found.append((start, m.end("ticker"), {"$type": f"{_FACET}#tag", "tag": ticker}))
    return found


@cache
def _ends_in_tld() -> Any:
    return regex.compile(rf".*\.{tables()[0]}", regex.DOTALL)


def _is_domain(name: str) -> bool:
    """Whether the name ends in a top-level domain in lower case, as the reference client has it."""
    return _ends_in_tld().fullmatch(name) is not None
