"""A strict YAML reader: plain nodes with positions, and one problem for everything it will not take.

It builds on ruamel.yaml's events, not on its values: what a scalar means depends on the field it stands in
(fields.py), so that `no`, `07:00` and a page id stay the text that was written (YAML 1.2, no surprises).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from scheduler.files.hidden import hidden
from scheduler.files.source import Findings, SourceFile

DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Scalar:
    """Text as written; `plain` = without quotes; `inner` is the column of its first character."""

    value: str
    plain: bool
    line: int
    col: int
    length: int
    inner: int


@dataclass(frozen=True, slots=True)
class Listing:
    """A YAML sequence."""

    items: tuple[Node, ...]
    line: int
    col: int
    length: int = 1


@dataclass(frozen=True, slots=True)
class Mapping:
    """A YAML mapping; keys are scalars, each once."""

    entries: tuple[tuple[Scalar, Node], ...]
    line: int
    col: int
    length: int = 1


Node = Scalar | Listing | Mapping


class _Refused(Exception):
    """Reading this document further makes no sense; the problem is among the findings."""


def read_yaml(
    file: SourceFile, found: Findings, *, text: str | None = None, first_line: int = 1
) -> Mapping | None:
    """The document's mapping, or None with the reasons among the findings.

    `text` and `first_line` are for front matter, which begins in the middle of its file.
    """
    reader = _Reader(file, found, first_line - 1)
    try:
        root = reader.document(file.text if text is None else text)
    except _Refused:
        return None
    except MarkedYAMLError as error:
        reader.explain(error)
        return None
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:
        found.add(file.problem("E101", f"not YAML: {str(error).splitlines()[0]}", _HELP, line=first_line))
        return None
    if root is None:
        found.add(file.problem("E115", "nothing is written here", _EMPTY, line=first_line))
        return None
    if not isinstance(root, Mapping):
        reader.add("E109", "fields were expected here, one 'name: value' a line", _HELP, root)
        return None
    return root


_HELP = "compare with the example: launchday explain E101"
_EMPTY = "write the fields into it; launchday init makes a workspace to copy from"
_QUOTE = "put it in quotes"
_RESERVED = re.compile(r"found character (?:'(.)'|\"(.)\") that cannot start any token")


class _Reader:
    def __init__(self, file: SourceFile, found: Findings, offset: int) -> None:
        self.file, self.found, self.offset = file, found, offset
        # Where the last quoted text over several lines began: usually its end was forgotten.
        self.long_quote: Any = None

    def document(self, text: str) -> Node | None:
        events = iter(YAML(typ="safe", pure=True).parse(text))
        root: Node | None = None
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if event.version or event.tags or documents > 1:
                    what = "a second document" if documents > 1 else "a YAML directive"
                    self.refuse(
                        "E117", f"{what} in one file", "take the line out; one document, no directives", event
                    )
            elif isinstance(event, AliasEvent | ScalarEvent | SequenceStartEvent | MappingStartEvent):
                root = self.node(event, events, 1)
        if isinstance(root, Scalar) and root.plain and not root.value:
            return None
        return root

    def node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        self.allowed(event, depth)
        line, col = event.start_mark.line + 1 + self.offset, event.start_mark.column + 1
        if isinstance(event, ScalarEvent):
            return self.scalar(event, line, col)
        if isinstance(event, SequenceStartEvent):
            items = []
            while not isinstance(event := next(events), SequenceEndEvent):
                items.append(self.node(event, events, depth + 1))
            return Listing(tuple(items), line, col)
        entries: dict[str, tuple[Scalar, Node]] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            key = self.node(event, events, depth + 1)
            value = self.node(next(events), events, depth + 1)
            self.entry(entries, key, value)
        return Mapping(tuple(entries.values()), line, col)

    def entry(self, entries: dict[str, tuple[Scalar, Node]], key: Node, value: Node) -> None:
        if not isinstance(key, Scalar):
            self.add(
                "E101", "a field's name was expected", f"a template or a '{{' needs quotes: {_QUOTE}", key
            )
        elif key.value in entries:
            first = entries[key.value][0].line
            self.add(
                "E105", f"'{key.value}' stands here twice (first in line {first})", "delete one of them", key
            )
        elif key.plain and key.value == "<<":
            self.add("E110", "merging with '<<' is not read", "write the fields out", key)
        else:
            entries[key.value] = (key, value)

    def scalar(self, event: Any, line: int, col: int) -> Scalar:
        end = event.end_mark
        one_line = end.line == event.start_mark.line
        length = max(1, end.column - event.start_mark.column) if one_line else 10_000
        if event.style in ("'", '"') and not one_line:
            self.long_quote = event.start_mark
        plain = event.style is None
        inner = col if plain or event.style in "|>" else col + 1
        node = Scalar(event.value, plain, line, col, length, inner)
        bad = next(iter(hidden(event.value)), None)
        # The raw file is already clean: only an escape such as "\u202e" brings one in here.
        if bad is not None:
            self.add("E114", f"a character that nobody can see: {bad[1]}", "delete the escape", node)
        return node

    def allowed(self, event: Any, depth: int) -> None:
        if isinstance(event, AliasEvent) or event.anchor:
            what = "an alias (*name)" if isinstance(event, AliasEvent) else "an anchor (&name)"
            self.refuse("E110", f"{what} is not read", f"write the value out; if it is text, {_QUOTE}", event)
        if event.tag is not None:
            self.refuse(
                "E111", "a tag (!name) is not read", f"leave the tag away; if it is text, {_QUOTE}", event
            )
        if depth > DEEPEST:
            self.refuse(
                "E113", f"nested more than {DEEPEST} deep", "look for brackets that are never closed", event
            )

    def refuse(self, code: str, message: str, help: str, event: Any) -> None:
        start, end = event.start_mark, event.end_mark
        length = end.column - start.column if end.line == start.line else 1
        self.problem(code, message, help, start.line, start.column, length=max(1, length))
        raise _Refused

    def add(self, code: str, message: str, help: str, node: Node) -> None:
        self.found.add(
            self.file.problem(code, message, help, line=node.line, col=node.col, length=node.length)
        )

    def problem(self, code: str, message: str, help: str, line: int, column: int, *, length: int = 1) -> None:
        self.found.add(
            self.file.problem(code, message, help, line=line + 1 + self.offset, col=column + 1, length=length)
        )

    def explain(self, error: MarkedYAMLError) -> None:
        """One friendly sentence for the parser's own."""
        what = error.problem or "not YAML"
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        reserved = _RESERVED.search(what)
        if reserved:
            self.reserved(reserved[1] or reserved[2], line, column)
        elif error.context_mark is not None and ("stream" in what or "expected ','" in what):
            opened = error.context_mark
            quoted = "quoted" in (error.context or "")
            message = _QUOTED if quoted else _BRACKET
            help = "close it; text that holds '#', ': ' or '{{' needs quotes"
            self.problem("E101", message, help, opened.line, opened.column)
        elif self.long_quote is not None and "found '<" in what:
            opened = self.long_quote
            self.problem("E101", _QUOTED, "close the quote where the text ends", opened.line, opened.column)
        else:
            message, help = _FRIENDLY.get(what, (f"not YAML: {what}", _HELP))
            self.problem("E101", message, help, line, column)

    def reserved(self, char: str, line: int, column: int) -> None:
        """Text that begins with a character which YAML keeps for itself, such as '@'."""
        rest = re.match(r"[^\s,}\]\"']*", self.file.line(line + 1 + self.offset)[column:])
        text = rest.group() if rest else ""
        example = f': "{text}"' if len(text) > 1 and "*" not in text else ""
        message = f"text that begins with '{char}' needs quotes"
        self.problem("E106", message, _QUOTE + example, line, column, length=len(text))


_QUOTED = "a quoted text is never closed"
_BRACKET = "a bracket is not closed, or holds text that needs quotes"
_FRIENDLY = {
    "mapping values are not allowed here": (
        "a second ':' in this line",
        "put the text in quotes, or look for a wrong indentation",
    ),
    "could not find expected ':'": ("a ':' is missing after the field's name", "write 'name: value'"),
}
