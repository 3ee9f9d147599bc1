"""What a named person must be told, and what a notice may say: never a secret, never a post's words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Urgency = Literal["now", "soon", "info"]  # a person must act at once; today; need not act at all

MOST = 600  # characters of one notice
_RUN = 16  # characters in a row that a notice and a post may not share


def without_words(said: str, words: Iterable[str]) -> str:
    """The sentence with every piece of a post's words taken out.

    A platform that refuses a post may quote it in its answer, and a notice leaves this machine by e-mail:
    whatever has sixteen characters in a row in common with the words becomes `[words of the post]`.
    """
    said = " ".join(said.split())
    hidden = [False] * len(said)
    for text in words:
        for start, end in _shared(said.casefold(), " ".join(text.split()).casefold()):
            hidden[start:end] = [True] * (end - start)
    shown = []
    for at, letter in enumerate(said):
        if not hidden[at]:
            shown.append(letter)
        elif at == 0 or not hidden[at - 1]:
            shown.append("[words of the post]")
    return "".join(shown)[:MOST]


def _shared(said: str, text: str) -> Iterable[tuple[int, int]]:
    """Where the sentence has a run of the text (of all of it, where it is shorter than a run)."""
    run = min(_RUN, len(text))
    if run < _RUN // 2:  # a word or two, such as a hashtag: masking them would hide plain English
        return
    pieces = {text[at : at + run] for at in range(len(text) - run + 1)}
    for at in range(len(said) - run + 1):
        if said[at : at + run] in pieces:
            yield at, at + run
