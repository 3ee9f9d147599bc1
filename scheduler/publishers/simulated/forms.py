"""Bodies of requests: JSON, urlencoded and multipart, strictly read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from scheduler.publishers.simulated.wire import Incoming


class BadBody(ValueError):
    """The body is not what its content type says."""


@dataclass(frozen=True, slots=True)
class File:
    """One uploaded file of a multipart body."""

    name: str
    mime: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """The fields and files of a body."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)


def read(call: Incoming) -> Form:
    """Read a body by its content type. Raises BadBody; an empty body is an empty form."""
    if not call.body:
        return Form()
    if call.mime == "application/json":
        return Form(read_json(call))
    if call.mime == "application/x-www-form-urlencoded":
        return Form(dict(parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True)))
    if call.mime == "multipart/form-data":
        return _multipart(call)
    raise BadBody(f"cannot read a body of type {call.mime or '(none)'}")


def read_json(call: Incoming) -> dict[str, Any]:
    """The body as a JSON object. Raises BadBody."""
    try:
        value = json.loads(call.body)
    except ValueError as wrong:
        raise BadBody(f"the body is not JSON: {wrong}") from None
    if not isinstance(value, dict):
        raise BadBody("the body is not a JSON object")
    return value


def _multipart(call: Incoming) -> Form:
    found = re.search(r'boundary="?([^";,\s]+)"?', call.headers.get("content-type", ""))
    if found is None:
        raise BadBody("multipart without a boundary")
    mark = b"--" + found.group(1).encode("latin-1")
    pieces = (b"\r\n" + call.body).split(b"\r\n" + mark)
    if len(pieces) < 2 or pieces[-1][:2] != b"--":
        raise BadBody("the multipart body has no closing boundary")
    fields: dict[str, Any] = {}
    files: dict[str, File] = {}
    for piece in pieces[1:-1]:
        head, gap, data = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'\bname="([^"]*)"', head)
        if not gap or name is None:
            raise BadBody("a part of the multipart body has no name")
        key = name.group(1).decode("utf-8", "replace")
        if b"filename" in head:
            mime = re.search(rb"(?i)content-type:\s*([^\r\n;]+)", head)
            kind = mime.group(1).decode("latin-1").strip().lower() if mime else "application/octet-stream"
            files[key] = File(key, kind, data)
        else:
            fields[key] = data.decode("utf-8", "replace")
    return Form(fields, files)
