"""What one Mastodon server allows: every server has limits of its own (platforms.md finding 8)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from scheduler.domain.publisher import Http, Length, Reply
from scheduler.errors import NotReady
from scheduler.publishers import replies
from scheduler.publishers.rules import MediaRules
from scheduler.publishers.text.count import mastodon_length

_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_MEDIA = MediaRules(4, 16_000_000, _TYPES, 1500)  # 16 MB; alt text as documented for 4.4


@dataclass(frozen=True, slots=True)
class Limits:
    """`url` is what a linked URL counts; `proper` whether the server counts as Mastodon itself does."""

    characters: int = 500
    url: int = 23
    proper: bool = True
    media: MediaRules = _MEDIA


def length(text: str, limits: Limits) -> Length:
    """Mastodon's count; elsewhere code points where they are more: some count them, URLs in full."""
    used = mastodon_length(text, limits.url)
    return Length(used if limits.proper else max(used, len(text)), limits.characters)


def read(http: Http, url: str) -> Limits:
    """Ask the server: /api/v2/instance, else /api/v1/instance, else the usual limits.

    Raises NotReady where the server does not answer the question at all.
    """
    for path in ("/api/v2/instance", "/api/v1/instance"):
        reply = http.send(replies.get(url + path))
        if replies.ok(reply) and replies.json_object(reply):
            return _limits(replies.json_object(reply))
        if reply.status == 429 or reply.status >= 500:
            raise _silent(reply)
    return Limits(proper=False)


def _limits(instance: dict[str, Any]) -> Limits:
    usual = Limits()
    configuration = replies.mapping(instance.get("configuration"))
    statuses = replies.mapping(configuration.get("statuses"))
    media = replies.mapping(configuration.get("media_attachments"))
    types = media.get("supported_mime_types")
    known = frozenset(t for t in types if isinstance(t, str)) if isinstance(types, list) else frozenset()
    rules = MediaRules(
        _count(statuses.get("max_media_attachments"), usual.media.most),
        _count(media.get("image_size_limit"), usual.media.size),
        known & _TYPES or _TYPES,
        _count(media.get("description_limit"), usual.media.alt),
    )
    most = _count(statuses.get("max_characters"), _count(instance.get("max_toot_chars"), usual.characters))
    reserved = _count(statuses.get("characters_reserved_per_url"), usual.url)
    return Limits(most, reserved, _is_proper(instance), rules)


def _is_proper(instance: dict[str, Any]) -> bool:
    """Mastodon itself says `4.4.1`, perhaps `4.4.1+glitch`; others add `compatible` or count from 0."""
    return re.fullmatch(r"[4-9]\.\d+\.\d+[^ ]*", replies.word(instance.get("version"))) is not None


def _count(value: Any, usual: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else usual


def _silent(reply: Reply) -> NotReady:
    return NotReady(f"http_{reply.status}", "the server does not say what it allows")
