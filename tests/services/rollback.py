"""Yesterday's database: every row as it was, put back."""

from __future__ import annotations

from typing import Any

from sqlmodel import SQLModel

from scheduler.store.database import Database

Rows = dict[str, list[dict[str, Any]]]


def snapshot(db: Database) -> Rows:
    with db.read() as conn:
        return {
            t.name: [dict(r) for r in conn.execute(t.select()).mappings()]
            for t in SQLModel.metadata.sorted_tables
        }


def put_back(db: Database, rows: Rows) -> None:
    with db.write() as conn:
        for table in reversed(SQLModel.metadata.sorted_tables):
            conn.execute(table.delete())
        for table in SQLModel.metadata.sorted_tables:
            if rows[table.name]:
                conn.execute(table.insert(), rows[table.name])
