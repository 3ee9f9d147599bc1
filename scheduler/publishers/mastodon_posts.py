"""Mastodon's posts that are out: comparing one with what was approved, looking at it, removing it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from scheduler.domain.publisher import Http, Prepared, Receipt, Reply, Request, Seen
from scheduler.errors import OutcomeUnknown, PublishError, Rejected, RetryLater, Unauthorised
from scheduler.publishers import replies
from scheduler.publishers.text.words import from_html, letters, same


class MastodonPosts:
    """The part of the publisher that follows a receipt. `server` is the publisher's own."""

    server: str

    def look(self, prepared: Prepared, receipt: Receipt, http: Http) -> Seen | None:
        """GET the status, then its source, which is what was sent. None: 404 or 410 in Mastodon's own form.

        Without that form the answer may be a proxy's, and the post may be there.
        """
        url = replies.base(prepared.account, self.server)
        reply = replies.looked(http, replies.get(_status(url, receipt)), "the status")
        status = replies.json_object(reply)
        if reply.status in (404, 410) and status.get("error"):
            return None
        if not replies.ok(reply) or replies.word(status.get("id")) != receipt.remote_id:
            raise replies.cannot_tell(reply, "the status")
        words = is_ours(http, url, status, prepared.content.text)
        return Seen(receipt.url, differs(prepared, status, words))

    def retract(self, prepared: Prepared, receipt: Receipt, http: Http) -> None:
        """DELETE /api/v1/statuses/:id."""
        url = replies.base(prepared.account, self.server)
        request = Request("DELETE", _status(url, receipt), (("Accept", "application/json"),))
        replies.removal(http, request, error)


def _status(url: str, receipt: Receipt) -> str:
    return f"{url}/api/v1/statuses/{quote(receipt.remote_id, safe='')}"


def differs(prepared: Prepared, status: dict[str, Any], words: bool) -> str:
    """How a status is not what was approved ("" = it is); `words`: whether they are the approved ones."""
    pictures, wanted = len(replies.objects(status.get("media_attachments"))), len(prepared.content.media)
    wrong = [] if words else ["the words of the status are not the approved ones"]
    if pictures != wanted:
        wrong.append(f"the status has {pictures} pictures of {wanted}")
    return "; ".join(wrong)


def is_ours(http: Http, url: str, status: dict[str, Any], text: str) -> bool:
    """Compare /source, which is what was sent; where a server has none, the letters of the HTML."""
    asked = replies.get(f"{url}/api/v1/statuses/{replies.word(status['id'])}/source")
    reply = replies.looked(http, asked, "the source of a status")
    source = replies.json_object(reply).get("text")
    if replies.ok(reply) and isinstance(source, str):
        return same(source, text)
    if reply.status == 429 or reply.status >= 500:
        raise replies.cannot_tell(reply, "the source of a status")
    return letters(from_html(str(status.get("content") or ""))) == letters(text)


def error(reply: Reply) -> PublishError:
    """What a reply other than 2xx means: Mastodon's `error`, else unknown."""
    detail = replies.said(replies.json_object(reply).get("error"))
    if reply.status == 429:
        return RetryLater("throttled", detail, at=replies.after(reply, "x-ratelimit-reset"))
    if reply.status == 401 or (reply.status == 403 and detail):
        return Unauthorised("unauthorised" if reply.status == 401 else "scope", detail)
    if reply.status in (400, 422) and "already" in detail and "attach" in detail:
        return OutcomeUnknown("media_used", detail)  # perhaps by an earlier attempt of ours (A1)
    if reply.status in (400, 404, 410, 413, 415, 422) and detail:
        return Rejected(f"http_{reply.status}", detail)
    return replies.unknown(reply, detail)
