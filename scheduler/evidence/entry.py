"""One entry of the posting log as the leaf bytes that the tree will hold (posting-log.md, envelope)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from scheduler.domain.content import canonical, instant

MAX_LEAF = 65_535  # bytes; C2SP tlog-tiles stores an entry's length in two of them
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]  # ten bits at a time


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it. `auth` is how we know: `os:NAME`, `as` (simulation), `service`."""

    id: str
    organisation: str
    role: str
    kind: Literal["person", "service", "publisher", "witness"]
    auth: str


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. `reason_text` is free text and is stored as a salted commitment."""

    type: str
    actor: Actor
    campaign: str = ""
    post: str = ""
    delivery: str = ""
    account: str = ""
    platform: str = ""
    organisation: str = ""
    reason_code: str = ""
    reason_text: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What opens a commitment: kept beside the log, and may be erased without breaking a proof."""

    field: str
    salt: str
    value: str


def ulid(at: datetime) -> str:
    """A ULID: 48 bits of milliseconds, 80 random bits, in Crockford's base 32 (26 characters)."""
    number = (int(at.timestamp() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])


def commit(name: str, value: str) -> tuple[dict[str, str], Disclosure]:
    """A salted commitment by SD-JWT's digest rule, with 128 bits of salt."""
    salt = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
    opened = Disclosure(field=name, salt=salt, value=value)
    return {"$sd": digest(opened)}, opened


def digest(opened: Disclosure) -> str:
    """base64url(SHA-256(base64url(JSON [salt, field, value])))."""
    plain = json.dumps([opened.salt, opened.field, opened.value], ensure_ascii=False).encode()
    disclosure = base64.urlsafe_b64encode(plain).rstrip(b"=")
    return base64.urlsafe_b64encode(hashlib.sha256(disclosure).digest()).rstrip(b"=").decode()


def leaf(
    event: Event, *, seq: int, at: datetime, version: str, host: str
) -> tuple[bytes, tuple[Disclosure, ...]]:
    """The entry's canonical bytes (RFC 8785), and what opens its commitments.

    Raises ValueError where the leaf would be longer than 65,535 bytes.
    """
    opened: list[Disclosure] = []
    body: dict[str, Any] = {
        "v": 1,
        "seq": seq,
        "id": ulid(at),
        "at": instant(at),
        "type": event.type,
        "actor": {
            "id": event.actor.id,
            "org": event.actor.organisation,
            "role": event.actor.role,
            "kind": event.actor.kind,
            "auth": event.actor.auth,
        },
        "app": {"version": version, "host": host},
        **event.facts,
    }
    for name in ("campaign", "post", "delivery", "account", "platform"):
        if value := getattr(event, name):
            body[name] = value
    if event.organisation:
        body["org"] = event.organisation
    if event.reason_code or event.reason_text:
        reason: dict[str, Any] = {"code": event.reason_code or "said"}
        if event.reason_text:
            reason["text"], one = commit("reason.text", event.reason_text)
            opened.append(one)
        body["reason"] = reason
    raw = canonical(body)
    if len(raw) > MAX_LEAF:
        raise ValueError(f"a log entry of {len(raw)} bytes is longer than {MAX_LEAF}")
    return raw, tuple(opened)
