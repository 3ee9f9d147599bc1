"""The fields a file may have: one table drives the reader, its error texts and the JSON Schema."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from scheduler.errors import Problem, Severity
from scheduler.files.source import Findings, SourceFile
from scheduler.files.yaml import Listing, Mapping, Node, Scalar


class Kind(Enum):
    """What a field holds, in the words of the error texts."""

    TEXT = "text"
    FLAG = "true or false"
    COUNT = "a whole number"
    TEXTS = "text or a [list, of, texts]"
    RECORD = "fields of its own"
    RECORDS = "a list of entries with fields"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its kind, what it is for, and what it may hold."""

    name: str
    kind: Kind
    about: str
    required: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""
    example: str = ""
    table: Table | None = None
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """The fields of a record; `other` is what a field of any other name holds (None = refused)."""

    about: str
    fields: tuple[Field, ...] = ()
    other: Field | None = None
    names: str = ""
    names_example: str = ""

    def field(self, name: str) -> Field | None:
        """The field of this name, or what any other name means here."""
        return next((f for f in self.fields if f.name == name), self.other)

    @property
    def known(self) -> tuple[str, ...]:
        """The names that have a meaning of their own."""
        return tuple(f.name for f in self.fields)


@dataclass(frozen=True, slots=True)
class Word:
    """A text value and its place; `inner` is the column of its first character."""

    text: str
    line: int
    col: int
    length: int
    inner: int

    def problem(
        self, file: SourceFile, code: str, message: str, help: str, *, severity: Severity = "error"
    ) -> Problem:
        """A problem that underlines this word."""
        return file.problem(
            code, message, help, line=self.line, col=self.col, length=self.length, severity=severity
        )


Value: TypeAlias = "Word | bool | int | tuple[Word, ...] | tuple[Record, ...] | Record"


@dataclass(frozen=True, slots=True)
class Record:
    """The fields that were read; a field that was missing or wrong is absent."""

    line: int = 1
    col: int = 1
    keys: Map[str, Word] = field(default_factory=dict)
    values: Map[str, Value] = field(default_factory=dict)

    def word(self, name: str) -> Word | None:
        """The text with its place."""
        value = self.values.get(name)
        return value if isinstance(value, Word) else None

    def text(self, name: str, default: str = "") -> str:
        """The text."""
        word = self.word(name)
        return default if word is None else word.text

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.values.get(name)
        return value if isinstance(value, bool) else default

    def count(self, name: str, default: int) -> int:
        """The number."""
        value = self.values.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else default

    def words(self, name: str) -> tuple[Word, ...]:
        """The texts of a list."""
        value = self.values.get(name)
        return tuple(v for v in value if isinstance(v, Word)) if isinstance(value, tuple) else ()

    def record(self, name: str) -> Record:
        """The record, an empty one if it is absent."""
        value = self.values.get(name)
        return value if isinstance(value, Record) else Record(self.line, self.col)

    def records(self, name: str) -> tuple[Record, ...]:
        """The records of a list."""
        value = self.values.get(name)
        return tuple(v for v in value if isinstance(v, Record)) if isinstance(value, tuple) else ()

    def items(self) -> Iterator[tuple[Word, Value]]:
        """Names with their places, and values."""
        return ((self.keys[name], value) for name, value in self.values.items())


def suggest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'platforms'?`, or the list of what is known."""
    known = list(known)
    if near := difflib.get_close_matches(name, known, n=1, cutoff=0.6):
        return f"did you mean '{near[0]}'?"
    return f"known here: {', '.join(known)}" if known else "take it out"


def read_record(node: Mapping, table: Table, file: SourceFile, found: Findings) -> Record:
    """The record as the table wants it; every departure is a problem."""
    return _Reader(file, found).record(node, table)


class _Reader:
    def __init__(self, file: SourceFile, found: Findings) -> None:
        self.file, self.found = file, found

    def add(self, code: str, message: str, help: str, node: Node) -> None:
        self.found.add(
            self.file.problem(code, message, help, line=node.line, col=node.col, length=node.length)
        )

    def record(self, node: Mapping, table: Table) -> Record:
        keys: dict[str, Word] = {}
        values: dict[str, Value] = {}
        for key, child in node.entries:
            keys[key.value] = _word(key)
            wanted = self.wanted(key, child, table)
            value = self.value(child, wanted, key) if wanted else None
            if value is not None:
                values[key.value] = value
        for known in table.fields:
            if known.required and known.name not in keys:
                help = f"add '{known.name}: {known.example or '…'}'"
                self.add("E108", f"{table.about} has no '{known.name}'", help, _start(node))
        return Record(node.line, node.col, keys, values)

    def wanted(self, key: Scalar, child: Node, table: Table) -> Field | None:
        known = table.field(key.value)
        misfit = known is table.other and known is not None and known.kind is Kind.TEXT
        if known is None or (misfit and not isinstance(child, Scalar)):
            self.add("E104", f"unknown field '{key.value}'", suggest(key.value, table.known), key)
            return None
        if known is table.other and table.names and not re.fullmatch(table.names, key.value, re.ASCII):
            self.add(
                "E116", f"'{key.value}' cannot be a name here", f"write it like {table.names_example}", key
            )
            return None
        return known

    def value(self, node: Node, wanted: Field, key: Scalar) -> Value | None:
        if isinstance(node, Scalar) and _nothing(node) and not wanted.empty:
            help = f"write {wanted.kind.value} after the ':'"
            if "#" in self.file.line(key.line):
                help += "; text that begins with '#' needs quotes"
            self.add("E118", f"'{key.value}' has no value", help, key)
            return None
        match wanted.kind:
            case Kind.TEXT:
                return self.text(node, wanted, key)
            case Kind.FLAG:
                return self.flag(node, key)
            case Kind.COUNT:
                return self.count(node, key)
            case Kind.TEXTS:
                return self.texts(node, wanted, key)
            case Kind.RECORD:
                return self.nested(node, wanted, key)
            case Kind.RECORDS:
                return self.nested_list(node, wanted, key)

    def wrong(self, node: Node, wanted: str, key: Scalar) -> None:
        is_now = {Scalar: "text", Listing: "a list", Mapping: "fields of its own"}[type(node)]
        self.add("E109", f"'{key.value}' must be {wanted}, but is {is_now}", f"write {wanted}", node)

    def text(self, node: Node, wanted: Field, key: Scalar) -> Word | None:
        if not isinstance(node, Scalar):
            self.wrong(node, Kind.TEXT.value, key)
            return None
        if not node.value.strip() and wanted.empty:
            return _word(node)
        if not node.value.strip():
            self.add("E118", f"'{key.value}' has no value", "write text in it", node)
            return None
        if wanted.choices and node.value not in wanted.choices:
            self.add(
                "E116", f"'{key.value}' cannot be '{node.value}'", suggest(node.value, wanted.choices), node
            )
            return None
        if wanted.pattern and not re.fullmatch(wanted.pattern, node.value, re.ASCII):
            self.add(
                "E116", f"'{key.value}' cannot be '{node.value}'", f"write it like {wanted.example}", node
            )
            return None
        return _word(node)

    def flag(self, node: Node, key: Scalar) -> bool | None:
        if isinstance(node, Scalar) and node.plain and node.value.lower() in ("true", "false"):
            return node.value.lower() == "true"
        if isinstance(node, Scalar):
            self.add(
                "E109",
                f"'{key.value}' must be true or false, not '{node.value}'",
                "write true or false",
                node,
            )
        else:
            self.wrong(node, Kind.FLAG.value, key)
        return None

    def count(self, node: Node, key: Scalar) -> int | None:
        if isinstance(node, Scalar) and node.plain and re.fullmatch(r"[0-9]{1,4}", node.value):
            return int(node.value)
        if isinstance(node, Scalar):
            self.add(
                "E109",
                f"'{key.value}' must be a whole number, not '{node.value}'",
                "write a number: 0, 1, 2 …",
                node,
            )
        else:
            self.wrong(node, Kind.COUNT.value, key)
        return None

    def texts(self, node: Node, wanted: Field, key: Scalar) -> tuple[Word, ...] | None:
        words: list[Word] = []
        for item in node.items if isinstance(node, Listing) else (node,):
            if isinstance(item, Scalar) and _nothing(item):
                self.add(
                    "E118", f"'{key.value}' has an empty entry", "take it out, or write text in it", item
                )
                continue
            word = self.text(item, wanted, key)
            if word is not None and any(w.text == word.text for w in words):
                self.add("E105", f"'{word.text}' stands in this list twice", "delete one of them", item)
            elif word is not None:
                words.append(word)
        return tuple(words)

    def nested(self, node: Node, wanted: Field, key: Scalar) -> Record | None:
        assert wanted.table is not None
        if not isinstance(node, Mapping):
            self.wrong(node, "fields of its own, 'name: value'", key)
            return None
        return self.record(node, wanted.table)

    def nested_list(self, node: Node, wanted: Field, key: Scalar) -> tuple[Record, ...] | None:
        assert wanted.table is not None
        if not isinstance(node, Listing):
            self.wrong(node, "a list; begin each entry with '- '", key)
            return None
        records = (self.nested(item, wanted, key) for item in node.items)
        return tuple(r for r in records if r is not None)


def _nothing(node: Scalar) -> bool:
    return node.plain and node.value in ("", "~", "null", "Null", "NULL")


def _word(node: Scalar) -> Word:
    return Word(node.value, node.line, node.col, node.length, node.inner)


def _start(node: Mapping) -> Node:
    """Where to point for something missing: the first field's name."""
    return node.entries[0][0] if node.entries else node
