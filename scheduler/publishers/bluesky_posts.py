"""Bluesky's posts that are out: comparing a record with what was approved, looking at it, removing it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scheduler.domain.publisher import Http, Prepared, Receipt, Reply, Request, Seen
from scheduler.errors import CannotTell, PublishError, Rejected, RetryLater, Unauthorised
from scheduler.publishers import replies
from scheduler.publishers.bluesky_record import COLLECTION
from scheduler.publishers.text.words import same
from scheduler.transport.wire import json_body

_JSON = (("Content-Type", "application/json"), ("Accept", "application/json"))
# Names of XRPC errors. A bad token is a 400 here, not a 401 (measured).
_TOKEN = re.compile(
    r"(Invalid|Expired)Token|Auth(Missing|enticationRequired|FactorTokenRequired)|BadAuth|Forbidden"
    r"|ScopeMissingError|(Account|Repo)(Takedown|Takendown|Deactivated|Suspended)"
)
_REFUSED = re.compile(
    r"Invalid(Request|MimeType|Record|Handle|Swap)|Blob(NotFound|TooLarge)|PayloadTooLarge"
    r"|(Repo|Record|Handle)NotFound"
)


class BlueskyPosts:
    """The part of the publisher that follows a receipt. `server` is the publisher's own."""

    server: str

    def look(self, prepared: Prepared, receipt: Receipt, http: Http) -> Seen | None:
        """GetRecord of the very record. None: RecordNotFound, which says nothing of a repository unknown."""
        where = _where(prepared, receipt)
        url = f"{replies.base(prepared.account, self.server)}/xrpc/com.atproto.repo.getRecord"
        reply = replies.looked(http, replies.get(url, where), "getRecord")
        body = replies.json_object(reply)
        if reply.status == 400 and body.get("error") == "RecordNotFound":
            return None
        if not replies.ok(reply) or body.get("uri") != receipt.remote_id:
            raise replies.cannot_tell(reply, "getRecord")
        return Seen(receipt.url, differs(replies.mapping(body.get("value")), prepared))

    def retract(self, prepared: Prepared, receipt: Receipt, http: Http) -> None:
        """DeleteRecord; a second time is a 200 as well (measured)."""
        url = f"{replies.base(prepared.account, self.server)}/xrpc/com.atproto.repo.deleteRecord"
        replies.removal(http, Request("POST", url, _JSON, json_body(_where(prepared, receipt))), error)


def _where(prepared: Prepared, receipt: Receipt) -> dict[str, str]:
    """Repository, collection and key of the record. Raises CannotTell for an address that is not ours."""
    repo, _, rest = receipt.remote_id.removeprefix("at://").partition("/")
    collection, _, rkey = rest.partition("/")
    if (repo, collection) != (prepared.handles.get("did"), COLLECTION) or not rkey:
        raise CannotTell("no_record", "the address of the record is not one of this account's posts")
    return {"repo": repo, "collection": collection, "rkey": rkey}


def differs(value: Mapping[str, Any], prepared: Prepared) -> str:
    """How a record is not what was approved ("" = it is)."""
    there, pictures = (
        value.get("text"),
        len(replies.objects(replies.mapping(value.get("embed")).get("images"))),
    )
    if not isinstance(there, str) or not same(there, prepared.content.text):
        return "the words of the record are not the approved ones"
    wanted = len(prepared.content.media)
    return "" if pictures == wanted else f"the record has {pictures} pictures of {wanted}"


def error(reply: Reply) -> PublishError:
    """What a reply other than 2xx means: XRPC errors by name, else unknown."""
    body = replies.json_object(reply)
    name, detail = replies.word(body.get("error")), replies.said(body.get("message"))
    if reply.status == 429:
        return RetryLater("throttled", detail, at=replies.after(reply, "ratelimit-reset"))
    if reply.status == 401 or (400 <= reply.status < 500 and _TOKEN.fullmatch(name)):
        return Unauthorised(replies.said(name) or "unauthorised", detail)
    if 400 <= reply.status < 500 and _REFUSED.fullmatch(name):
        return Rejected(name, detail)
    return replies.unknown(reply, detail or name)
