"""The simulated Mastodon: statuses with Idempotency-Key, media v2, listing, instance limits."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from scheduler.publishers.simulated import forms, pictures, words
from scheduler.publishers.simulated import mastodon_views as views
from scheduler.publishers.simulated.ledger import Entry
from scheduler.publishers.simulated.shelf import Route, Shelf, Upload, number, when, who, words_of
from scheduler.publishers.simulated.wire import Answer, Incoming, Refused

NAME = "mastodon"
MAX_CHARACTERS = 500
MAX_MEDIA = 4
MAX_ALT = 1500
MAX_IMAGE = 16 * 1024 * 1024
KEY_LIFE_NS = 3600 * 10**9
MIMES = ("image/png", "image/jpeg", "image/gif", "image/webp", "video/mp4")
LIMITS = {
    "statuses": {
        "max_characters": MAX_CHARACTERS,
        "max_media_attachments": MAX_MEDIA,
        "characters_reserved_per_url": 23,
    },
    "media_attachments": {
        "supported_mime_types": list(MIMES),
        "description_limit": MAX_ALT,
        "image_size_limit": MAX_IMAGE,
        "image_matrix_limit": 33177600,
    },
}
VISIBILITIES = ("public", "unlisted", "private", "direct")


def refuse(status: int, message: str) -> Refused:
    """An error in Mastodon's form."""
    return Refused(Answer(status, {"error": message}))


class Mastodon:
    """One server; accounts are those of the tokens that were shown to it."""

    name = NAME

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.address = ""
        self.used: dict[str, int] = {}

    def route(self, call: Incoming) -> Route:
        """Which step this request is, without doing it."""
        account = who(call.token).account
        for method, pattern, step, run in self._table():
            found = re.fullmatch(pattern, call.path)
            if found and method == call.method:
                key = call.headers.get("idempotency-key", "") if step == "publish" else ""
                return Route(step, account, lambda: run(call, *found.groups()), key)
        return Route("look", account, lambda: Answer(404, {"error": "Record not found"}))

    def _table(self) -> list[tuple[str, str, str, Callable[..., Answer]]]:
        return [
            ("POST", r"/api/v1/statuses", "publish", self.publish),
            ("GET", r"/api/v1/statuses/(\d+)", "look", self.show),
            ("GET", r"/api/v1/statuses/(\d+)/source", "look", self.source),
            ("DELETE", r"/api/v1/statuses/(\d+)", "retract", self.delete),
            ("POST", r"/api/v2/media", "media", self.upload),
            ("GET", r"/api/v1/media/(\d+)", "media", self.media),
            ("PUT", r"/api/v1/media/(\d+)", "media", self.describe),
            ("GET", r"/api/v1/accounts/verify_credentials", "look", self.me),
            ("GET", r"/api/v1/accounts/(\d+)/statuses", "look", self.statuses),
            ("GET", r"/api/v2/instance", "look", self.instance),
            ("GET", r"/api/v1/instance", "look", self.instance_v1),
        ]

    def throttled(self, retry_after_s: int) -> Answer:
        """429: the reset time is an ISO 8601 time here."""
        return Answer(429, {"error": "Too many requests"}, self._limits(0, retry_after_s))

    def failed(self, status: int) -> Answer:
        """A 5xx as the proxy before Mastodon gives it: a page, not JSON."""
        page = b"<!DOCTYPE html><title>We're sorry, but something went wrong on our end</title>"
        return Answer(status or 503, page, (("Content-Type", "text/html"),))

    def refused(self, code: int) -> Answer:
        """A refusal on request."""
        return Answer(code or 422, {"error": "Validation failed"})

    def _limits(self, remaining: int, seconds: int = 300) -> tuple[tuple[str, str], ...]:
        reset = when(self.shelf.now_ns() + seconds * 10**9).isoformat(timespec="microseconds")
        return (
            ("X-RateLimit-Limit", "300"),
            ("X-RateLimit-Remaining", str(remaining)),
            ("X-RateLimit-Reset", reset.replace("+00:00", "Z")),
        )

    def _ok(self, account: str, body: Any, status: int = 200) -> Answer:
        self.used[account] = self.used.get(account, 0) + 1
        return Answer(status, body, self._limits(max(0, 300 - self.used[account] % 300)))

    def _account(self, call: Incoming) -> str:
        caller = who(call.token)
        if caller.state == "revoked":
            raise refuse(401, "The access token was revoked")
        if caller.state == "noscope":
            raise refuse(403, "This action is outside the authorized scopes")
        if caller.state != "sim":
            raise refuse(401, "The access token is invalid")
        self.shelf.remember(NAME, number(NAME, caller.account), caller.account)
        return caller.account

    # -- publishing ---------------------------------------------------------------------------------

    def publish(self, call: Incoming) -> Answer:
        """POST /api/v1/statuses: the key first, then the media, then the words, as Mastodon asks."""
        account = self._account(call)
        key = call.headers.get("idempotency-key", "")
        if key and (earlier := self._earlier(account, key)) is not None:
            return self._ok(account, self._status(earlier))
        try:
            body = forms.read(call).fields
        except forms.BadBody as wrong:
            raise refuse(400, str(wrong)) from None
        if body.get("scheduled_at"):
            raise refuse(422, "Validation failed: Scheduled at is not offered by this server")
        reply_to = str(body.get("in_reply_to_id") or "")
        if reply_to and self.shelf.post(NAME, reply_to) is None:
            raise refuse(404, "The post you are trying to reply to does not appear to exist.")
        uploads = self._attachable(account, body.get("media_ids") or [])
        text = self._words(body, bool(uploads))
        visibility = body.get("visibility") or "public"
        if visibility not in VISIBILITIES:
            raise refuse(422, f"'{visibility}' is not a valid visibility")
        record = {
            "media_ids": [upload.id for upload in uploads],
            "spoiler_text": str(body.get("spoiler_text") or ""),
            "sensitive": bool(body.get("sensitive")),
            "visibility": visibility,
            "language": body.get("language") or "en",
        }
        entry = Entry(
            NAME,
            account,
            self.shelf.snowflake(16),
            words_of(call, text),
            media=tuple((upload.sha256, upload.alt) for upload in uploads),
            key=key,
            reply_to=reply_to,
            record=record,
        )
        return self._ok(account, self._status(self.shelf.publish(call, entry)))

    def _earlier(self, account: str, key: str) -> Entry | None:
        remote_id = self.shelf.keys.get((NAME, account, key))
        entry = self.shelf.posts.get((NAME, remote_id)) if remote_id else None
        if entry is None or self.shelf.now_ns() - entry.accepted_ns > KEY_LIFE_NS:
            return None
        if entry.deleted:  # the key still leads to it, but it is no more
            raise refuse(404, "Record not found")
        return entry

    def _attachable(self, account: str, ids: Any) -> list[Upload]:
        if not isinstance(ids, list):
            raise refuse(422, "Validation failed: media_ids is not a list")
        if len(ids) > MAX_MEDIA:
            raise refuse(422, f"Validation failed: Cannot attach more than {MAX_MEDIA} files")
        found = [self.shelf.uploads.get((NAME, str(one))) for one in ids]
        good = [one for one in found if one and one.account == account and not one.attached]
        if len(good) != len(ids) or len({one.id for one in good}) != len(ids):
            missing = ", ".join(str(one) for one in ids if str(one) not in {g.id for g in good})
            raise refuse(422, f"Media {missing} not found or already attached to another post")
        if any(one.polls for one in good):
            raise refuse(422, "Cannot attach files that have not finished processing. Try again in a moment!")
        return good

    def _words(self, body: Any, pictures_too: bool) -> str:
        text = body.get("status") or ""
        if not isinstance(text, str):
            raise refuse(422, "Validation failed: Text is not a string")
        if not text.strip() and not pictures_too:
            raise refuse(422, "Validation failed: Text can't be blank")
        counted = str(body.get("spoiler_text") or "") + text
        if words.mastodon_length(counted) > MAX_CHARACTERS:
            raise refuse(422, f"Validation failed: Text character limit of {MAX_CHARACTERS} exceeded")
        return text

    # -- media --------------------------------------------------------------------------------------

    def upload(self, call: Incoming) -> Answer:
        """POST /api/v2/media: 200 where the picture is ready, 202 where it is still processed."""
        account = self._account(call)
        try:
            form = forms.read(call)
        except forms.BadBody as wrong:
            raise refuse(400, str(wrong)) from None
        file = form.files.get("file")
        if file is None or not file.data:
            raise refuse(422, "Validation failed: File can't be blank")
        mime = pictures.sniff(file.data)
        if mime not in MIMES or not pictures.whole(file.data):
            raise refuse(422, "Validation failed: File content type is invalid, File is invalid")
        if len(file.data) > MAX_IMAGE:
            raise refuse(422, "Validation failed: File file size must be less than 16 MB")
        alt = self._alt(form.fields.get("description"))
        digest = hashlib.sha256(file.data).hexdigest()
        # Video is always processed later; of pictures one in eight, so that every client meets it.
        polls = int(call.trick.get("polls", 2 if mime == "video/mp4" or int(digest[:1], 16) < 2 else 0))
        upload = Upload(NAME, account, self.shelf.snowflake(16), digest, mime, len(file.data), alt, polls)
        kept = self.shelf.upload(upload)
        return self._ok(account, self._attachment(kept), 202 if kept.polls else 200)

    def _alt(self, alt: Any) -> str:
        if alt is not None and words.graphemes(str(alt)) > MAX_ALT:
            raise refuse(422, f"Validation failed: Description is too long (maximum is {MAX_ALT} characters)")
        return str(alt or "")

    def _own(self, account: str, upload_id: str) -> Upload:
        upload = self.shelf.uploads.get((NAME, upload_id))
        if upload is None or upload.account != account or upload.attached:
            raise refuse(404, "Record not found")
        return upload

    def media(self, call: Incoming, upload_id: str) -> Answer:
        """GET /api/v1/media/:id: 206 while it is processed."""
        account = self._account(call)
        upload = self._own(account, upload_id)
        if upload.polls > 0:
            upload.polls -= 1
            if upload.polls:
                return self._ok(account, self._attachment(upload), 206)
        return self._ok(account, self._attachment(upload), 206 if upload.polls else 200)

    def describe(self, call: Incoming, upload_id: str) -> Answer:
        """PUT /api/v1/media/:id: another alt text, before posting."""
        account = self._account(call)
        upload = self._own(account, upload_id)
        alt = self._alt(forms.read(call).fields.get("description"))
        self.shelf.write("alt", platform=NAME, id=upload.id, alt=alt)
        return self._ok(account, self._attachment(upload))

    def _attachment(self, upload: Upload) -> dict[str, Any]:
        return views.attachment(upload, self.address)

    # -- looking ------------------------------------------------------------------------------------

    def _shown(self, status_id: str) -> Entry:
        entry = self.shelf.post(NAME, status_id)
        if entry is None:
            raise refuse(404, "Record not found")
        return entry

    def show(self, call: Incoming, status_id: str) -> Answer:
        """GET /api/v1/statuses/:id: a public status needs no token."""
        return self._ok("", self._status(self._shown(status_id)))

    def source(self, call: Incoming, status_id: str) -> Answer:
        """GET /api/v1/statuses/:id/source: the words as they were sent."""
        account = self._account(call)
        entry = self._shown(status_id)
        if entry.account != account:
            raise refuse(403, "This action is not allowed")
        body = {"id": entry.remote_id, "text": entry.text, "spoiler_text": entry.record["spoiler_text"]}
        return self._ok(account, body)

    def delete(self, call: Incoming, status_id: str) -> Answer:
        """DELETE /api/v1/statuses/:id: answers with the status and its words."""
        account = self._account(call)
        entry = self._shown(status_id)
        if entry.account != account:
            raise refuse(404, "Record not found")
        self.shelf.write("delete", platform=NAME, remote_id=status_id, at_ns=self.shelf.now_ns())
        return self._ok(account, {**self._status(entry), "text": entry.text})

    def me(self, call: Incoming) -> Answer:
        """GET /api/v1/accounts/verify_credentials."""
        account = self._account(call)
        return self._ok(account, {**views.profile(account, self.address), "source": {"privacy": "public"}})

    def statuses(self, call: Incoming, account_id: str) -> Answer:
        """GET /api/v1/accounts/:id/statuses: newest first, at most 40, between the ids asked for."""
        account = self.shelf.known.get((NAME, account_id))
        if account is None:
            raise refuse(404, "Record not found")
        if call.token:
            self._account(call)
        ask = call.query
        found = self.shelf.listing(NAME, account)
        low = int(ask.get("since_id") or ask.get("min_id") or 0)
        found = [e for e in found if int(e.remote_id) > low]
        if ask.get("max_id"):
            found = [e for e in found if int(e.remote_id) < int(ask["max_id"])]
        if ask.get("exclude_replies") == "true":
            found = [e for e in found if not e.reply_to]
        limit = max(1, min(int(ask.get("limit") or 20), 40))
        page = found[-limit:] if ask.get("min_id") else found[:limit]
        return self._ok(account, [self._status(entry) for entry in page])

    def instance(self, call: Incoming) -> Answer:
        """GET /api/v2/instance: the limits that this server keeps."""
        return self._ok("", views.instance(self.address, LIMITS))

    def instance_v1(self, call: Incoming) -> Answer:
        """GET /api/v1/instance: the same, in the older form."""
        return self._ok("", views.instance_v1(self.address, LIMITS))

    def _status(self, entry: Entry) -> dict[str, Any]:
        ids = entry.record["media_ids"]
        uploads = [self.shelf.uploads[NAME, one] for one in ids if (NAME, one) in self.shelf.uploads]
        return views.status(entry, uploads, self.address)
