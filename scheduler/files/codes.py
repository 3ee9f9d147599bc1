"""Every code that a problem can have, explained: read from codes.md beside this file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_ENTRY = re.compile(
    r"^## (?P<code>[EW][0-9]{3}) (?P<title>.+)\n(?P<why>(?:.+\n)+)"
    r"```wrong\n(?P<wrong>(?s:.*?))\n```\n```right\n(?P<right>(?s:.*?))\n```$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a code means, why it matters, a wrong example and a right one."""

    code: str
    title: str
    why: str
    wrong: str
    right: str


@cache
def explanations() -> dict[str, Explanation]:
    """All of them by code, in the order of the file."""
    text = files("scheduler.files").joinpath("codes.md").read_text(encoding="utf-8")
    found = (Explanation(**m.groupdict()) for m in _ENTRY.finditer(text))
    return {e.code: Explanation(e.code, e.title, " ".join(e.why.split()), e.wrong, e.right) for e in found}
