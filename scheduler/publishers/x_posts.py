"""X's posts that are out: their words, looking at one, removing it, and what X's errors mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from scheduler.domain.publisher import Http, Prepared, Receipt, Reply, Request, Seen
from scheduler.errors import OutcomeUnknown, PublishError, Rejected, RetryLater, Unauthorised
from scheduler.publishers import replies
from scheduler.publishers.text.words import expanded, plain


class XPosts:
    """The part of the publisher that follows a receipt. `server` is the publisher's own."""

    server: str

    def look(self, prepared: Prepared, receipt: Receipt, http: Http) -> Seen | None:
        """GET /2/tweets/:id. What is not there is an error of type resource-not-found beside a 200."""
        query = {"tweet.fields": "attachments,entities,note_tweet", "expansions": "attachments.media_keys"}
        reply = replies.looked(http, replies.get(self._post(prepared, receipt), query), "the post")
        body = replies.json_object(reply)
        post = replies.mapping(body.get("data"))
        if not post and reply.status in (200, 404) and _says_gone(body, receipt.remote_id):
            return None
        if not replies.ok(reply) or replies.word(post.get("id")) != receipt.remote_id:
            raise replies.cannot_tell(reply, "the post")
        return Seen(receipt.url, _differs(post, prepared))

    def retract(self, prepared: Prepared, receipt: Receipt, http: Http) -> None:
        """DELETE /2/tweets/:id."""
        request = Request("DELETE", self._post(prepared, receipt), (("Accept", "application/json"),))
        replies.removal(http, request, error)

    def _post(self, prepared: Prepared, receipt: Receipt) -> str:
        url = replies.base(prepared.account, self.server)
        return f"{url}/2/tweets/{quote(receipt.remote_id, safe='')}"


def _says_gone(body: Mapping[str, Any], post: str) -> bool:
    """A post that one may not see is another error (not-authorized-for-resource): it may be there."""
    return any(
        str(one.get("type")).endswith("/resource-not-found")
        and post in (replies.word(one.get("resource_id")), replies.word(one.get("value")))
        for one in replies.objects(body.get("errors"))
    )


def _differs(post: Mapping[str, Any], prepared: Prepared) -> str:
    wrong = []
    if words(post) != plain(prepared.content.text):
        wrong.append("the words of the post are not the approved ones")
    keys = replies.mapping(post.get("attachments")).get("media_keys")
    pictures, wanted = len(keys) if isinstance(keys, list) else 0, len(prepared.content.media)
    if pictures != wanted:
        wrong.append(f"the post has {pictures} pictures of {wanted}")
    return "; ".join(wrong)


def words(post: Mapping[str, Any]) -> str:
    """The words of a listed post, ready for comparing; a long post has them in `note_tweet`."""
    long = replies.mapping(post.get("note_tweet"))
    source = long if long.get("text") else post
    links = [
        (replies.word(link.get("url")), replies.word(link.get("expanded_url")))
        for link in replies.objects(replies.mapping(source.get("entities")).get("urls"))
    ]
    text = source.get("text")
    return plain(expanded(text if isinstance(text, str) else "", [link for link in links if all(link)]))


def error(reply: Reply) -> PublishError:
    """What a reply other than 2xx means: problem documents of X, else unknown."""
    body = replies.json_object(reply)
    first = next(iter(replies.objects(body.get("errors"))), {})
    detail = replies.said(body.get("detail") or first.get("message") or body.get("title"))
    if reply.status == 429:
        return RetryLater("throttled", detail, at=replies.after(reply, *_resets(reply)))
    if reply.status == 401:
        return Unauthorised("unauthorised", detail)
    if reply.status == 403 and "duplicate" in detail.casefold():
        return OutcomeUnknown("duplicate", detail)  # probably ours; `find` can tell (finding 6)
    if reply.status == 403 and re.search(r"client-forbidden|unsupported-auth|oauth", str(body.get("type"))):
        return Unauthorised("scope", detail)
    if reply.status in (400, 402, 403, 404, 413, 422) and detail:
        return Rejected(f"http_{reply.status}", detail)
    return replies.unknown(reply, detail)


def _resets(reply: Reply) -> list[str]:
    """The limits that are used up; X counts per quarter of an hour and per day."""
    daily = ("x-user-limit-24hour", "x-app-limit-24hour")
    used_up = [f"{name}-reset" for name in daily if reply.headers.get(f"{name}-remaining") == "0"]
    return used_up or ["x-rate-limit-reset"]
