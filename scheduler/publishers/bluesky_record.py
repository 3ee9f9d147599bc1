"""The record of a Bluesky post and the key it is put under: every byte follows from what is prepared."""

from __future__ import annotations

import hashlib
from datetime import UTC
from typing import Any
from urllib.parse import urlsplit

from scheduler.domain.content import Content, Media, parse_instant
from scheduler.domain.publisher import Prepared
from scheduler.publishers.text.facets import facets

COLLECTION = "app.bsky.feed.post"
_TID = "234567abcdefghijklmnopqrstuvwxyz"


def record(prepared: Prepared) -> dict[str, Any]:
    """The record as JSON: words, createdAt (T0), language, facets, pictures or card, reply."""
    content, handles = prepared.content, prepared.handles
    record: dict[str, Any] = {"$type": COLLECTION, "text": content.text, "createdAt": handles["due"]}
    if content.language:
        record["langs"] = [content.language]
    if found := facets(content.text, handles.get("mentions") or {}):
        record["facets"] = found
    if embed := _embed(content, handles.get("blobs") or []):
        record["embed"] = embed
    if handles.get("reply"):
        record["reply"] = handles["reply"]
    return record


def _embed(content: Content, blobs: list[Any]) -> dict[str, Any]:
    """Pictures with alt text and shape; without pictures a card for the link, titled by its host.

    The page itself is not fetched: a card says only what was approved.
    """
    if content.media:
        images = [_image(m, blob) for m, blob in zip(content.media, blobs, strict=True)]
        return {"$type": "app.bsky.embed.images", "images": images}
    host = urlsplit(content.link).hostname if content.link else None
    if not host:
        return {}
    external = {"uri": content.link, "title": host.removeprefix("www."), "description": ""}
    return {"$type": "app.bsky.embed.external", "external": external}


def _image(media: Media, blob: Any) -> dict[str, Any]:
    image: dict[str, Any] = {"alt": media.alt, "image": blob}
    if media.width > 0 and media.height > 0:
        image["aspectRatio"] = {"width": media.width, "height": media.height}
    return image


def rkey(prepared: Prepared, key: str) -> str:
    """A TID: T0's second, then 30 bits from the key, so that a wave's posts of one profile never meet."""
    seconds = int(parse_instant(prepared.handles["due"]).replace(tzinfo=UTC).timestamp())
    bits = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
    value = ((seconds * 1_000_000 + bits % 1_000_000) << 10) | (bits >> 40) & 0x3FF
    return "".join(_TID[value >> shift & 31] for shift in range(60, -1, -5))
