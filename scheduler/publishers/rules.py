"""The rules of text and media that all platforms share in kind, each fault one sentence to act on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scheduler.domain.content import Content, Media
from scheduler.domain.publisher import Length


@dataclass(frozen=True, slots=True)
class MediaRules:
    """What a platform takes: pictures in a post, bytes of one, media types, characters of alt text."""

    most: int
    size: int
    types: frozenset[str]
    alt: int


def faults(content: Content, name: str, length: Length, rules: MediaRules) -> tuple[str, ...]:
    """Each rule of text and media that the content breaks on the platform called `name`."""
    return (*text_faults(content, name, length), *media_faults(content, name, rules))


def text_faults(content: Content, name: str, length: Length) -> Iterator[str]:
    """Too long, or nothing to say."""
    if length.used > length.limit:
        over = length.used - length.limit
        yield (
            f"{name} takes {length.limit:,} {length.unit} and this text has {length.used:,}: "
            f"shorten it by {over:,}."
        )
    if not content.text.strip() and not content.media:
        yield f"{name} takes no empty post: write a text or add a picture."


def media_faults(content: Content, name: str, rules: MediaRules) -> Iterator[str]:
    """Too many pictures, too large, of the wrong kind, or alt text that does not fit.

    An empty alt text is a picture declared decorative; that is checked where the file is read.
    """
    if len(content.media) > rules.most:
        yield f"{name} takes {rules.most} pictures and this post has {len(content.media)}: remove some."
    for media in content.media:
        yield from _picture(media, name, rules)


def _picture(media: Media, name: str, rules: MediaRules) -> Iterator[str]:
    if media.size > rules.size:
        yield (
            f"{name} takes pictures of {rules.size:,} bytes and {media.file} has {media.size:,}: "
            "make it smaller."
        )
    if media.mime not in rules.types:
        yield f"{name} does not take {media.mime} ({media.file}): use {_either(rules.types)}."
    if len(media.alt) > rules.alt:
        yield (
            f"{name} takes {rules.alt:,} characters of alt text and that of {media.file} has "
            f"{len(media.alt):,}: shorten it."
        )
    if media.alt and not media.alt.strip():
        yield f"The alt text of {media.file} is blank: describe the picture."


def public_only(content: Content, name: str) -> Iterator[str]:
    """A visibility that the platform does not have."""
    if content.visibility != "public":
        yield f"{name} has only public posts: remove `visibility: {content.visibility}` or leave {name} out."


def _either(types: Iterable[str]) -> str:
    names = sorted(t.removeprefix("image/").upper() for t in types)
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
