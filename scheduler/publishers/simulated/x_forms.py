"""The forms of the simulated X: its 400, and request bodies held against the schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from scheduler.publishers.simulated import forms
from scheduler.publishers.simulated.wire import Answer, Incoming, Refused

TYPES = {str: "string", dict: "object", bool: "boolean", list: "array"}


def invalid(message: str, **parameters: Any) -> Refused:
    """400 in the form of API v2."""
    errors = [{"parameters": {name: [value] for name, value in parameters.items()}, "message": message}]
    body = {
        "errors": errors,
        "title": "Invalid Request",
        "detail": "One or more parameters to your request was invalid.",
        "type": "https://api.twitter.com/2/problems/invalid-request",
    }
    return Refused(Answer(400, body))


def body_of(call: Incoming) -> dict[str, Any]:
    """The JSON body. Raises Refused."""
    if call.mime != "application/json":
        raise invalid("Unsupported content type", content_type=call.mime)
    try:
        return forms.read_json(call)
    except forms.BadBody as wrong:
        raise invalid(f"Invalid JSON: {wrong}") from None


def schema(value: dict[str, Any], members: Mapping[str, type], where: str) -> None:
    """Refuse members that the schema does not have, or of another type."""
    for name, one in value.items():
        if name not in members:
            path = f"{where}.{name}"
            message = (
                f"[{path}] is not defined in the schema and the schema does not allow additional properties"
            )
            raise invalid(message, **{path: json.dumps(one)})
        if not isinstance(one, members[name]):
            raise invalid(f"$.{name}: must be of type {TYPES[members[name]]}", **{name: json.dumps(one)})
