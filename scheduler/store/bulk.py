"""Statements about a wave of thousands: asked in one parameter, written without work for each row."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any
from typing import cast as typed

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    LargeBinary,
    Text,
    Update,
    any_,
    cast,
    column,
    func,
    insert,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import visitors

_MANY = 100  # rows from which compiling a statement once more costs less than SQLAlchemy's work for each row
_KINDS = {str: Text, int: BigInteger, bytes: LargeBinary}


def among(conn: Connection, column: ColumnElement[Any], values: Collection[str]) -> ColumnElement[bool]:
    """Whether the text column is one of the values, however many they are.

    SQLite takes at most 32,766 parameters in a statement, and expanding 5,000 took longer than the query.
    """
    if conn.dialect.name == "sqlite":
        return column.in_(select(func.json_each(json.dumps(list(values))).table_valued("value").c.value))
    return column == any_(literal(list(values), ARRAY(Text)))


Run = Callable[[Connection], int]
"""A statement with all its rows, ready to be run; returns how many rows of the table it hit."""


def each(conn: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> int:
    """Run it for every row of parameters (text, numbers, bytes); returns how many rows of the table it hit.

    All rows have the same names; a column that an insert does not name gets its default.
    """
    if not rows:
        return 0
    names = list(rows[0])
    return made(conn.dialect, statement, names, [tuple([row[name] for name in names]) for row in rows])(conn)


def made(
    dialect: Dialect, statement: Insert | Update, names: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> Run:
    """The same for values in the order of their names, ready to be run.

    A wave puts its rows together before the moment at which time is short.
    """
    if len(rows) < _MANY:
        few = [dict(zip(names, row, strict=True)) for row in rows]
        return lambda conn: conn.execute(statement, few).rowcount if few else 0
    if dialect.name != "sqlite":
        at_once = _at_once(statement, names, rows)
        return lambda conn: conn.execute(at_once).rowcount
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    usual: dict[str, Any] = dict(compiled.params)
    if isinstance(statement, Insert):
        usual |= {c.name: getattr(c.default, "arg", None) for c in statement.table.c if c.default is not None}
    wanted: Sequence[str] = getattr(compiled, "positiontup", None) or ()
    place = {**{name: len(names) + n for n, name in enumerate(usual)}, **{n: i for i, n in enumerate(names)}}
    in_order, rest = itemgetter(*(place[name] for name in wanted)), tuple(usual.values())
    sql, given = str(compiled), [in_order(row + rest) for row in rows]
    return lambda conn: conn.exec_driver_sql(sql, given).rowcount


def _at_once(
    statement: Insert | Update, names: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> Insert | Update:
    """All rows in one statement, as PostgreSQL can: a server that is asked 5,000 times takes a second.

    They go as one JSON text, written here: the driver's own arrays took ten times as long.
    """
    kinds = {name: _KINDS[type(value)] for name, value in zip(names, rows[0], strict=True)}
    text = json.dumps(rows, default=bytes.hex)
    # An array for each row, not an object: thousands of times the same names are most of its length.
    cells = func.jsonb_array_elements(cast(literal(text, Text), JSONB)).table_valued(column("row", JSONB))
    cells = cells.render_derived(name="cells")
    values = []
    for place, (name, kind) in enumerate(kinds.items()):
        cell: ColumnElement[Any] = cells.c.row.op("->>")(literal_column(str(place)))
        value = func.decode(cell, "hex") if kind is LargeBinary else cast(cell, kind)
        values.append(value.label(name))
    given = select(*values).subquery("given")
    if isinstance(statement, Insert):
        return insert(statement.table).from_select(list(kinds), select(*(given.c[name] for name in kinds)))

    def of_its_row(element: Any, **_: Any) -> Any:
        mine = isinstance(element, BindParameter) and element.key in kinds
        return given.c[element.key] if mine else None

    return typed("Update", visitors.replacement_traverse(statement, {}, of_its_row))
