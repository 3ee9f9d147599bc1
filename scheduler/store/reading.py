"""Rows of deliveries as domain values: what is damaged costs its own delivery only."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from scheduler.domain.content import Content, parse_instant, sha256
from scheduler.domain.delivery import Delivery, State

NAMES = Delivery.__slots__


@lru_cache(maxsize=1024)
def _needs(stored: str) -> tuple[str, ...]:
    """Whose word it needs; what is damaged becomes a need that nobody can meet."""
    try:
        found = json.loads(stored)
    except ValueError:
        found = None
    if isinstance(found, list) and found and all(isinstance(need, str) for need in found):
        return tuple(found)
    return ("damaged:",)


# What is not stored as the value holds it. By position: a name costs more than all the rest of a row.
_READ: list[tuple[int, Callable[[str], Any]]] = [
    (NAMES.index("state"), {state.value: state for state in State}.__getitem__),
    (NAMES.index("needs"), _needs),
    *((NAMES.index(name), parse_instant) for name in ("due", "not_after", "embargo", "close", "fire_at")),
    (NAMES.index("published_at"), lambda at: parse_instant(at) if at else None),
]
_CONTENT, _HASH = NAMES.index("content"), NAMES.index("content_sha256")
_OWNER = slice(NAMES.index("organisation"), NAMES.index("platform") + 1)


def _content(row: Sequence[Any], known: Mapping[str, Content]) -> Content:
    """The stored content; a damaged one costs its own delivery only (its hash fits nothing any more)."""
    raw, hashed = bytes(row[_CONTENT]), row[_HASH]
    try:
        if hashed in known and sha256(raw) == hashed:
            return known[hashed]
        return Content.parse(raw)
    except (ValueError, TypeError, KeyError):
        organisation, account, platform = row[_OWNER]
        return Content(organisation, account, platform, "", "[the stored words are damaged]")


def read_delivery(row: Sequence[Any], known: Mapping[str, Content] = MappingProxyType({})) -> Delivery:
    """A delivery from its columns in the order of NAMES; contents that are known by hash are not parsed."""
    values = list(row)
    for place, read in _READ:
        values[place] = read(values[place])
    values[_CONTENT] = _content(row, known)
    return Delivery(*values)
