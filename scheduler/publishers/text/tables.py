"""The two tables of twitter-text-parser that we use: top-level domains and emoji (Unicode 12).

Its own `parse_tweet` is not used: its URL pattern needs 20 s for 4,000 characters of `a.a.a.`
(measured), it counts a bare © as an emoji, which twitter-text does not, and it imports pkg_resources,
which new versions of setuptools no longer have.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.resources import files
from types import ModuleType
from typing import Any

import regex


@contextmanager
def lent_pkg_resources() -> Iterator[None]:
    """Lend the one function of pkg_resources that the package calls, while it is being imported."""
    lent: Any = ModuleType("pkg_resources")
    lent.resource_string = lambda module, name: (files(module.rpartition(".")[0]) / name).read_bytes()
    before = sys.modules.get("pkg_resources")
    sys.modules["pkg_resources"] = lent
    try:
        yield
    finally:
        if before is None:
            del sys.modules["pkg_resources"]
        else:
            sys.modules["pkg_resources"] = before


@cache
def tables() -> tuple[str, Any]:
    """A pattern that matches a top-level domain and what must follow it, and a compiled emoji pattern."""
    with lent_pkg_resources():
        known = import_module("twitter_text.regexp.emoji").emoji_list
    gtld = import_module("twitter_text.regexp.valid_gtld").valid_gtld.pattern
    cctld = import_module("twitter_text.regexp.valid_cctld").valid_cctld.pattern
    return f"(?:{gtld}|{cctld}|xn--[-0-9a-z]+)", _emoji(known)


def _emoji(known: Iterable[Any]) -> Any:
    """Emoji of one or several code points. Joined ones count as one only where fully qualified.

    X's counter knows fewer forms without U+FE0F than Unicode lists, and no bare © or ®.
    """
    found = {
        "".join(chr(int(code, 16)) for code in entry.codepoint.split())
        for entry in known
        if entry.status == "fully-qualified" or "200D" not in entry.codepoint
    } - {"©", "®"}
    longest_first = sorted(found, key=len, reverse=True)
    single = "".join(e for e in longest_first if len(e) == 1)
    return regex.compile("|".join(regex.escape(e) for e in longest_first if len(e) > 1) + f"|[{single}]")
