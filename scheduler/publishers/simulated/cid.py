"""Content identifiers as atproto makes them: dag-cbor bytes, SHA-256, CIDv1 in base32.

Written from the DAG-CBOR and CID specifications, so that a record's CID here is the one a real server gives.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from typing import Any

RAW, DAG_CBOR = 0x55, 0x71
_SHAPE = re.compile(r"b[a-z2-7]{58}")


class NotData(ValueError):
    """A value that atproto's data model does not have (a float, for one)."""


def of_bytes(raw: bytes, codec: int = RAW) -> str:
    """The CID of bytes; blobs are RAW, records DAG_CBOR."""
    binary = bytes([1, codec, 0x12, 32]) + hashlib.sha256(raw).digest()
    return "b" + base64.b32encode(binary).decode().lower().rstrip("=")


def of_record(record: Any) -> str:
    """The CID of a record given as JSON values."""
    return of_bytes(encode(record), DAG_CBOR)


def is_cid(text: Any) -> bool:
    """Whether the text has the shape of the CIDs made here."""
    return isinstance(text, str) and _SHAPE.fullmatch(text) is not None


def encode(value: Any) -> bytes:
    """DAG-CBOR: shortest heads, map keys by length and then bytes, links as tag 42."""
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, str):
        raw = value.encode()
        return _head(3, len(raw)) + raw
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(encode(one) for one in value)
    if isinstance(value, dict):
        return _map(value)
    raise NotData(f"{type(value).__name__} is not in the data model")


def _map(value: dict[str, Any]) -> bytes:
    if set(value) == {"$link"}:
        if not is_cid(value["$link"]):
            raise NotData("a $link is no CID")
        text = value["$link"][1:].upper()
        binary = base64.b32decode(text + "=" * (-len(text) % 8))
        return b"\xd8\x2a" + _head(2, len(binary) + 1) + b"\0" + binary
    if set(value) == {"$bytes"}:
        raw = base64.b64decode(value["$bytes"] + "==")
        return _head(2, len(raw)) + raw
    keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
    return _head(5, len(value)) + b"".join(encode(key) + encode(value[key]) for key in keys)


def _head(major: int, number: int) -> bytes:
    top = major << 5
    if number < 24:
        return bytes([top | number])
    for code, form, limit in (
        (24, ">B", 1 << 8),
        (25, ">H", 1 << 16),
        (26, ">I", 1 << 32),
        (27, ">Q", 1 << 64),
    ):
        if number < limit:
            return bytes([top | code]) + struct.pack(form, number)
    raise NotData("a number is too large")
