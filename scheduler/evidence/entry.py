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
from functools import lru_cache
from typing import Any, Literal

from scheduler.domain.content import canonical, instant

MAX_LEAF = 65_535  # bytes; C2SP tlog-tiles stores an entry's length in two of them
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# The standard library's base 32 has the same digits' values under other names.
_DIGITS = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _CROCKFORD.encode())


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
    return _time(int(at.timestamp() * 1000)) + base64.b32encode(os.urandom(10)).translate(_DIGITS).decode()


@lru_cache(maxsize=16)
def _time(milliseconds: int) -> str:
    return "".join([_CROCKFORD[(milliseconds >> shift) & 31] for shift in range(45, -1, -5)])


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
    return Press(at, version, host).leaf(event, seq)


Plate = tuple[str, str, str]
"""A leaf but for its instant and its number: what comes before the one, between them, after the other."""


class Press:
    """Writes the leaves of one transaction: what they have in common is put into bytes once.

    The bytes are those of `domain.content.canonical` (a test compares them); a wave has thousands of leaves.
    """

    def __init__(self, at: datetime, version: str, host: str) -> None:
        self._at = at
        self._common = {"v": "1", "app": _value({"version": version, "host": host})}
        self._actors: dict[Actor, str] = {}

    def leaf(self, event: Event, seq: int) -> tuple[bytes, tuple[Disclosure, ...]]:
        """As the function `leaf`."""
        plate, opened = self.plate(event)
        return printed(plate, instant(self._at), seq), opened

    def plate(self, event: Event) -> tuple[Plate, tuple[Disclosure, ...]]:
        """The leaf before it is known when and as which number it is written."""
        opened: list[Disclosure] = []
        body = {**self._common, "id": _text(ulid(self._at))}
        body["type"], body["actor"] = _text(event.type), self._actor(event.actor)
        for name, fact in event.facts.items():
            body[name] = _text(fact) if type(fact) is str else _value(fact)
        for name in ("campaign", "post", "delivery", "account", "platform"):
            if value := getattr(event, name):
                body[name] = _text(value)
        if event.organisation:
            body["org"] = _text(event.organisation)
        if event.reason_code or event.reason_text:
            reason: dict[str, Any] = {"code": event.reason_code or "said"}
            if event.reason_text:
                reason["text"], one = commit("reason.text", event.reason_text)
                opened.append(one)
            body["reason"] = _value(reason)
        # NUL is in no canonical text: where one stands, the instant and the number are put in.
        body["at"] = body["seq"] = "\0"
        before, between, behind = _object(body).split("\0")
        return (before, between, behind), tuple(opened)

    def _actor(self, actor: Actor) -> str:
        if actor not in self._actors:
            said = {"id": actor.id, "org": actor.organisation, "role": actor.role}
            self._actors[actor] = _value({**said, "kind": actor.kind, "auth": actor.auth})
        return self._actors[actor]


def printed(plate: Plate, at: str, seq: int) -> bytes:
    """The leaf's canonical bytes. Raises ValueError where they are longer than 65,535."""
    before, between, behind = plate
    raw = f'{before}"{at}"{between}{seq}{behind}'.encode()
    if len(raw) > MAX_LEAF:
        raise ValueError(f"a log entry of {len(raw)} bytes is longer than {MAX_LEAF}")
    return raw


def _object(values: Mapping[str, str]) -> str:
    """A JSON object from its values' canonical texts. Raises TypeError for a key outside ASCII."""
    return "{" + ",".join([key + values[name] for key, name in _in_order(tuple(values))]) + "}"


@lru_cache(maxsize=1024)
def _in_order(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(_key(name), name) for name in sorted(names)]


def _key(name: str) -> str:
    if not name.isascii():
        raise TypeError(f"{name!r} cannot be a key of what is hashed")
    return f"{_text(name)}:"


def _value(value: Any) -> str:
    return str(value) if type(value) is int and 0 <= value < 2**53 else canonical(value).decode()


_text = json.JSONEncoder(ensure_ascii=False).encode  # of a string, as the canonical encoder writes it
