"""Bluesky: putRecord under a key of ours, so that sending the same bytes again changes nothing.

Source: platforms.md A2 and finding 4 (measured on @atproto/pds 0.4.217 and 0.5.35). `swapRecord` stays
out, so that a repeat is a 200 with the same CID; `createRecord` would answer 500 to it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from scheduler.domain.account import Account
from scheduler.domain.content import Content, Media, instant
from scheduler.domain.pace import Limit
from scheduler.domain.publisher import Capability, Http, Length, Outgoing, Prepared, Receipt, Reply, Request
from scheduler.errors import NotReady, OutcomeUnknown, Rejected, Unauthorised
from scheduler.publishers import paces, replies, rules
from scheduler.publishers.bluesky_posts import BlueskyPosts, differs
from scheduler.publishers.bluesky_posts import error as _error
from scheduler.publishers.bluesky_record import COLLECTION, record, rkey
from scheduler.publishers.text.count import graphemes
from scheduler.publishers.text.facets import mentions
from scheduler.transport.wire import json_body

_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif"})
_RULES = rules.MediaRules(4, 2_000_000, _TYPES, 2000)  # lexicon app.bsky.embed.images; alt as in the app
_BYTES = 3000  # UTF-8, beside the 300 graphemes
_LIFE = timedelta(hours=1)  # of an uploaded blob that no record names yet (unverified: some hours)
_JSON = (("Content-Type", "application/json"), ("Accept", "application/json"))


class Bluesky(BlueskyPosts):
    """The publisher for Bluesky and any other AT Protocol server."""

    platform = "bluesky"
    server = "https://bsky.social"
    capability = Capability.RECORD
    pages = ("bsky.app",)

    def open_session(self, account: Account, secret: str, http: Http) -> str:
        """An access token (2 h) for an app password. createSession is limited to 300 a day."""
        body = {"identifier": account.handle.lstrip("@"), "password": secret}
        url = f"{replies.base(account, self.server)}/xrpc/com.atproto.server.createSession"
        reply = http.send(Request("POST", url, _JSON, json_body(body)), authorise=False)
        token = replies.word(replies.json_object(reply).get("accessJwt"))
        if replies.ok(reply) and token:
            return token
        error = replies.unknown(reply) if replies.ok(reply) else _error(reply)
        if isinstance(error, Rejected):
            raise Unauthorised(error.code, f"the app password of {account.id} was refused")
        raise error

    def prepare(self, outgoing: Outgoing, account: Account, http: Http) -> Prepared:
        """Ask whose token it is, find the DIDs of mentioned handles, upload the pictures."""
        for fault in self.faults(outgoing.content):
            raise Rejected("rules", fault)
        xrpc = f"{replies.base(account, self.server)}/xrpc"
        said = replies.prepared(
            http, replies.get(f"{xrpc}/com.atproto.server.getSession"), _error, "getSession"
        )
        # Still to come: the pictures, the record.
        replies.enough(said, "ratelimit-remaining", "ratelimit-reset", 1 + len(outgoing.content.media))
        session = replies.json_object(said)
        did, handle = replies.word(session.get("did")), replies.word(session.get("handle"))
        if not did.startswith("did:"):
            raise NotReady("no_did", "the server did not say whose token this is")
        replies.same_profile(account, did, handle if handle != "handle.invalid" else "")
        handles: dict[str, Any] = {"did": did, "due": instant(outgoing.due)}
        handles["mentions"] = _dids(http, xrpc, outgoing.content.text)
        expires: datetime | None = None
        handles["blobs"] = []
        for media in outgoing.content.media:
            blob, until = _upload(http, xrpc, media, outgoing.read(media))
            handles["blobs"].append(blob)
            expires = min(until, expires or until)
        if outgoing.parent:
            root = outgoing.root or outgoing.parent
            handles["reply"] = {"root": _reference(root), "parent": _reference(outgoing.parent)}
        return Prepared(outgoing.content, account, handles, expires)

    def request(self, prepared: Prepared, key: str) -> Request:
        """PutRecord under the TID that T0 and `key` determine; createdAt is T0, so bytes never change."""
        body = {
            "repo": prepared.handles["did"],
            "collection": COLLECTION,
            "rkey": rkey(prepared, key),
            "record": record(prepared),
        }
        url = f"{replies.base(prepared.account, self.server)}/xrpc/com.atproto.repo.putRecord"
        return Request("POST", url, _JSON, json_body(body))

    def receipt(self, prepared: Prepared, reply: Reply) -> Receipt:
        """200 with uri and cid, whether the record is new or was there already."""
        if not replies.ok(reply):
            raise _error(reply)
        body = replies.json_object(reply)
        uri, cid = replies.word(body.get("uri")), replies.word(body.get("cid"))
        if not uri.startswith(f"at://{prepared.handles['did']}/{COLLECTION}/") or not cid:
            raise OutcomeUnknown("no_uri", "the server answered without the address of a record")
        return _receipt(prepared, uri, cid)

    def find(self, prepared: Prepared, key: str, since: datetime, http: Http) -> Receipt | None:
        """Read the record under our key. `since` is not needed: nobody else writes there.

        Where its words or its number of pictures differ, `extra["differs"]` says so.
        """
        query = {"repo": prepared.handles["did"], "collection": COLLECTION, "rkey": rkey(prepared, key)}
        url = f"{replies.base(prepared.account, self.server)}/xrpc/com.atproto.repo.getRecord"
        reply = replies.looked(http, replies.get(url, query), "getRecord")
        body = replies.json_object(reply)
        if reply.status == 400 and body.get("error") == "RecordNotFound":
            return None
        uri, cid = replies.word(body.get("uri")), replies.word(body.get("cid"))
        if not replies.ok(reply) or uri != f"at://{query['repo']}/{COLLECTION}/{query['rkey']}" or not cid:
            raise replies.cannot_tell(reply, "getRecord")
        return _receipt(prepared, uri, cid, differs(replies.mapping(body.get("value")), prepared))

    def length(self, content: Content) -> Length:
        """Graphemes, 300 at most; bytes, where they are what is too many."""
        used, size = graphemes(content.text), len(content.text.encode())
        return Length(size, _BYTES, "bytes") if used <= 300 and size > _BYTES else Length(used, 300)

    def faults(self, content: Content) -> tuple[str, ...]:
        """Bluesky's rules: 300 graphemes and 3,000 bytes, four pictures of 2,000,000 bytes."""
        shared = rules.faults(content, "Bluesky", self.length(content), _RULES)
        return (*shared, *rules.public_only(content, "Bluesky"))

    def pace(self, account: Account) -> tuple[Limit, ...]:
        """The documented limits."""
        return paces.BLUESKY


def _receipt(prepared: Prepared, uri: str, cid: str, differs: str = "") -> Receipt:
    name = prepared.account.handle.lstrip("@") or prepared.handles["did"]
    url = f"https://bsky.app/profile/{name}/post/{uri.rsplit('/', 1)[-1]}"
    return Receipt(uri, url, {"cid": cid, "differs": differs} if differs else {"cid": cid})


def _reference(receipt: Receipt) -> dict[str, str]:
    if not receipt.extra.get("cid"):
        raise NotReady("no_cid", "the record of the post before this one is not known exactly")
    return {"uri": receipt.remote_id, "cid": receipt.extra["cid"]}


def _dids(http: Http, xrpc: str, text: str) -> dict[str, str]:
    """The DID of each mentioned handle; a handle that the server does not know stays plain text."""
    found: dict[str, str] = {}
    for handle in mentions(text):
        asked = replies.get(f"{xrpc}/com.atproto.identity.resolveHandle", {"handle": handle})
        try:
            did = replies.word(replies.asked(http, asked, _error, f"@{handle}").get("did"))
        except Unauthorised:
            raise
        except Rejected:
            continue
        if did.startswith("did:"):
            found[handle] = did
    return found


def _upload(http: Http, xrpc: str, media: Media, data: bytes) -> tuple[dict[str, Any], datetime]:
    """Upload one picture; the same bytes give the same blob, so doing it again is harmless."""
    request = Request("POST", f"{xrpc}/com.atproto.repo.uploadBlob", (("Content-Type", media.mime),), data)
    reply = replies.prepared(http, request, _error, media.file)
    blob = replies.mapping(replies.json_object(reply).get("blob"))
    if not replies.word(replies.mapping(blob.get("ref")).get("$link")):
        raise NotReady("no_blob", f"the server gave no blob for {media.file}")
    return dict(blob), replies.said_at(reply) + _LIFE
