"""Mastodon and servers that claim its API: an idempotency key that cannot be trusted alone.

Source: mastodon/documentation @2903485d; platforms.md A1, findings 2, 3, 7, 8. A reply whose words or
number of pictures are not the approved ones still means that the post is out: it is a Receipt whose
`extra["differs"]` says what is wrong, so that a person is asked and nothing is sent again.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from scheduler.domain.account import Account
from scheduler.domain.content import Content, Media
from scheduler.domain.pace import Limit
from scheduler.domain.publisher import Capability, Http, Length, Outgoing, Prepared, Receipt, Reply, Request
from scheduler.errors import (
    CannotTell,
    NotReady,
    OutcomeUnknown,
    Rejected,
)
from scheduler.publishers import mastodon_limits, paces, replies, rules
from scheduler.publishers.mastodon_limits import Limits
from scheduler.publishers.mastodon_posts import MastodonPosts, differs, is_ours
from scheduler.publishers.mastodon_posts import error as _error
from scheduler.publishers.text.words import from_html, letters
from scheduler.transport.wire import json_body, multipart

_LIFE = timedelta(hours=12)  # of an unattached upload: about a day (unverified)
_VISIBILITIES = ("public", "unlisted", "private", "direct")
_POLLS, _PAGES = 60, 5


class Mastodon(MastodonPosts):
    """The publisher for Mastodon."""

    platform = "mastodon"
    server = "https://mastodon.social"
    capability = Capability.KEY

    def prepare(self, outgoing: Outgoing, account: Account, http: Http) -> Prepared:
        """Ask whose token it is (for `find`) and what the server allows; upload the pictures."""
        content, url = outgoing.content, replies.base(account, self.server)
        said = replies.prepared(
            http, replies.get(f"{url}/api/v1/accounts/verify_credentials"), _error, "verify_credentials"
        )
        # Still to come: the server's rules, the pictures, the status.
        replies.enough(said, "x-ratelimit-remaining", "x-ratelimit-reset", 2 + len(content.media))
        me = replies.json_object(said)
        if not replies.word(me.get("id")):
            raise NotReady("no_profile", "the server did not say whose token this is")
        replies.same_profile(account, me.get("id"), me.get("username"))
        for fault in self._against(content, mastodon_limits.read(http, url)):
            raise Rejected("rules", fault)
        handles: dict[str, Any] = {"user": replies.word(me.get("id")), "media": []}
        expires: datetime | None = None
        for media in content.media:
            uploaded, until = _upload(http, url, media, outgoing.read(media))
            handles["media"].append(uploaded)
            expires = min(until, expires or until)
        if outgoing.parent:
            handles["reply_to"] = outgoing.parent.remote_id
        return Prepared(content, account, handles, expires)

    def request(self, prepared: Prepared, key: str) -> Request:
        """POST /api/v1/statuses as JSON: one server read form bodies as empty posts (measured)."""
        content, handles = prepared.content, prepared.handles
        body: dict[str, Any] = {"status": content.text, "visibility": content.visibility}
        if content.language:
            body["language"] = _language(content.language)
        if handles.get("media"):
            body["media_ids"] = list(handles["media"])
        if handles.get("reply_to"):
            body["in_reply_to_id"] = handles["reply_to"]
        headers = (
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
            ("Idempotency-Key", key),
        )
        url = replies.base(prepared.account, self.server)
        return Request("POST", f"{url}/api/v1/statuses", headers, json_body(body))

    def receipt(self, prepared: Prepared, reply: Reply) -> Receipt:
        """2xx with the status itself; a ScheduledStatus, which we never ask for, is not proof."""
        if not replies.ok(reply):
            raise _error(reply)
        status = replies.json_object(reply)
        if not replies.word(status.get("id")) or status.get("error"):
            raise OutcomeUnknown("no_id", "the server answered without the id of a status")
        if status.get("scheduled_at") and "content" not in status:
            raise OutcomeUnknown("scheduled", "the server scheduled the status instead of publishing it")
        shown = letters(from_html(str(status.get("content") or "")))
        return self._receipt(prepared, status, shown == letters(prepared.content.text))

    def find(self, prepared: Prepared, key: str, since: datetime, http: Http) -> Receipt | None:
        """List the profile's own statuses from `since` on and compare their sources, newest first."""
        wanted, url = replies.words_to_find(prepared.content), replies.base(prepared.account, self.server)
        query = {"limit": "40", "exclude_reblogs": "true"}
        for _ in range(_PAGES):
            asked = replies.get(f"{url}/api/v1/accounts/{prepared.handles['user']}/statuses", query)
            reply = replies.looked(http, asked, "the list of statuses")
            page = replies.json_value(reply)
            if not replies.ok(reply) or not isinstance(page, list):
                raise replies.cannot_tell(reply, "the list of statuses")
            rows = replies.readable(page, "the list of statuses")
            recent = [s for s in rows if _is_since(s, since)]
            for status in recent:
                if is_ours(http, url, status, wanted):
                    return self._receipt(prepared, status, True)
            if len(recent) < len(page) or not page:
                return None
            query["max_id"] = replies.word(recent[-1]["id"])
        raise CannotTell("too_many", f"more than {_PAGES * 40} statuses since then")

    def length(self, content: Content) -> Length:
        """Mastodon's own count against its usual 500; the server's own limit is asked in `prepare`."""
        return mastodon_limits.length(content.text, Limits())

    def faults(self, content: Content) -> tuple[str, ...]:
        """Mastodon's usual rules: 500 characters, four pictures of 16 MB, 1,500 of alt text."""
        return self._against(content, Limits())

    def pace(self, account: Account) -> tuple[Limit, ...]:
        """The documented limits."""
        return paces.MASTODON

    def _against(self, content: Content, limits: Limits) -> tuple[str, ...]:
        used = mastodon_limits.length(content.text, limits)
        found = rules.faults(content, "Mastodon", used, limits.media)
        if content.visibility in _VISIBILITIES:
            return found
        return (*found, f"Mastodon has no visibility {content.visibility}: use {' or '.join(_VISIBILITIES)}.")

    def _receipt(self, prepared: Prepared, status: dict[str, Any], words: bool) -> Receipt:
        remote_id, url = replies.word(status["id"]), status.get("url")
        if not isinstance(url, str) or not url.startswith(("https://", "http://")):
            name = prepared.account.handle.lstrip("@").split("@")[0]
            url = f"{replies.base(prepared.account, self.server)}/@{name}/{remote_id}"
        wrong = differs(prepared, status, words)
        return Receipt(remote_id, url, {"differs": wrong} if wrong else {})


def _upload(http: Http, url: str, media: Media, data: bytes) -> tuple[str, datetime]:
    """Upload one picture with its alt text and wait until the server has processed it."""
    name = re.sub(r"[^A-Za-z0-9.]", "-", media.file.rsplit("/", 1)[-1])
    alt = [("description", media.alt)] if media.alt else []
    body, kind = multipart([("file", name, data, media.mime), *alt])
    request = Request("POST", f"{url}/api/v2/media", (("Content-Type", kind),), body)
    reply = replies.prepared(http, request, _error, media.file)
    media_id = replies.word(replies.json_object(reply).get("id"))
    if not media_id:
        raise NotReady("no_media_id", f"the server gave no id for {media.file}")
    for _ in range(_POLLS):
        if reply.status not in (202, 206):
            return media_id, replies.said_at(reply) + _LIFE
        http.wait(1.0)
        reply = replies.prepared(http, replies.get(f"{url}/api/v1/media/{media_id}"), _error, media.file)
    raise NotReady("media_processing", f"the server is still processing {media.file}")


def _is_since(status: dict[str, Any], since: datetime) -> bool:
    """Whether the status is not older; one whose time cannot be read is looked at as well."""
    try:
        at = datetime.fromisoformat(str(status.get("created_at")))
    except ValueError:
        return True
    return (at if at.tzinfo else at.replace(tzinfo=UTC)) >= since.replace(microsecond=0)


def _language(tag: str) -> str:
    """ISO 639-1, which is all that Mastodon takes, but for its few regional Chinese ones."""
    return tag if tag.startswith("zh-") else tag.partition("-")[0].lower()
