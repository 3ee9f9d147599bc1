"""The plain-text body of a post: base text, variants (`::: x bluesky for charity`) and threads."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from scheduler.domain.campaign import Part, Variant
from scheduler.files.campaign import Names
from scheduler.files.fields import Word, suggest
from scheduler.files.source import Findings, SourceFile

_HEAD = re.compile(r":::(?P<words>.*)")
HEAD_HELP = "write it like '::: x bluesky', '::: for charity', '::: without figures' or '::: thread'"


@dataclass(slots=True)
class _Block:
    """The lines below one head, as they stand."""

    line: int
    head: str = ""
    platforms: frozenset[str] = frozenset()
    organisations: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    without_figures: bool = False
    parts: list[tuple[int, list[str]]] = field(default_factory=list)


def read_body(file: SourceFile, first: int, names: Names, found: Findings) -> tuple[Variant, ...]:
    """The variants of the lines from number `first` on, in file order, the base text first."""
    base = _Block(first, parts=[(first, [])])
    blocks = [base]
    for number, line in enumerate(file.lines[first - 1 :], first):
        head = _HEAD.match(line)
        if head is None:
            blocks[-1].parts[-1][1].append(line[1:] if line.startswith("\\:::") else line)
        elif head["words"].split() == ["thread"]:
            blocks[-1].parts.append((number + 1, []))
        else:
            blocks.append(_head(file, number, head, names, found))
    if len(blocks) > 1 and len(base.parts) == 1 and not "".join(base.parts[0][1]).strip():
        del blocks[0]
    return tuple(_variant(file, block, found) for block in blocks)


def _head(file: SourceFile, number: int, head: re.Match[str], names: Names, found: Findings) -> _Block:
    words = [
        Word(m.group(), number, m.start() + 4, len(m.group()), m.start() + 4)
        for m in re.finditer(r"[^\s,]+", head["words"])
    ]
    block = _Block(number, head["words"].strip(), parts=[(number + 1, [])])
    texts = [w.text for w in words]
    if texts[-2:] == ["without", "figures"]:
        block.without_figures = True
        words, texts = words[:-2], texts[:-2]
    split = texts.index("for") if "for" in texts else len(texts)
    owners = words[split + 1 :]
    if (not texts and not block.without_figures) or (split < len(texts) and not owners):
        found.add(
            file.problem("E303", "a variant for nobody", HEAD_HELP, line=number, length=len(head.group()))
        )
    block.platforms = frozenset(_platforms(file, words[:split], names, found))
    block.organisations = frozenset(names.organisations(owners, file, found))
    block.names = tuple(w.text for w in owners)
    return block


def _platforms(file: SourceFile, words: list[Word], names: Names, found: Findings) -> list[str]:
    known = []
    for word in words:
        if word.text in names.platforms:
            known.append(word.text)
        elif names.directory.expand(word.text) is not None:
            message = f"'{word.text}' is an organisation or group, not a platform"
            found.add(word.problem(file, "E303", message, f"write '::: for {word.text}'"))
        elif word.text in ("thread", "without", "figures"):
            found.add(word.problem(file, "E303", f"'{word.text}' cannot stand here", HEAD_HELP))
        else:
            found.add(
                word.problem(
                    file, "E309", f"unknown platform '{word.text}'", suggest(word.text, names.platforms)
                )
            )
    return known


def _variant(file: SourceFile, block: _Block, found: Findings) -> Variant:
    parts = []
    for first, lines in block.parts:
        text, start = trim(lines)
        number = min(first + start, max(1, len(file.lines)))
        if not text:
            what = f"'::: {block.head}' has no words" if block.head else "the post has no words"
            place = block.line if len(block.parts) == 1 else max(1, first - 1)
            shown = min(place, max(1, len(file.lines)))
            length = len(file.lines[shown - 1]) if file.lines else 1
            found.add(file.problem("E307", what, "write the words below it", line=shown, length=length))
        parts.append(Part(text, file.at(number)))
    return Variant(
        parts=tuple(parts),
        at=file.at(block.line),
        platforms=block.platforms,
        organisations=block.organisations,
        names=block.names,
        without_figures=block.without_figures,
    )


def trim(lines: list[str]) -> tuple[str, int]:
    """The text without trailing white space and without blank lines around it; how many were before it."""
    stripped = [line.rstrip() for line in lines]
    start = next((i for i, line in enumerate(stripped) if line), len(stripped))
    return "\n".join(stripped[start:]).rstrip("\n"), start if start < len(stripped) else 0
