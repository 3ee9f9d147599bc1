"""The simulated Mastodon: statuses with Idempotency-Key, media v2, listing, instance limits."""

from __future__ import annotations

from functools import partial
from typing import Any

from scheduler.publishers.simulated import forms, words
from scheduler.publishers.simulated import mastodon_views as views
from scheduler.publishers.simulated.ledger import Entry
from scheduler.publishers.simulated.mastodon_media import (
    LIMITS,
    MAX_CHARACTERS,
    MAX_MEDIA,
    NAME,
    Pictures,
    refuse,
)
from scheduler.publishers.simulated.shelf import (
    Route,
    Shelf,
    Table,
    Upload,
    number,
    pick,
    when,
    who,
    words_of,
)
from scheduler.publishers.simulated.wire import Answer, Incoming

KEY_LIFE_NS = 3600 * 10**9
VISIBILITIES = ("public", "unlisted", "private", "direct")


class Mastodon:
    """One server; accounts are those of the tokens that were shown to it."""

    name = NAME

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.address = ""
        self.used: dict[str, int] = {}
        self.pictures = Pictures(shelf, self)

    def route(self, call: Incoming) -> Route:
        """Which step this request is, without doing it."""
        account = who(call.token).account
        step, run = pick(self._table(), call, call.path) or ("look", partial(_nothing, call))
        key = call.headers.get("idempotency-key", "") if step == "publish" else ""
        return Route(step, account, run, key)

    def _table(self) -> Table:
        return [
            ("POST", r"/api/v1/statuses", "publish", self.publish),
            ("GET", r"/api/v1/statuses/(\d+)", "look", self.show),
            ("GET", r"/api/v1/statuses/(\d+)/source", "look", self.source),
            ("DELETE", r"/api/v1/statuses/(\d+)", "retract", self.delete),
            ("POST", r"/api/v2/media", "media", self.pictures.upload),
            ("GET", r"/api/v1/media/(\d+)", "poll", self.pictures.show),
            ("PUT", r"/api/v1/media/(\d+)", "alt", self.pictures.describe),
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

    def ok(self, account: str, body: Any, status: int = 200) -> Answer:
        """A reply with the headers of the limits."""
        self.used[account] = self.used.get(account, 0) + 1
        return Answer(status, body, self._limits(max(0, 300 - self.used[account] % 300)))

    def account_of(self, call: Incoming) -> str:
        """Whose token it is. Raises Refused."""
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
        account = self.account_of(call)
        key = call.headers.get("idempotency-key", "")
        if key and (earlier := self._earlier(account, key)) is not None:
            return self.ok(account, self._status(earlier))
        try:
            body = forms.read(call).fields
        except forms.BadBody as wrong:
            raise refuse(400, str(wrong)) from None
        if body.get("scheduled_at"):  # a real server schedules; this one must not pretend to
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
        return self.ok(account, self._status(self.shelf.publish(call, entry)))

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

    # -- looking ------------------------------------------------------------------------------------

    def _shown(self, status_id: str) -> Entry:
        entry = self.shelf.post(NAME, status_id)
        if entry is None:
            raise refuse(404, "Record not found")
        return entry

    def show(self, call: Incoming, status_id: str) -> Answer:
        """GET /api/v1/statuses/:id: a public status needs no token."""
        return self.ok("", self._status(self._shown(status_id)))

    def source(self, call: Incoming, status_id: str) -> Answer:
        """GET /api/v1/statuses/:id/source: the words as they were sent."""
        account = self.account_of(call)
        entry = self._shown(status_id)
        if entry.account != account:
            raise refuse(403, "This action is not allowed")
        body = {"id": entry.remote_id, "text": entry.text, "spoiler_text": entry.record["spoiler_text"]}
        return self.ok(account, body)

    def delete(self, call: Incoming, status_id: str) -> Answer:
        """DELETE /api/v1/statuses/:id: answers with the status and its words."""
        account = self.account_of(call)
        entry = self._shown(status_id)
        if entry.account != account:
            raise refuse(404, "Record not found")
        self.shelf.write("delete", platform=NAME, remote_id=status_id, at_ns=self.shelf.now_ns())
        return self.ok(account, {**self._status(entry), "text": entry.text})

    def me(self, call: Incoming) -> Answer:
        """GET /api/v1/accounts/verify_credentials."""
        account = self.account_of(call)
        return self.ok(account, {**views.profile(account, self.address), "source": {"privacy": "public"}})

    def statuses(self, call: Incoming, account_id: str) -> Answer:
        """GET /api/v1/accounts/:id/statuses: newest first, at most 40, between the ids asked for."""
        account = self.shelf.known.get((NAME, account_id))
        if account is None:
            raise refuse(404, "Record not found")
        if call.token:
            self.account_of(call)
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
        return self.ok(account, [self._status(entry) for entry in page])

    def instance(self, call: Incoming) -> Answer:
        """GET /api/v2/instance: the limits that this server keeps."""
        return self.ok("", views.instance(self.address, LIMITS))

    def instance_v1(self, call: Incoming) -> Answer:
        """GET /api/v1/instance: the same, in the older form."""
        return self.ok("", views.instance_v1(self.address, LIMITS))

    def _status(self, entry: Entry) -> dict[str, Any]:
        ids = entry.record["media_ids"]
        uploads = [self.shelf.uploads[NAME, one] for one in ids if (NAME, one) in self.shelf.uploads]
        return views.status(entry, uploads, self.address)


def _nothing(call: Incoming) -> Answer:
    return Answer(404, {"error": "Record not found"})
