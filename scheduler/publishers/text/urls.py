"""Which parts of a text a platform turns into a link: the URL rules of twitter-text 3 and of Mastodon.

Source of the rules: twitter-text's extractor (X's own documentation of counting points to it) and
Mastodon's config/initializers/twitter_regex.rb, which widens paths and protocols. Which dots have a
top-level domain behind them is found first, once for each dot: trying it again at every step back took
20 s for 4,000 characters of `a.a.a.` (measured).
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
_TLD_DOT = "\ufdd0"  # stands for such a dot while we search; Unicode will never make it a character

# X: characters of a path, and those that may end one; of a query, and those that may end one.
_X_PATH = rf"[{_TLD_DOT}{_ALNUM}{_CYRILLIC}{_LATIN}!*';:=+,.$/%#\[\]\-\u2013_~@|&]"
_X_END = rf"[{_ALNUM}{_CYRILLIC}{_LATIN}+\-=_#/]"
_X_QUERY, _X_QUERY_END = rf"[{_TLD_DOT}{_ALNUM}!?*'@();:&=+$/%#\[\]\-_.,~|]", rf"[{_ALNUM}\-_&=#/]"
# Mastodon: nearly everything but white space.
_M_PATH = r"[^\p{White_Space}<>()?]"
_M_END = rf"""[^\p{{White_Space}}()?!*"'「」<>;:=,.{_TLD_DOT}$%\[\]~&|@]"""
_UCHARS = r"\u00a0-\ud7ff\ue000-\ufdcf\ufdf0-\uffef\U00010000-\U0010fffd"
_M_QUERY = rf"[{_TLD_DOT}{_ALNUM}!?*'();:&=+$/%#\[\]\-_.,~|@^{_UCHARS}]"
_M_QUERY_END = rf"[{_ALNUM}_&=#/\-{_UCHARS}]"

MAX_URL = 4096  # characters of a URL, its domain in punycode; longer ones are not linked
MAX_LABEL = 63  # characters between two dots of a domain, in punycode
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
    for match in _x_pattern().finditer(_marked(text)):
        if not _fits(match, text):
            continue
        if match["protocol"]:
            found += _with_protocol(match, text)
        elif not match["before"].endswith(("-", "_", ".", _TLD_DOT, "/")):
            found += _bare(match)
    return found


def mastodon_urls(text: str) -> list[Span]:
    """Every URL that Mastodon links: those with a protocol only."""
    if "://" not in text:
        return []
    return [
        Span(*match.span("url"))
        for match in _mastodon_pattern().finditer(_marked(text))
        if match["protocol"] and _fits(match, text)
    ]


def _marked(text: str) -> str:
    """The text, as long as before, with each dot before a top-level domain replaced by _TLD_DOT."""
    return str(_tld_dots().sub(_TLD_DOT, text.replace(_TLD_DOT, "\ufffe")))


def _with_protocol(match: Any, text: str) -> list[Span]:
    start, end = match.span("url")
    short = _short().match(text[start:end])
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


def _fits(match: Any, text: str) -> bool:
    labels = [_punycode(label) for label in text[slice(*match.span("domain"))].split(".")]
    domain = sum(labels) + len(labels) - 1
    extra = domain - len(match["domain"]) + len(match["protocol"] or "https://")
    return max(labels) <= MAX_LABEL and len(match["url"]) + extra <= MAX_URL


def _punycode(label: str) -> int:
    """How long a label of a domain is in ASCII. No preparation: the platforms' counters do none."""
    return len(label) if label.isascii() else len("xn--" + label.encode("punycode").decode())


def _pattern(protocols: str, path: str, query: str) -> Any:
    tld, _ = tables()
    char = rf"[^{_TLD_DOT}{_PUNCTUATION}{_SPACES}{_NEVER}{_DIRECTION}]"
    subdomain = rf"{char}++(?:[_-]++{char}++)*+[.{_TLD_DOT}]"
    name = rf"{char}++(?:-++{char}++)*+{_TLD_DOT}"
    return regex.compile(
        rf"(?P<before>[^A-Za-z0-9@＠$#＃{_NEVER}]|[{_DIRECTION}]|^)"
        rf"(?P<url>(?P<protocol>(?:{protocols})://)?(?P<domain>(?:{subdomain})*{name}{tld})"
        rf"(?::[0-9]+)?(?P<path>/{path})?(?:\?{query})?)",
        regex.IGNORECASE | regex.VERSION0,
    )


@cache
def _x_pattern() -> Any:
    parens = _parens(_X_PATH)
    path = rf"(?:(?:{_X_PATH}|{parens})*{_X_END}|{parens})*"  # parentheses end a path only after its end
    return _pattern("https?", path, f"{_X_QUERY}*{_X_QUERY_END}")


@cache
def _mastodon_pattern() -> Any:
    protocols = "https?|dat|dweb|ipfs|ipns|ssb|gopher|gemini"
    parens = _parens(_M_PATH)
    path = rf"(?:(?:{_M_PATH}|{parens})*(?:{_M_END}|{parens}))?"
    return _pattern(protocols, path, f"{_M_QUERY}*{_M_QUERY_END}")


def _parens(path: str) -> str:
    """Balanced parentheses, one pair within another at most."""
    return rf"\((?:{path}++|{path}*+\({path}++\){path}*+)\)"


@cache
def _tld_dots() -> Any:
    tld, _ = tables()
    return regex.compile(rf"\.(?={tld})", regex.IGNORECASE)


@cache
def _ascii_domain() -> Any:
    tld, _ = tables()
    label = rf"[-{_ALNUM}{_LATIN}]++"
    return regex.compile(rf"(?:{label}[.{_TLD_DOT}])*{label}{_TLD_DOT}{tld}", regex.IGNORECASE)


@cache
def _short() -> Any:
    query = rf"(?:\?{_X_QUERY}*{_X_QUERY_END})?"
    return regex.compile(rf"https?://t\.co/([a-z0-9]+){query}", regex.IGNORECASE)
