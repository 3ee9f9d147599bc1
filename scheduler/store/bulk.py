"""Statements about a wave of thousands: asked in one parameter, written without work for each row."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnClause,
    ColumnElement,
    Connection,
    Insert,
    LargeBinary,
    Text,
    Update,
    any_,
    bindparam,
    column,
    func,
    insert,
    literal,
    select,
)
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


def each(conn: Connection, statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> int:
    """Run it for every row of parameters (text, numbers, bytes); returns how many rows of the table it hit.

    All rows have the same names; a column that an insert does not name gets its default.
    """
    if len(rows) < _MANY:
        return conn.execute(statement, list(rows)).rowcount if rows else 0
    if conn.dialect.name != "sqlite":
        return conn.execute(_at_once(statement, rows)).rowcount
    compiled = statement.compile(dialect=conn.dialect, column_keys=list(rows[0]))
    usual: dict[str, Any] = dict(compiled.params)
    if isinstance(statement, Insert):
        usual |= {c.name: getattr(c.default, "arg", None) for c in statement.table.c if c.default is not None}
    names: Sequence[str] = getattr(compiled, "positiontup", None) or ()
    given = [tuple([row[name] for name in names]) for row in [{**usual, **row} for row in rows]]
    return conn.exec_driver_sql(str(compiled), given).rowcount


def _at_once(statement: Insert | Update, rows: Sequence[Mapping[str, Any]]) -> Insert | Update:
    """All rows in one statement, as PostgreSQL can: a server that is asked 5,000 times takes a second."""
    kinds = {name: _KINDS[type(value)] for name, value in rows[0].items()}
    arrays: list[BindParameter[Any]] = [
        bindparam(None, [row[name] for row in rows], ARRAY(kind)) for name, kind in kinds.items()
    ]
    named: list[ColumnClause[Any]] = [column(name, kind) for name, kind in kinds.items()]
    given = func.unnest(*arrays).table_valued(*named).render_derived(name="given")
    if isinstance(statement, Insert):
        return insert(statement.table).from_select(list(kinds), select(*(given.c[name] for name in kinds)))

    def of_its_row(element: Any, **_: Any) -> Any:
        mine = isinstance(element, BindParameter) and element.key in kinds
        return given.c[element.key] if mine else None

    return cast("Update", visitors.replacement_traverse(statement, {}, of_its_row))
