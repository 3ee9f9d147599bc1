"""Counting and comparing words as the platforms do."""

from __future__ import annotations

import html
import unicodedata
from functools import lru_cache

import regex

from scheduler.publishers.text.tables import lent_pkg_resources

# A link that Mastodon and X would make clickable: scheme, a host with a dot, and no closing punctuation.
LINK = regex.compile(
    r"https?://(?P<host>(?:[\w-]{1,63}\.)+[^\W\d_][\w-]{1,62})(?::\d+)?(?:[/?#][^\s<>\"]*)?",
    regex.IGNORECASE,
)
_TAIL = ".,;:!?'\")]}»”’"
_MENTION = regex.compile(r"(?<![\w/])@(\w[\w.-]*)@((?:[\w-]+\.)+\w+)")
_HOST = regex.compile(r"[A-Za-z0-9_-]\.[A-Za-z]")
_GRAPHEME = regex.compile(r"\X")


def graphemes(text: str) -> int:
    """How many characters a reader would count."""
    return len(_GRAPHEME.findall(text))


def links(text: str) -> list[tuple[int, int]]:
    """Where the links are, as start and end; closing punctuation is not part of one."""
    found = []
    for match in LINK.finditer(text):
        start, end = match.span()
        while end > start and text[end - 1] in _TAIL and not _opened(text[start:end]):
            end -= 1
        found.append((start, end))
    return found


def _opened(link: str) -> bool:
    """Whether the closing bracket at the end was opened inside the link (Wikipedia has such)."""
    return link.endswith(")") and link.count("(") >= link.count(")")


def mastodon_length(text: str) -> int:
    """Mastodon's count: graphemes, a link is 23, a remote mention is its local part."""
    out, at = [], 0
    for start, end in links(text):
        if end - start > 4096:  # over-long links are not reduced
            continue
        out.append(text[at:start] + "x" * 23)
        at = end
    out.append(text[at:])
    return graphemes(_MENTION.sub(r"@\1", "".join(out)))


@lru_cache(4096)
def x_length(text: str) -> int:
    """X's weighted count. ASCII without anything like a host counts one each, and needs no parser."""
    if text.isascii() and not _HOST.search(text):
        return len(text)
    with lent_pkg_resources():
        from twitter_text import parse_tweet

    return int(parse_tweet(text).weightedLength)


def same_words(text: str) -> str:
    """Words for comparison: HTML entities read, white space folded, NFC."""
    return " ".join(unicodedata.normalize("NFC", html.unescape(text)).split())
