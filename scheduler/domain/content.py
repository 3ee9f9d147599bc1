"""What is approved and sent: the frozen content of one delivery, its plan, and their hashes.

A hash is SHA-256 over the RFC 8785 (JCS) bytes, in lower-case hex.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any


def canonical(value: Any) -> bytes:
    """RFC 8785 bytes of a value made of dict, list, str, int, bool and None.

    Floats are refused by design: nothing that is hashed or logged has one. For the types that remain, and
    keys in ASCII, JCS is what the standard encoder writes with sorted keys, no white space and no needless
    escapes. Raises TypeError for any other type, a key outside ASCII, or an integer that JSON cannot hold.
    """
    _refuse(value)
    return _ENCODER.encode(value).encode("utf-8")


_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False)
_EXACT = 2**53  # a JSON number above it is another number to most readers


def _refuse(value: Any) -> None:
    kind = type(value)
    if kind is dict:
        for key, one in value.items():
            if type(key) is not str or not key.isascii():
                raise TypeError(f"{key!r} cannot be a key of what is hashed")
            if type(one) is not str:  # most are, and need no look of their own
                _refuse(one)
    elif kind is list or kind is tuple:
        for one in value:
            _refuse(one)
    elif kind is int:
        if not -_EXACT < value < _EXACT:
            raise TypeError(f"{value} is too large to be hashed")
    elif not (value is None or isinstance(value, bool | str)):
        raise TypeError(f"{kind.__name__} cannot be hashed")


def sha256(value: bytes) -> str:
    """SHA-256 as lower-case hex."""
    return hashlib.sha256(value).hexdigest()


@dataclass(frozen=True, slots=True)
class Media:
    """One picture as approved: `file` is relative to the campaign folder, sizes in bytes and pixels."""

    file: str
    sha256: str
    alt: str
    mime: str
    size: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Content:
    """The exact words and pictures of one delivery, and the profile they are bound for."""

    organisation: str
    account: str
    platform: str
    address: str
    text: str
    link: str = ""
    media: tuple[Media, ...] = ()
    language: str = "en-GB"
    visibility: str = "public"
    part: int = 1
    parts: int = 1

    def canonical(self) -> bytes:
        """The bytes that are hashed, stored, approved and checked again before sending."""
        return canonical(
            {
                "organisation": self.organisation,
                "account": self.account,
                "platform": self.platform,
                "address": self.address,
                "text": self.text,
                "link": self.link,
                "media": [asdict(m) for m in self.media],
                "language": self.language,
                "visibility": self.visibility,
                "part": self.part,
                "parts": self.parts,
            }
        )

    @property
    def sha256(self) -> str:
        """Hash of `canonical()`."""
        return sha256(self.canonical())

    @classmethod
    def parse(cls, raw: bytes) -> Content:
        """Read `canonical()` bytes back. Raises ValueError where they are not exactly that."""
        fields = json.loads(raw)
        if not isinstance(fields, dict):
            raise ValueError("stored content is no object")
        media = tuple(Media(**m) for m in fields.pop("media"))
        content = cls(media=media, **fields)
        if content.canonical() != raw:
            raise ValueError("stored content is not canonical")
        return content


@dataclass(frozen=True, slots=True)
class Plan:
    """When: never before `due` (UTC) or `embargo`, never after `not_after`.

    `wall` is the local time the file meant and `zone` its zone, so that a changed zone rule shows.
    `close` is until when approvals are taken.
    """

    due: datetime
    not_after: datetime
    embargo: datetime
    close: datetime
    wall: str
    zone: str

    def canonical(self) -> bytes:
        """The bytes that are hashed: instants as UTC milliseconds."""
        return canonical(
            {
                "due": instant(self.due),
                "not_after": instant(self.not_after),
                "embargo": instant(self.embargo),
                "close": instant(self.close),
                "wall": self.wall,
                "zone": self.zone,
            }
        )

    @property
    def sha256(self) -> str:
        """Hash of `canonical()`."""
        return sha256(self.canonical())


@dataclass(frozen=True, slots=True)
class Blackout:
    """A span without posts, for some organisations, with the reason (pre-election period …)."""

    start: datetime
    end: datetime
    organisations: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    """Who must say yes, as campaign.yaml's `approval` and `signoff` say it."""

    each_org: int = 1
    partner: int = 1
    lead: int = 0
    lead_org: str = ""
    partner_org: str = ""
    partner_when: tuple[str, ...] = ()
    not_author: bool = True
    distinct: bool = True
    valid_for: timedelta = timedelta(days=14)

    def canonical(self) -> bytes:
        """The bytes that are hashed and stored with each decision."""
        return canonical({**asdict(self), "valid_for": int(self.valid_for.total_seconds())})

    @property
    def sha256(self) -> str:
        """Hash of `canonical()`."""
        return sha256(self.canonical())

    @classmethod
    def parse(cls, raw: bytes) -> Policy:
        """Read `canonical()` bytes back."""
        fields = json.loads(raw)
        fields["valid_for"] = timedelta(seconds=fields["valid_for"])
        fields["partner_when"] = tuple(fields["partner_when"])
        return cls(**fields)


def instant(at: datetime) -> str:
    """A UTC instant as text with milliseconds, `2027-03-09T07:00:00.000Z`: sorts as it reads."""
    utc = at.astimezone(UTC)
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


@lru_cache(maxsize=4096)
def parse_instant(text: str) -> datetime:
    """The other way round. Raises ValueError."""
    if len(text) != 24 or text[23] != "Z":
        raise ValueError(f"{text!r} is no stored instant")
    return datetime.fromisoformat(text)
