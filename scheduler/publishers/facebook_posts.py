"""Facebook's posts that are out: looking at one, removing it, and what Graph's errors mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from scheduler.domain.publisher import Http, Prepared, Receipt, Reply, Request, Seen
from scheduler.errors import OutcomeUnknown, PublishError, Rejected, RetryLater, Unauthorised
from scheduler.publishers import replies
from scheduler.publishers.text.words import same

_THROTTLED = frozenset({4, 17, 32, 341, 613})
_TOKEN = frozenset({10, 102, 190, *range(200, 300)})
_FIELDS = "id,message,attachments{type,media_type,subattachments}"


class FacebookPosts:
    """The part of the publisher that follows a receipt. `server` is the publisher's own."""

    server: str

    def look(self, prepared: Prepared, receipt: Receipt, http: Http) -> Seen | None:
        """GET /{post-id}.

        Graph has one error for a post that is gone and for one that this token may not see; so None is
        said only where the page's own list can be read with it and has no such post either.
        """
        reply = replies.looked(
            http, replies.get(self._post(prepared, receipt), {"fields": _FIELDS}), "the post"
        )
        post = replies.json_object(reply)
        if replies.ok(reply) and replies.word(post.get("id")) == receipt.remote_id:
            return Seen(receipt.url, _differs(post, prepared))
        fault = replies.mapping(post.get("error"))
        if reply.status not in (400, 404) or fault.get("code") != 100 or fault.get("error_subcode") != 33:
            raise replies.cannot_tell(reply, "the post")
        if receipt.remote_id in self._listed(prepared, http):
            raise replies.cannot_tell(reply, "the post, which its page lists,")
        return None

    def retract(self, prepared: Prepared, receipt: Receipt, http: Http) -> None:
        """DELETE /{post-id}. Graph's "not there, or not yours" (100/33) is left to the look."""
        request = Request("DELETE", self._post(prepared, receipt), (("Accept", "application/json"),))
        reply = http.send(request)
        fault = replies.mapping(replies.json_object(reply).get("error"))
        if not replies.ok(reply) and (fault.get("code"), fault.get("error_subcode")) != (100, 33):
            raise error(reply)

    def _listed(self, prepared: Prepared, http: Http) -> set[str]:
        """The ids of the page's newest posts. Raises CannotTell where the list cannot be read."""
        page = f"{replies.base(prepared.account, self.server)}/{prepared.handles['page']}/published_posts"
        reply = replies.looked(http, replies.get(page, {"fields": "id", "limit": "100"}), "the list of posts")
        posts = replies.json_object(reply).get("data")
        if not replies.ok(reply) or not isinstance(posts, list):
            raise replies.cannot_tell(reply, "the list of posts")
        return {replies.word(one.get("id")) for one in replies.objects(posts)}

    def _post(self, prepared: Prepared, receipt: Receipt) -> str:
        return f"{replies.base(prepared.account, self.server)}/{quote(receipt.remote_id, safe='')}"


def _differs(post: dict[str, Any], prepared: Prepared) -> str:
    wrong = []
    if not same(message(post), prepared.content.text):
        wrong.append("the words of the post are not the approved ones")
    pictures, wanted = _pictures(post), len(prepared.content.media)
    if pictures != wanted:
        wrong.append(f"the post has {pictures} pictures of {wanted}")
    return "; ".join(wrong)


def _pictures(post: Mapping[str, Any]) -> int:
    """Photos of the post itself and of its album; the card of a link is none."""
    found = 0
    for one in replies.objects(replies.mapping(post.get("attachments")).get("data")):
        album = replies.objects(replies.mapping(one.get("subattachments")).get("data"))
        found += len(album) or ("photo" in (one.get("type"), one.get("media_type")))
    return found


def message(post: dict[str, Any]) -> str:
    """The words of a post, "" where it has none."""
    message = post.get("message")
    return message if isinstance(message, str) else ""


def error(reply: Reply) -> PublishError:
    """What an error means: by its code, never by a 5xx, which may be a post that is out (finding 5)."""
    error = replies.mapping(replies.json_object(reply).get("error"))
    code, detail = error.get("code"), replies.said(error.get("message"))
    code = code if isinstance(code, int) else 0
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
