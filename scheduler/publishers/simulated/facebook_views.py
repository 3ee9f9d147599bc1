"""How the simulated Graph API shows posts and photos, and the form of its errors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from scheduler.publishers.simulated.ledger import Entry
from scheduler.publishers.simulated.shelf import Shelf, Upload, when
from scheduler.publishers.simulated.wire import Answer, Incoming, Refused

NAME = "facebook"


def error(message: str, code: int, *, subcode: int = 0, transient: bool = False) -> dict[str, Any]:
    """An error in Graph's form."""
    body: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code}
    if transient:
        body["is_transient"] = True
    if subcode:
        body["error_subcode"] = subcode
    body["fbtrace_id"] = "ASimulatedTraceIdNothingMore"
    return {"error": body}


def refuse(message: str, code: int, status: int, *, subcode: int = 0) -> Refused:
    """A refusal in Graph's form."""
    return Refused(Answer(status, error(message, code, subcode=subcode)))


def missing(one: str, method: str) -> Refused:
    """What Graph says of an object that is not there, or not for this token to see."""
    message = (
        f"Unsupported {method.lower()} request. Object with ID '{one}' does not exist, cannot be loaded "
        "due to missing permissions, or does not support this operation."
    )
    return refuse(message, 100, 400, subcode=33)


def _asked(call: Incoming, default: Sequence[str], known: frozenset[str], node: str) -> list[str]:
    """The names in `fields`, those in braces and after points left out."""
    wanted = call.query.get("fields", "")
    while re.search(r"\{[^{}]*\}", wanted):
        wanted = re.sub(r"\{[^{}]*\}", "", wanted)
    names = [re.sub(r"\..*", "", name.strip()) for name in wanted.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise refuse(f"(#100) Tried accessing nonexisting field ({name}) on node type ({node})", 100, 400)
    return names or list(default)


def post(entry: Entry, call: Incoming, shelf: Shelf) -> dict[str, Any]:
    """A post with the fields asked for; `message` is absent where there is none, as Graph has it."""
    uploads = [shelf.uploads[NAME, one] for one in entry.record["media_ids"] if (NAME, one) in shelf.uploads]
    full: dict[str, Any] = {
        "id": entry.remote_id,
        "created_time": when(entry.accepted_ns).strftime("%Y-%m-%dT%H:%M:%S+0000"),
        "message": entry.text,
        "permalink_url": f"https://www.facebook.com/{entry.remote_id}",
        "is_published": True,
        "from": {"id": entry.record["page"], "name": entry.account},
        "attachments": {"data": _attachments(entry, uploads)},
        "full_picture": f"https://scontent.example/{uploads[0].sha256}" if uploads else "",
        "status_type": "added_photos" if uploads else "mobile_status_update",
        "updated_time": when(entry.accepted_ns).strftime("%Y-%m-%dT%H:%M:%S+0000"),
    }
    known = frozenset(full) | {"story", "likes", "comments", "reactions", "shares", "insights"}
    names = _asked(call, ("created_time", "message"), known, "PagePost")
    empty: tuple[Any, ...] = ("", {"data": []})
    return {
        name: full[name] for name in dict.fromkeys([*names, "id"]) if name in full and full[name] not in empty
    }


def _attachments(entry: Entry, uploads: Sequence[Upload]) -> list[dict[str, Any]]:
    if not uploads:
        return [{"type": "share", "unshimmed_url": entry.link, "url": entry.link}] if entry.link else []
    photos = [
        {
            "type": "photo",
            "media_type": "photo",
            "target": {"id": upload.id},
            "description": entry.text,
            "media": {"image": {"src": f"https://scontent.example/{upload.sha256}"}},
        }
        for upload in uploads
    ]
    if len(photos) == 1:
        return photos
    return [{"type": "album", "media_type": "album", "subattachments": {"data": photos}}]


def photo(upload: Upload, call: Incoming) -> dict[str, Any]:
    """An uploaded photo."""
    full = {"id": upload.id, "alt_text_custom": upload.alt, "alt_text": upload.alt}
    full["created_time"] = when(upload.at_ns).strftime("%Y-%m-%dT%H:%M:%S+0000")
    names = _asked(call, ("created_time",), frozenset(full) | {"images", "link", "name"}, "Photo")
    return {name: full[name] for name in dict.fromkeys([*names, "id"]) if full.get(name)}


def listing(found: Sequence[Entry], call: Incoming, shelf: Shelf) -> dict[str, Any]:
    """One page of posts."""
    ask = call.query
    numbers = {name: ask.get(name, "") for name in ("since", "until", "limit", "after")}
    for name, value in numbers.items():
        if value and not value.isdigit():
            raise refuse(f"(#100) param {name} must be a whole number in this simulation.", 100, 400)
    low, high = int(numbers["since"] or 0), int(numbers["until"] or 1 << 62)
    between = [e for e in found if low <= e.accepted_ns // 10**9 <= high]
    at, size = int(numbers["after"] or 0), min(int(numbers["limit"] or 25), 100)
    shown = between[at : at + size]
    body: dict[str, Any] = {"data": [post(entry, call, shelf) for entry in shown]}
    if shown:
        body["paging"] = {"cursors": {"before": str(at), "after": str(at + len(shown))}}
        if at + size < len(between):
            body["paging"]["next"] = f"https://graph.facebook.com{call.path}?after={at + size}"
    return body
