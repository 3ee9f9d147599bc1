"""How a problem is printed: code, place, the line, a caret under the fault, and what to do."""

from __future__ import annotations

import unicodedata

from scheduler.errors import Problem
from scheduler.files.hidden import show, shown

_LONGEST = 160  # cells of a source line shown; a longer one is cut around the fault


def lines(problem: Problem) -> list[str]:
    """The problem as lines for a terminal, in the manner of rustc; nothing unprintable is passed on."""
    head = [f"{problem.severity}[{problem.code}]: {show(problem.message)}", f" --> {show(str(problem.at))}"]
    foot = f"= help: {show(problem.help)}"
    if not problem.text:
        return [*head, f"  {foot}"]
    number = str(problem.at.line)
    margin = " " * len(number)
    echoed, caret = _excerpt(problem)
    return [
        *head,
        f"{margin} |",
        f"{number} | {echoed}".rstrip(),
        f"{margin} | {caret}",
        f"{margin} {foot}",
    ]


def _excerpt(problem: Problem) -> tuple[str, str]:
    start = min(problem.at.col - 1, len(problem.text))
    end = min(start + problem.length, len(problem.text))
    before = "".join(shown(c) for c in problem.text[:start])
    marked = "".join(shown(c) for c in problem.text[start:end])
    after = "".join(shown(c) for c in problem.text[end:])
    if width(before) > _LONGEST // 2:
        before = "…" + before[-_LONGEST // 2 + 1 :]
    marked = marked if width(marked) <= _LONGEST // 2 else marked[: _LONGEST // 2] + "…"
    room = max(0, _LONGEST - width(before) - width(marked))
    after = after if len(after) <= room else after[:room] + "…"
    return before + marked + after, " " * width(before) + "^" * max(1, width(marked))


def width(text: str) -> int:
    """Terminal cells: wide characters take two, combining marks and joiners none."""
    return sum(_cells(c) for c in text)


def _cells(char: str) -> int:
    if unicodedata.combining(char) or char in "\u200d\ufe0e\ufe0f":
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
