"""Facebook pages (Graph API): no key of ours, and 500s for posts that did go out (finding 5).

Source: meta-specs Page.json @ad2b0b6f; developers.facebook.com pages-api/posts and error-handling;
platforms.md A4. `account.remote_id` is the page's id; a page's token knows it too.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from scheduler.domain.account import Account
from scheduler.domain.content import Content, Media
from scheduler.domain.publisher import Capability, Http, Length, Outgoing, Prepared, Receipt, Reply, Request
from scheduler.errors import (
    CannotTell,
    NotReady,
    OutcomeUnknown,
    PublishError,
    Rejected,
    RetryLater,
    Unauthorised,
)
from scheduler.publishers import replies, rules
from scheduler.publishers.text.words import same
from scheduler.transport.wire import json_body, multipart

_TYPES = frozenset({"image/jpeg", "image/png", "image/gif"})
_RULES = rules.MediaRules(10, 10_000_000, _TYPES, 1000)  # Graph photos edge: 10 MB; alt (third party)
_LIFE = timedelta(hours=20)  # an unpublished photo is kept about a day
_PAGES = 5
_THROTTLED = frozenset({4, 17, 32, 341, 613})
_TOKEN = frozenset({10, 102, 190, *range(200, 300)})


class Facebook:
    """The publisher for Facebook pages."""

    platform = "facebook"
    server = "https://graph.facebook.com/v25.0"
    capability = Capability.LISTING

    def prepare(self, outgoing: Outgoing, account: Account, http: Http) -> Prepared:
        """Upload the pictures as unpublished photos with their alt texts."""
        content, url = outgoing.content, replies.base(account, self.server)
        for fault in self.faults(content):
            raise Rejected("rules", fault)
        page = account.remote_id or _own_page(http, url)
        if not re.fullmatch(r"[0-9]+", page, re.ASCII):
            raise Rejected("no_page_id", f"{account.id} needs the number of its page")
        handles: dict[str, Any] = {"page": page, "photos": []}
        expires: datetime | None = None
        for media in content.media:
            photo, until = _upload(http, f"{url}/{page}", media, outgoing.read(media))
            handles["photos"].append(photo)
            expires = min(until, expires or until)
        return Prepared(content, account, handles, expires)

    def request(self, prepared: Prepared, key: str) -> Request:
        """POST /{page}/feed. Facebook has no idempotency key, so `key` is not in it."""
        content = prepared.content
        body: dict[str, Any] = {"message": content.text}
        if prepared.handles.get("photos"):
            body["attached_media"] = [{"media_fbid": photo} for photo in prepared.handles["photos"]]
        elif content.link:
            body["link"] = content.link
        headers = (("Content-Type", "application/json"), ("Accept", "application/json"))
        return Request("POST", f"{self._page(prepared)}/feed", headers, json_body(body))

    def receipt(self, prepared: Prepared, reply: Reply) -> Receipt:
        """200 with the id of the post, `{page}_{post}`."""
        body = replies.json_object(reply)
        if not replies.ok(reply):
            raise _error(reply)
        if not replies.word(body.get("id")):
            raise OutcomeUnknown("no_id", "Facebook answered without the id of a post")
        return _receipt(replies.word(body["id"]))

    def find(self, prepared: Prepared, key: str, since: datetime, http: Http) -> Receipt | None:
        """List the page's published posts from `since` on and compare their messages."""
        wanted = replies.words_to_find(prepared.content)
        query = {
            "since": str(int(since.astimezone(UTC).timestamp())),
            "limit": "100",
            "fields": "id,message,created_time",
        }
        for _ in range(_PAGES):
            asked = replies.get(f"{self._page(prepared)}/published_posts", query)
            reply = replies.looked(http, asked, "the list of posts")
            page = replies.json_object(reply)
            if not replies.ok(reply) or not isinstance(page.get("data"), list):
                raise replies.cannot_tell(reply, "the list of posts")
            for post in replies.objects(page["data"]):
                if replies.word(post.get("id")) and same(_message(post), wanted):
                    return _receipt(replies.word(post["id"]))
            paging = replies.mapping(page.get("paging"))
            after = replies.word(replies.mapping(paging.get("cursors")).get("after"))
            if not paging.get("next") or not after:
                return None
            query["after"] = after
        raise CannotTell("too_many", f"more than {_PAGES * 100} posts since then")

    def length(self, content: Content) -> Length:
        """Characters, 63,206 at most (third party)."""
        return Length(len(content.text), 63_206)

    def faults(self, content: Content) -> tuple[str, ...]:
        """Facebook's rules: ten pictures of 10 MB, no threads."""
        shared = rules.faults(content, "Facebook", self.length(content), _RULES)
        found = [*shared, *rules.public_only(content, "Facebook")]
        if content.parts > 1:
            found.append("Facebook has no threads: write one text for it under `::: facebook`.")
        return tuple(found)

    def _page(self, prepared: Prepared) -> str:
        return f"{replies.base(prepared.account, self.server)}/{prepared.handles['page']}"


def _own_page(http: Http, url: str) -> str:
    """The page that the token belongs to."""
    return replies.word(
        replies.asked(http, replies.get(f"{url}/me", {"fields": "id"}), _error, "me").get("id")
    )


def _message(post: dict[str, Any]) -> str:
    message = post.get("message")
    return message if isinstance(message, str) else ""


def _receipt(remote_id: str) -> Receipt:
    page, _, post = remote_id.partition("_")
    return Receipt(remote_id, f"https://www.facebook.com/{page}" + (f"/posts/{post}" if post else ""))


def _upload(http: Http, page: str, media: Media, data: bytes) -> tuple[str, datetime]:
    """Upload one picture without publishing it."""
    name = re.sub(r"[^A-Za-z0-9.]", "-", media.file.rsplit("/", 1)[-1])
    alt = [("alt_text_custom", media.alt)] if media.alt else []
    body, kind = multipart([("published", "false"), *alt, ("source", name, data, media.mime)])
    request = Request("POST", f"{page}/photos", (("Content-Type", kind),), body)
    reply = replies.prepared(http, request, _error, media.file)
    photo = replies.word(replies.json_object(reply).get("id"))
    if not photo:
        raise NotReady("no_photo_id", f"Facebook gave no id for {media.file}")
    return photo, replies.said_at(reply) + _LIFE


def _error(reply: Reply) -> PublishError:
    """What an error means: by its code, never by a 5xx, which may be a post that is out (finding 5)."""
    error = replies.mapping(replies.json_object(reply).get("error"))
    code, detail = error.get("code"), replies.said(error.get("message"))
    if reply.status == 429:
        return RetryLater("throttled", detail, at=replies.after(reply))
    if reply.status >= 500 or (error.get("is_transient") is True and code not in _THROTTLED):
        return replies.unknown(reply, detail)
    if code in _THROTTLED:
        return RetryLater(f"code_{code}", detail, at=replies.after(reply))
    if code in _TOKEN or reply.status == 401:
        return Unauthorised(f"code_{code}" if code in _TOKEN else "unauthorised", detail)
    if code == 506 or (code == 368 and re.search(r"already|duplicate", detail, re.IGNORECASE)):
        return OutcomeUnknown("duplicate", detail)  # probably ours; `find` can tell
    if code in (100, 368) and 400 <= reply.status < 500:
        return Rejected(f"code_{code}", detail)
    return replies.unknown(reply, detail)
