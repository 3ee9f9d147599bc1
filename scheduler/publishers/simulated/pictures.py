"""What a platform sees in the bytes of a picture: its kind, and whether it is whole."""

from __future__ import annotations

import struct
import zlib


def sniff(data: bytes) -> str:
    """The media type by the first bytes; "" where it is no picture or video we know."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return "video/mp4"
    return ""


def whole(data: bytes) -> bool:
    """Whether a decoder would get to the end: PNG chunks with right sums, a JPEG with its end."""
    kind = sniff(data)
    if kind == "image/png":
        return _png(data)
    if kind == "image/jpeg":
        return data.rstrip(b"\0").endswith(b"\xff\xd9")
    return kind != ""


def _png(data: bytes) -> bool:
    at, seen = 8, set()
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 4 : at + 8 + length]
        if at + 12 + length > len(data):
            return False
        if struct.pack(">I", zlib.crc32(body)) != data[at + 8 + length : at + 12 + length]:
            return False
        seen.add(body[:4])
        at += 12 + length
        if body[:4] == b"IEND":
            return {b"IHDR", b"IDAT"} <= seen
    return False
