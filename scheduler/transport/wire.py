"""Bytes of a request: we serialise HTTP/1.1 ourselves, so that every byte is known before T0."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from urllib3.fields import RequestField
from urllib3.filepost import encode_multipart_formdata

from scheduler import __version__
from scheduler.domain.publisher import Request
from scheduler.errors import NotSent

USER_AGENT = f"Launchday/{__version__}"

# Names that only the transport may set: a publisher that could set one could send the token
# elsewhere, smuggle a second request, or hold the connection open.
_OURS = frozenset(
    (
        *("host", "authorization", "content-length", "transfer-encoding", "connection", "user-agent"),
        *("accept-encoding", "expect", "te", "upgrade", "proxy-authorization", "proxy-connection"),
        *("keep-alive", "trailer"),
    )
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_URL = re.compile(r"[\x21-\x7e]+")
_HOST = re.compile(r"[0-9A-Za-z._:-]+")

Field = tuple[str, str] | tuple[str, str, bytes, str]
"""A form field: (name, text), or (name, file name, bytes, media type)."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host (lower case, no brackets) and port: what a token is pinned to."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin:
        """The origin of an absolute URL. Raises NotSent where we would not send anything to it.

        Refused: anything but http(s), user names in the URL (a secret in disguise), characters
        that a URL may not hold, and plain http to anywhere but this machine.
        """
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            raise unsendable("the address is malformed") from None
        if not _URL.fullmatch(url) or not _HOST.fullmatch(host):
            raise unsendable("the address holds characters that a URL may not hold")
        if parts.username is not None or parts.password is not None:
            raise unsendable("the address holds a user name")
        if parts.scheme not in ("http", "https"):
            raise unsendable("the address is neither http nor https")
        origin = cls(parts.scheme, host, port or (443 if parts.scheme == "https" else 80))
        if origin.scheme == "http" and not origin.loopback:
            raise unsendable(f"plain http to {host}: only https leaves this machine")
        return origin

    @property
    def loopback(self) -> bool:
        """Whether this is our own machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def authority(self) -> str:
        """What the Host header says: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def unsendable(why: str) -> NotSent:
    """A request that cannot be put into bytes. `why` never quotes the request: it may hold a secret."""
    return NotSent("unsendable", why)


def serialise(request: Request, token: str = "") -> bytes:
    """The whole request as bytes; `token` ("" = none) becomes `Authorization: Bearer`.

    Raises NotSent for what would not be exactly one well-formed HTTP/1.1 request: a line break in a
    header, a header that is ours to set, an address we refuse.
    """
    origin = Origin.of(request.url)
    parts = urlsplit(request.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not _TOKEN.fullmatch(request.method):
        raise unsendable("the method is not a word")
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {origin.authority}"]
    if token:
        lines.append(f"Authorization: Bearer {_clean(token, 'the token')}")
    lines += [f"User-Agent: {USER_AGENT}", "Accept-Encoding: identity", "Connection: close"]
    for name, value in request.headers:
        if not _TOKEN.fullmatch(name):
            raise unsendable("a header's name is not a word")
        if name.lower() in _OURS:
            raise unsendable(f"the header {name} is the transport's to set")
        lines.append(f"{name}: {_clean(value, f'the header {name}')}")
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(request.body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + request.body


def _clean(value: str, what: str) -> str:
    if not _VALUE.fullmatch(value) or value != value.strip():
        raise unsendable(f"{what} holds a line break, a control or a non-ASCII character")
    return value


def json_body(value: Any) -> bytes:
    """JSON as UTF-8 with no spaces, in the given order; the same value gives the same bytes.

    Raises ValueError for NaN and infinities, which JSON does not have.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def multipart(fields: Sequence[Field]) -> tuple[bytes, str]:
    """A multipart form as (body, content type), fields in the given order.

    The boundary is a hash of the fields: equal fields give equal bytes, and nobody who writes a post
    can put the boundary into it.
    """
    digest = hashlib.sha256()
    parts: list[RequestField] = []
    for field in fields:
        for piece in field:
            raw = piece if isinstance(piece, bytes) else piece.encode()
            digest.update(len(raw).to_bytes(8, "big") + raw)
        if len(field) == 2:
            part, media_type = RequestField(field[0], field[1]), None
        else:
            part, media_type = RequestField(field[0], field[2], filename=field[1]), field[3]
        part.make_multipart(content_type=media_type)
        parts.append(part)
    return encode_multipart_formdata(parts, boundary=f"launchday-{digest.hexdigest()[:32]}")
