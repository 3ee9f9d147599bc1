"""JSON Schemas of the YAML files, made from the tables that the reader uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scheduler.files import tables
from scheduler.files.fields import Field, Kind, Table

FILES: Mapping[str, Table] = {
    "accounts": tables.ACCOUNTS,
    "campaign": tables.CAMPAIGN,
    "post": tables.POST,
}


def schema(file: str) -> dict[str, Any]:
    """The schema (2020-12) of `accounts`, `campaign` or a `post`'s front matter."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://launchday.example/schema/{file}.json",
        "title": FILES[file].about,
        **_table(FILES[file]),
    }


def _table(table: Table) -> dict[str, Any]:
    properties = {f.name: {"description": f.about, **_field(f)} for f in table.fields}
    made: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    required = [f.name for f in table.fields if f.required]
    if required:
        made["required"] = required
    if table.other is not None:
        made["additionalProperties"] = _field(table.other)
        named = [f.name for f in table.fields]
        made["propertyNames"] = {"anyOf": [{"enum": named}, _names(table)]} if named else _names(table)
    return made


def _names(table: Table) -> dict[str, Any]:
    return {"pattern": f"^(?:{table.names})$"} if table.names else {}


def _field(field: Field) -> dict[str, Any]:
    match field.kind:
        case Kind.TEXT:
            return _text(field)
        case Kind.FLAG:
            return {"type": "boolean"}
        case Kind.COUNT:
            return {"type": "integer", "minimum": 0, "maximum": 9999}
        case Kind.TEXTS:
            return {"anyOf": [_text(field), {"type": "array", "items": _text(field), "uniqueItems": True}]}
        case Kind.RECORD:
            assert field.table is not None
            return _table(field.table)
        case Kind.RECORDS:
            assert field.table is not None
            return {"type": "array", "items": _table(field.table)}


def _text(field: Field) -> dict[str, Any]:
    """Text; an editor's YAML may take 07 or true for something else, which the reader takes as written."""
    if field.choices:
        return {"enum": list(field.choices)}
    if field.pattern:
        optional = "?" if field.empty else ""
        return {"type": ["string", "integer"], "pattern": f"^(?:{field.pattern}){optional}$"}
    kinds = ["string", "number", "boolean"]
    return {"type": [*kinds, "null"] if field.empty else kinds}
