"""The rules of an app.bsky.feed.post record, and the forms of Bluesky's errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scheduler.publishers.simulated import cid, words
from scheduler.publishers.simulated.shelf import Upload
from scheduler.publishers.simulated.wire import Answer, Refused

POST = "app.bsky.feed.post"
MAX_GRAPHEMES, MAX_BYTES, MAX_IMAGES = 300, 3000, 4
MAX_IMAGE, MAX_THUMB = 2_000_000, 1_000_000
FEATURES = {
    "app.bsky.richtext.facet#link": "uri",
    "app.bsky.richtext.facet#mention": "did",
    "app.bsky.richtext.facet#tag": "tag",
}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,20})?(Z|[+-]\d\d:\d\d)")
_TID = re.compile(r"[2-7a-j][2-7a-z]{12}")


def refuse(status: int, error: str, message: str) -> Refused:
    """An error in XRPC's form."""
    return Refused(Answer(status, {"error": error, "message": message}))


def invalid(message: str) -> Refused:
    """The lexicon's refusal of a record."""
    return refuse(400, "InvalidRequest", f"Invalid {POST} record: {message}")


def check_rkey(rkey: Any) -> str:
    """Posts are kept under a TID."""
    if not isinstance(rkey, str) or not _TID.fullmatch(rkey):
        raise refuse(400, "InvalidRequest", f"Invalid record key for {POST}: Invalid TID string")
    return rkey


@dataclass(frozen=True, slots=True)
class Store:
    """What a record may point at: this account's blobs by CID, and any post's CID by its URI."""

    blob: Callable[[str], Upload | None]
    post_cid: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Picked:
    """What the ledger wants to know of a record that passed."""

    text: str
    media: tuple[tuple[str, str], ...] = ()
    link: str = ""
    reply_to: str = ""


def check(record: Any, store: Store) -> Picked:
    """Hold a record against the lexicon and against what it points at. Raises Refused."""
    if not isinstance(record, dict):
        raise refuse(400, "InvalidRequest", "Input/record must be an object")
    if record.get("$type") != POST:
        raise refuse(400, "InvalidRequest", f"Invalid $type: expected {POST}, got {record.get('$type')}")
    try:
        cid.encode(record)
    except (cid.NotData, ValueError, TypeError) as wrong:
        raise refuse(400, "InvalidRequest", f"Input/record is not valid data: {wrong}") from None
    text = _text(record)
    _created(record)
    _langs(record)
    for at, facet in enumerate(_list(record, "facets")):
        _facet(facet, f"Record/facets/{at}", text.encode())
    media, link = _embed(record.get("embed"), store)
    return Picked(text, media, link, _reply(record.get("reply"), store))


def _need(value: Any, name: str, where: str, kind: type) -> Any:
    if not isinstance(value, dict):
        raise invalid(f"{where} must be an object")
    if name not in value:
        raise invalid(f'{where} must have the property "{name}"')
    if not isinstance(value[name], kind) or (kind is int and isinstance(value[name], bool)):
        word = {str: "a string", int: "an integer", list: "an array", dict: "an object"}[kind]
        raise invalid(f"{where}/{name} must be {word}")
    return value[name]


def _list(record: dict[str, Any], name: str) -> list[Any]:
    if name not in record:
        return []
    return list(_need(record, name, "Record", list))


def _text(record: dict[str, Any]) -> str:
    text = str(_need(record, "text", "Record", str))
    if len(text.encode()) > MAX_BYTES:
        raise invalid(f"Record/text must not be longer than {MAX_BYTES} characters")
    if words.graphemes(text) > MAX_GRAPHEMES:
        raise invalid(f"Record/text must not be longer than {MAX_GRAPHEMES} graphemes")
    return text


def _created(record: dict[str, Any]) -> None:
    created = _need(record, "createdAt", "Record", str)
    try:
        if not _TIME.fullmatch(created):
            raise ValueError
        datetime.fromisoformat(created[:19])
    except ValueError:
        raise invalid(
            "Record/createdAt must be an valid atproto datetime (both RFC-3339 and ISO-8601)"
        ) from None


def _langs(record: dict[str, Any]) -> None:
    langs = _list(record, "langs")
    if len(langs) > 3:
        raise invalid("Record/langs must not have more than 3 elements")
    for at, lang in enumerate(langs):
        if not isinstance(lang, str) or not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*", lang):
            raise invalid(f"Record/langs/{at} must be a well-formed BCP 47 language tag")


def _facet(facet: Any, where: str, text: bytes) -> None:
    index = _need(facet, "index", where, dict)
    start = _need(index, "byteStart", f"{where}/index", int)
    end = _need(index, "byteEnd", f"{where}/index", int)
    if not 0 <= start < end <= len(text):
        # A real server stores it and the apps show dead text; here a wrong offset must not pass unseen.
        raise invalid(f"{where}/index must lie within the {len(text)} bytes of the text")
    for at in (start, end):
        if at < len(text) and text[at] & 0xC0 == 0x80:
            raise invalid(f"{where}/index byte {at} is inside a character")
    features = _need(facet, "features", where, list)
    if not features:
        raise invalid(f"{where}/features must name what the words are")
    for at, feature in enumerate(features):
        kind = _need(feature, "$type", f"{where}/features/{at}", str)
        if kind in FEATURES:
            value = _need(feature, FEATURES[kind], f"{where}/features/{at}", str)
            if kind.endswith("#link") and not re.fullmatch(r"[a-z][a-z0-9+.-]*:\S+", value):
                raise invalid(f"{where}/features/{at}/uri must be a uri")


def _embed(embed: Any, store: Store) -> tuple[tuple[tuple[str, str], ...], str]:
    if embed is None:
        return (), ""
    kind = _need(embed, "$type", "Record/embed", str)
    if kind == "app.bsky.embed.images":
        images = _need(embed, "images", "Record/embed", list)
        if len(images) > MAX_IMAGES:
            raise invalid(f"Record/embed/images must not have more than {MAX_IMAGES} elements")
        return tuple(_image(one, f"Record/embed/images/{at}", store) for at, one in enumerate(images)), ""
    if kind == "app.bsky.embed.external":
        external = _need(embed, "external", "Record/embed", dict)
        for name in ("uri", "title", "description"):
            _need(external, name, "Record/embed/external", str)
        if "thumb" in external:
            _blob(external["thumb"], "Record/embed/external/thumb", store, MAX_THUMB)
        return (), str(external["uri"])
    if kind == "app.bsky.embed.record":
        _ref(_need(embed, "record", "Record/embed", dict), "Record/embed/record", store)
    return (), ""


def _image(image: Any, where: str, store: Store) -> tuple[str, str]:
    alt = _need(image, "alt", where, str)
    ratio = image.get("aspectRatio")
    if ratio is not None:
        for name in ("width", "height"):
            if _need(ratio, name, f"{where}/aspectRatio", int) < 1:
                raise invalid(f"{where}/aspectRatio/{name} can not be less than 1")
    upload = _blob(_need(image, "image", where, dict), f"{where}/image", store, MAX_IMAGE)
    return upload.sha256, str(alt)


def _blob(blob: Any, where: str, store: Store, limit: int) -> Upload:
    ref = blob.get("ref") if isinstance(blob, dict) else None
    if not isinstance(ref, dict) or blob.get("$type") != "blob" or not cid.is_cid(ref.get("$link")):
        raise invalid(f"{where} should be a blob ref")
    upload = store.blob(ref["$link"])
    if upload is None:
        raise refuse(400, "BlobNotFound", f"Could not find blob: {ref['$link']}")
    if blob.get("mimeType") != upload.mime:
        got = blob.get("mimeType")
        message = f"Referenced Mimetype does not match stored blob. Expected: {upload.mime}, Got: {got}"
        raise refuse(400, "InvalidMimeType", message)
    if blob.get("size") != upload.size:
        raise invalid(f"{where}/size must be that of the stored blob")
    if not upload.mime.startswith("image/"):
        raise refuse(
            400, "InvalidMimeType", f"Wrong mimetype of blob. It is {upload.mime} but it must match image/*."
        )
    if upload.size > limit:
        message = f"This file is too large. It is {upload.size} bytes but the maximum size is {limit} bytes."
        raise refuse(400, "BlobTooLarge", message)
    return upload


def _ref(ref: Any, where: str, store: Store) -> str:
    uri, seen = _need(ref, "uri", where, str), _need(ref, "cid", where, str)
    there = store.post_cid(uri)
    if there is None:
        raise invalid(f"{where}/uri names no post: {uri}")
    if there != seen:
        raise invalid(f"{where}/cid is not that of the post: {seen}")
    return str(uri)


def _reply(reply: Any, store: Store) -> str:
    if reply is None:
        return ""
    _ref(_need(reply, "root", "Record/reply", dict), "Record/reply/root", store)
    return _ref(_need(reply, "parent", "Record/reply", dict), "Record/reply/parent", store)
