"""X (API v2): no key of ours, so after an ambiguous send the profile's own posts are listed.

Source: xdevplatform/docs openapi.json 2.167; platforms.md A3. Part of a thread is a reply to the one
before, which X may refuse to self-serve apps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
from scheduler.publishers import paces, replies, rules
from scheduler.publishers.text.count import x_weight
from scheduler.publishers.text.words import plain
from scheduler.publishers.x_posts import XPosts
from scheduler.publishers.x_posts import error as _error
from scheduler.publishers.x_posts import words as _words
from scheduler.transport.wire import json_body, multipart

_RULES = rules.MediaRules(4, 5_000_000, frozenset({"image/jpeg", "image/png", "image/webp"}), 1000)
_JSON = (("Content-Type", "application/json"), ("Accept", "application/json"))
_LIFE = timedelta(hours=24)  # of an uploaded picture (docs: 86,400 s after FINALIZE)
_LEEWAY = timedelta(minutes=5)
_POLLS, _PAGES = 60, 5
_CASHTAG = re.compile(r"(?:^|\s)\$[A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?(?=$|\s|[^\w$])")


class X(XPosts):
    """The publisher for X."""

    platform = "x"
    server = "https://api.x.com"
    capability = Capability.LISTING
    pages = ("x.com", "twitter.com")

    def prepare(self, outgoing: Outgoing, account: Account, http: Http) -> Prepared:
        """Ask whose token it is (for `find`), upload the pictures, set their alt texts."""
        content, url = outgoing.content, replies.base(account, self.server)
        for fault in self.faults(content):
            raise Rejected("rules", fault)
        me = replies.mapping(
            replies.asked(http, replies.get(f"{url}/2/users/me"), _error, "users/me").get("data")
        )
        replies.same_profile(account, me.get("id"), me.get("username"))
        if not replies.word(me.get("id")):
            raise NotReady("no_profile", "X did not say whose token this is")
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
        """POST /2/tweets. X has no idempotency key, so `key` is not in it."""
        body: dict[str, Any] = {"text": prepared.content.text}
        if prepared.handles.get("media"):
            body["media"] = {"media_ids": list(prepared.handles["media"])}
        if prepared.handles.get("reply_to"):
            body["reply"] = {"in_reply_to_tweet_id": prepared.handles["reply_to"]}
        url = replies.base(prepared.account, self.server)
        return Request("POST", f"{url}/2/tweets", _JSON, json_body(body))

    def receipt(self, prepared: Prepared, reply: Reply) -> Receipt:
        """201 with data.id is out, even with `errors` beside it."""
        if not replies.ok(reply):
            raise _error(reply)
        # Of another form it would be no id of X, and no address could be made of it.
        remote_id = replies.word(replies.mapping(replies.json_object(reply).get("data")).get("id"))
        remote_id = remote_id if re.fullmatch(r"[0-9]{1,20}", remote_id, re.ASCII) else ""
        if not remote_id:
            raise OutcomeUnknown("no_id", "X answered without the id of a post")
        return _receipt(prepared, remote_id)

    def find(self, prepared: Prepared, key: str, since: datetime, http: Http) -> Receipt | None:
        """List the profile's own posts from `since` on and compare the words, t.co links expanded."""
        wanted = plain(replies.words_to_find(prepared.content))
        url = f"{replies.base(prepared.account, self.server)}/2/users/{prepared.handles['user']}/tweets"
        query = {
            "start_time": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "max_results": "100",
            "tweet.fields": "created_at,entities,note_tweet",
        }
        for _ in range(_PAGES):
            reply = replies.looked(http, replies.get(url, query), "the list of posts")
            page = replies.json_object(reply)
            # X leaves `data` out where there is nothing, and says so in `meta`; errors beside it are gaps.
            empty = replies.mapping(page.get("meta")).get("result_count") == 0
            rows = page.get("data", [] if empty else None)
            if not replies.ok(reply) or not isinstance(rows, list):
                raise replies.cannot_tell(reply, "the list of posts")
            for post in replies.readable(rows, "the list of posts"):
                if _words(post) == wanted:
                    return _receipt(prepared, replies.word(post["id"]))
            more = replies.word(replies.mapping(page.get("meta")).get("next_token"))
            if not more and page.get("errors"):
                raise CannotTell("partly", "X could not list all posts")
            if not more:
                return None
            query["pagination_token"] = more
        raise CannotTell("too_many", f"more than {_PAGES * 100} posts since then")

    def length(self, content: Content) -> Length:
        """Weighted length, 280 at most."""
        return Length(x_weight(content.text), 280, "weighted characters")

    def faults(self, content: Content) -> tuple[str, ...]:
        """X's rules: 280 weighted, four pictures of 5 MB, 1,000 characters of alt text, one cashtag."""
        found = [*rules.faults(content, "X", self.length(content), _RULES), *rules.public_only(content, "X")]
        if len(_CASHTAG.findall(content.text)) > 1:
            found.append("X takes one cashtag in a post: write the other ones without $.")
        return tuple(found)

    def pace(self, account: Account) -> tuple[Limit, ...]:
        """The documented limits."""
        return paces.X


def _receipt(prepared: Prepared, remote_id: str) -> Receipt:
    handle = prepared.account.handle.lstrip("@") or "i"
    return Receipt(remote_id, f"https://x.com/{handle}/status/{remote_id}")


def _upload(http: Http, url: str, media: Media, data: bytes) -> tuple[str, datetime]:
    """Upload one picture, wait until X has processed it, set its alt text; its id and its end."""
    file = ("media", "media", data, media.mime)
    body, kind = multipart((("media_category", "tweet_image"), ("media_type", media.mime), file))
    sent = Request("POST", f"{url}/2/media/upload", (("Content-Type", kind),), body)
    reply = replies.prepared(http, sent, _error, media.file)
    uploaded = replies.mapping(replies.json_object(reply).get("data"))
    media_id, until = replies.word(uploaded.get("id")), replies.said_at(reply) + _life(uploaded)
    if not media_id:
        raise NotReady("no_media_id", f"X gave no id for {media.file}")
    _await(http, url, media, media_id, uploaded)
    if media.alt:
        alt = {"id": media_id, "metadata": {"alt_text": {"text": media.alt}}}
        sent = Request("POST", f"{url}/2/media/metadata", _JSON, json_body(alt))
        replies.prepared(http, sent, _error, f"the alt text of {media.file}")
    return media_id, until


def _await(http: Http, url: str, media: Media, media_id: str, uploaded: Mapping[str, Any]) -> None:
    for _ in range(_POLLS):
        info = replies.mapping(uploaded.get("processing_info"))
        if info.get("state") in (None, "succeeded"):
            return
        if info.get("state") == "failed":
            why = replies.mapping(info.get("error")).get("message")
            raise Rejected("media_failed", f"X could not read {media.file}: {replies.said(why)}")
        seconds = info.get("check_after_secs")
        http.wait(float(seconds) if isinstance(seconds, int | float) and 1 <= seconds <= 30 else 1.0)
        status = replies.get(f"{url}/2/media/upload", {"command": "STATUS", "media_id": media_id})
        uploaded = replies.mapping(replies.asked(http, status, _error, media.file).get("data"))
    raise NotReady("media_processing", f"X is still processing {media.file}")


def _life(uploaded: Mapping[str, Any]) -> timedelta:
    seconds = uploaded.get("expires_after_secs")
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds <= 0:
        return _LIFE - _LEEWAY
    return min(timedelta(seconds=min(seconds, 10**7)), _LIFE) - _LEEWAY
