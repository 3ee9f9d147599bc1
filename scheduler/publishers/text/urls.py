"""Which parts of a text a platform turns into a link: the URL rules of twitter-text 3 and of Mastodon.

Source of the rules: twitter-text's extractor (X's own documentation of counting points to it) and
Mastodon's config/initializers/twitter_regex.rb, which widens paths and protocols. Every repetition is
possessive or can end in one place only, so that no text takes more than a moment.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import regex

from scheduler.publishers.text.tables import tables

_PUNCTUATION = r"!'#%&()*+,\-./:;<=>?@\[\]^_{|}~$"
_SPACES = r"\t-\r\x20\x85\xa0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_NEVER = r"\ufffe\ufeff\uffff"
_DIRECTION = r"\u202a-\u202e\u061c\u200e\u200f\u2066-\u2069"
_LATIN = (
    r"\xc0-\xd6\xd8-\xf6\xf8-\xff\u0100-\u024f\u0253\u0254\u0256\u0257\u0259\u025b\u0263\u0268\u026f"
    r"\u0272\u0289\u028b\u02bb\u0300-\u036f\u1e00-\u1eff"
)
_CYRILLIC = r"\u0400-\u04ff"
_ALNUM = "a-z0-9"

# X: characters of a path, and those that may end one; of a query, and those that may end one.
_X_PATH = rf"[{_ALNUM}{_CYRILLIC}{_LATIN}!*';:=+,.$/%#\[\]\-\u2013_~@|&]"
_X_END = rf"[{_ALNUM}{_CYRILLIC}{_LATIN}+\-=_#/]"
_X_QUERY, _X_QUERY_END = rf"[{_ALNUM}!?*'@();:&=+$/%#\[\]\-_.,~|]", rf"[{_ALNUM}\-_&=#/]"
# Mastodon: nearly everything but white space.
_M_PATH = r"[^\p{White_Space}<>()?]"
_M_END = r"""[^\p{White_Space}()?!*"'「」<>;:=,.$%\[\]~&|@]"""
_UCHARS = r"\u00a0-\ud7ff\ue000-\ufdcf\ufdf0-\uffef\U00010000-\U0010fffd"
_M_QUERY = rf"[{_ALNUM}!?*'();:&=+$/%#\[\]\-_.,~|@^{_UCHARS}]"
_M_QUERY_END = rf"[{_ALNUM}_&=#/\-{_UCHARS}]"

MAX_URL = 4096  # characters of a URL, its domain in punycode; longer ones are not linked
MAX_SHORT = 40  # characters after https://t.co/


class Span(NamedTuple):
    """Where a URL stands in the text, in code points; `end` is the first one after it."""

    start: int
    end: int


def x_urls(text: str) -> list[Span]:
    """Every URL that X shortens, with or without a protocol, in order."""
    found: list[Span] = []
    if "." not in text:
        return found
    for match in _x_pattern().finditer(text):
        if not _fits(match):
            continue
        if match["protocol"]:
            found += _with_protocol(match)
        elif not match["before"].endswith(("-", "_", ".", "/")):
            found += _bare(match)
    return found


def mastodon_urls(text: str) -> list[Span]:
    """Every URL that Mastodon links: those with a protocol only."""
    if "://" not in text:
        return []
    return [
        Span(*match.span("url"))
        for match in _mastodon_pattern().finditer(text)
        if match["protocol"] and _fits(match)
    ]


def _with_protocol(match: Any) -> list[Span]:
    start, end = match.span("url")
    short = _short().match(match["url"])
    if short is None:
        return [Span(start, end)]
    return [] if len(short[1]) > MAX_SHORT else [Span(start, start + short.end())]


def _bare(match: Any) -> list[Span]:
    """Without a protocol only ASCII domains are linked; the last of them takes the path."""
    offset = match.start("domain")
    found = [Span(offset + m.start(), offset + m.end()) for m in _ascii_domain().finditer(match["domain"])]
    if found and match["path"]:
        found[-1] = Span(found[-1].start, match.end("url"))
    return found


def _fits(match: Any) -> bool:
    try:
        domain = match["domain"].encode("idna")
    except UnicodeError:  # an empty label, or one of more than 63 characters
        return False
    extra = len(domain) - len(match["domain"]) + len(match["protocol"] or "https://")
    return len(match["url"]) + extra <= MAX_URL


def _pattern(protocols: str, path: str, end: str, query: str, query_end: str) -> Any:
    tld, _ = tables()
    char = rf"[^{_PUNCTUATION}{_SPACES}{_NEVER}{_DIRECTION}]"
    subdomain, name = rf"{char}++(?:[_-]++{char}++)*+\.", rf"{char}++(?:-++{char}++)*+\."
    parens = rf"\((?:{path}++|{path}*+\({path}++\){path}*+)\)"
    return regex.compile(
        rf"(?P<before>[^A-Za-z0-9@＠$#＃{_NEVER}]|[{_DIRECTION}]|^)"
        rf"(?P<url>(?P<protocol>(?:{protocols})://)?(?P<domain>(?:{subdomain})*{name}{tld})"
        rf"(?::[0-9]+)?(?P<path>/(?:(?:{path}|{parens})*(?:{end}|{parens}))?)?(?:\?{query}*{query_end})?)",
        regex.IGNORECASE | regex.VERSION0,
    )


@cache
def _x_pattern() -> Any:
    return _pattern("https?", _X_PATH, _X_END, _X_QUERY, _X_QUERY_END)


@cache
def _mastodon_pattern() -> Any:
    protocols = "https?|dat|dweb|ipfs|ipns|ssb|gopher|gemini"
    return _pattern(protocols, _M_PATH, _M_END, _M_QUERY, _M_QUERY_END)


@cache
def _ascii_domain() -> Any:
    tld, _ = tables()
    return regex.compile(rf"(?:[-{_ALNUM}{_LATIN}]++\.)+{tld}", regex.IGNORECASE)


@cache
def _short() -> Any:
    query = rf"(?:\?{_X_QUERY}*{_X_QUERY_END})?"
    return regex.compile(rf"https?://t\.co/([a-z0-9]+){query}", regex.IGNORECASE)
