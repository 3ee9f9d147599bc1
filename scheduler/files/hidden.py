"""Characters that a reader cannot see, and how to show them: they never pass into a post."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache

# Not of a format category, but blank all the same: fillers that hide words from a reader.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_JOINER = "\u200d"
# The emoji form and the skin tones, which may stand between a picture and its joiner.
_BESIDE_EMOJI = "\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
_FLAG = "\U0001f3f4"
_TAGS = range(0xE0020, 0xE0080)


def is_hidden(char: str) -> bool:
    """Whether a single character is invisible or changes how its neighbours are read."""
    return unicodedata.category(char) in _HIDDEN_CATEGORIES or char in _BLANK


def hidden(text: str) -> Iterator[tuple[int, str]]:
    """Index and name of every hidden character. What joins an emoji or a flag is seen, so it passes."""
    if text.isascii() and text.isprintable():
        return
    for index, char in enumerate(text):
        if char == "\n" or not is_hidden(char):
            continue
        if char == _JOINER and _joins_emoji(text, index):
            continue
        if ord(char) in _TAGS and _inside_flag(text, index):
            continue
        yield index, name(char)


def name(char: str) -> str:
    """`U+202E RIGHT-TO-LEFT OVERRIDE`."""
    return f"U+{ord(char):04X} {unicodedata.name(char, '')}".strip()


def show(text: str) -> str:
    """The text with each hidden character as `<U+202E>` and a tab as four spaces."""
    return "".join(shown(c) for c in text)


def shown(char: str) -> str:
    """One character as a terminal may have it."""
    if char == "\t":
        return "    "
    return f"<U+{ord(char):04X}>" if is_hidden(char) and char != _JOINER else char


def _joins_emoji(text: str, index: int) -> bool:
    before = index - 1
    while before >= 0 and text[before] in _BESIDE_EMOJI:
        before -= 1
    after = text[index + 1 : index + 2]
    return before >= 0 and _is_emoji(text[before]) and bool(after) and _is_emoji(after)


@cache
def _is_emoji(char: str) -> bool:
    # Imported here: only a text with a joiner pays for it.
    import regex

    return regex.match(r"\p{Extended_Pictographic}", char) is not None


def _inside_flag(text: str, index: int) -> bool:
    while index >= 0 and ord(text[index]) in _TAGS:
        index -= 1
    return index >= 0 and text[index] == _FLAG
