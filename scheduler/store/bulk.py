"""Statements about a wave of thousands: asked in one parameter, written without work for each row."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Connection, Insert, Text, Update, any_, func, literal, select

_MANY = 100  # rows from which compiling a statement once more costs less than SQLAlchemy's work for each row


def among(conn: Connection, column: ColumnElement[Any], values: Collection[str]) -> ColumnElement[bool]:
    """Whether the text column is one of the values, however many they are.

    SQLite takes at most 32,766 parameters in a statement, and expanding 5,000 took longer than the query.
    """
    if conn.dialect.name == "sqlite":
        return column.in_(select(func.json_each(json.dumps(list(values))).table_valued("value").c.value))
    return column == any_(literal(list(values), ARRAY(Text)))


def each(conn: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> int:
    """Run it for every row of parameters (text, numbers, bytes); returns how many rows of the table it hit.

    All rows have the same names; a column that an insert does not name gets its default.
    """
    if len(rows) < _MANY:
        return conn.execute(statement, list(rows)).rowcount if rows else 0
    compiled = statement.compile(dialect=conn.dialect, column_keys=list(rows[0]))
    usual: dict[str, Any] = dict(compiled.params)
    if isinstance(statement, Insert):
        usual |= {c.name: getattr(c.default, "arg", None) for c in statement.table.c if c.default is not None}
    names: Sequence[str] | None = getattr(compiled, "positiontup", None)
    full = [{**usual, **row} for row in rows]
    given: Any = full if names is None else [tuple([row[name] for name in names]) for row in full]
    return conn.exec_driver_sql(str(compiled), given).rowcount
