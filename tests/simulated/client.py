"""A plain HTTP client for the tests: no library of ours between the test and the simulated platform."""

import http.client
import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any


@dataclass
class Reply:
    status: int
    body: Any
    headers: dict[str, str]


def png(seed: int = 0, width: int = 2) -> bytes:
    """A small, whole PNG; another seed is another picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((seed * 7 + column) % 256 for column in range(width * 3)) for _ in range(2))
    head = struct.pack(">IIBBBBB", width, 2, 8, 2, 0, 0, 0)
    text = b"Comment\0" + str(seed).encode()
    parts = [(b"IHDR", head), (b"tEXt", text), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def multipart(fields: dict[str, str], name: str = "", data: bytes = b"") -> tuple[bytes, str]:
    edge = "edge-of-a-part"
    out = b""
    for key, value in fields.items():
        out += f'--{edge}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
    if name:
        out += f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; filename="a.png"\r\n'.encode()
        out += b"Content-Type: image/png\r\n\r\n" + data + b"\r\n"
    return out + f"--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"


class Client:
    """Requests to one platform with one token."""

    def __init__(self, address: str, token: str = "") -> None:
        self.address = address
        self.token = token

    def send(
        self, method: str, path: str, body: Any = None, mime: str = "application/json", **headers: str
    ) -> Reply:
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if raw is not None:
            sent["Content-Type"] = mime
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        connection = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=30)
        try:
            connection.request(method, path, raw, sent)
            reply = connection.getresponse()
            data = reply.read()
        finally:
            connection.close()
        try:
            value = json.loads(data) if data else None
        except ValueError:
            value = data
        return Reply(reply.status, value, {name.lower(): text for name, text in reply.headers.items()})

    def get(self, path: str) -> Reply:
        return self.send("GET", path)

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        return self.send("POST", path, body, **headers)

    def upload(self, path: str, fields: dict[str, str], name: str, data: bytes) -> Reply:
        body, mime = multipart(fields, name, data)
        return self.send("POST", path, body, mime)
