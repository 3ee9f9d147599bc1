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
    Rejected,
)
from scheduler.publishers import replies, rules
from scheduler.publishers.facebook_posts import FacebookPosts
from scheduler.publishers.facebook_posts import error as _error
from scheduler.publishers.facebook_posts import message as _message
from scheduler.publishers.text.words import same
from scheduler.transport.wire import json_body, multipart

_TYPES = frozenset({"image/jpeg", "image/png", "image/gif"})
_RULES = rules.MediaRules(10, 10_000_000, _TYPES, 1000)  # Graph photos edge: 10 MB; alt (third party)
_LIFE = timedelta(hours=20)  # an unpublished photo is kept about a day
_PAGES = 5


class Facebook(FacebookPosts):
    """The publisher for Facebook pages."""

    platform = "facebook"
    server = "https://graph.facebook.com/v25.0"
    capability = Capability.LISTING
    pages = ("facebook.com", "fb.com")

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
        remote_id = replies.word(body.get("id"))
        if not re.fullmatch(r"[0-9]+(_[0-9]+)?", remote_id, re.ASCII) or "error" in body:
            raise OutcomeUnknown("no_id", "Facebook answered without the id of a post")
        if "_" in remote_id and remote_id.partition("_")[0] != prepared.handles["page"]:
            raise OutcomeUnknown("anothers", "Facebook answered with the id of another page's post")
        return _receipt(remote_id)

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
            if not replies.ok(reply) or not isinstance(page.get("data"), list) or "error" in page:
                raise replies.cannot_tell(reply, "the list of posts")
            for post in replies.readable(page["data"], "the list of posts"):
                if same(_message(post), wanted):
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
