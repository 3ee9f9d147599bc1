"""Comparing words: what a platform shows of a post against the words that were sent."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable
from html.parser import HTMLParser

_PROTOCOL = re.compile(r"https?://", re.IGNORECASE)
_CLOSING_SLASH = re.compile(r"/(?=\s|$)")
_REMOTE = re.compile(r"(@[\w.-]+)@[\w.-]+\.\w+")
# X appends a link to the post's own pictures; it is not part of the words.
_X_PICTURE = re.compile(r"https?://(?:www\.)?(?:x|twitter)\.com/[^/]+/status/[0-9]+/(?:photo|video)/[0-9]+")


def same(one: str, other: str) -> bool:
    """Equal but for the form of line ends, outer white space and Unicode composition."""
    return _folded(one) == _folded(other)


def _folded(text: str) -> str:
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").strip().split("\n")
    return "\n".join(line.rstrip() for line in lines)


def plain(text: str) -> str:
    """Words for comparing across X's rewriting: single spaces, links without protocol and closing slash."""
    text = _PROTOCOL.sub("", unicodedata.normalize("NFC", text))
    return " ".join(_CLOSING_SLASH.sub("", text).split()).casefold()


def expanded(text: str, links: Iterable[tuple[str, str]]) -> str:
    """X's text with its entities read: t.co links expanded, links to the own pictures left out."""
    for short, full in links:
        text = text.replace(short, "" if _X_PICTURE.match(full) else full)
    return html.unescape(text)


def letters(text: str) -> str:
    """Only letters and digits, remote mentions shortened: what survives every server's HTML."""
    plain = _REMOTE.sub(r"\1", unicodedata.normalize("NFKC", text))
    return "".join(filter(str.isalnum, plain)).casefold()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_data(self, data: str) -> None:
        self.found.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("br", "p", "div"):
            self.found.append("\n")


def from_html(page: str) -> str:
    """The words of a status's HTML, a line break for each paragraph and `<br>`."""
    reader = _Text()
    reader.feed(page)
    reader.close()
    return "".join(reader.found).strip()
