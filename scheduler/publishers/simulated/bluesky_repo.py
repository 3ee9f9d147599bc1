"""The repository half of the simulated Bluesky: blobs and records."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from typing import Any

from scheduler.publishers.simulated import cid, forms, pictures
from scheduler.publishers.simulated.bluesky_records import POST, Store, check, check_rkey, refuse
from scheduler.publishers.simulated.ledger import Entry
from scheduler.publishers.simulated.shelf import Shelf, Upload
from scheduler.publishers.simulated.wire import Answer, Incoming

NAME = "bluesky"
MAX_BLOB = 5 * 1024 * 1024
MISSING = object()
_TID = "234567abcdefghijklmnopqrstuvwxyz"


def did_of(account: str) -> str:
    """The account's DID: nothing but the account decides it."""
    digest = hashlib.sha256(f"did:{account}".encode()).digest()
    return "did:plc:" + base64.b32encode(digest).decode().lower()[:24]


def tid(micros: int, clock: int = 0) -> str:
    """A timestamp id."""
    value = micros << 10 | clock
    return "".join(_TID[value >> shift & 31] for shift in range(60, -1, -5))


def body_of(call: Incoming) -> dict[str, Any]:
    """The JSON body. Raises Refused."""
    if call.mime != "application/json":
        raise refuse(400, "InvalidRequest", f"Wrong request encoding (Content-Type): {call.mime or '(none)'}")
    try:
        return forms.read_json(call)
    except forms.BadBody:
        raise refuse(400, "InvalidRequest", "Unable to parse body as JSON") from None


class Repo:
    """The records of all accounts. `account_of(call, needs)` reads the token, or refuses."""

    def __init__(self, shelf: Shelf, account_of: Callable[[Incoming, str], str]) -> None:
        self.shelf = shelf
        self.account_of = account_of

    def _owner(self, call: Incoming, body: dict[str, Any], action: str) -> str:
        """The account that writes; the repo must be its own, the collection one that is kept here."""
        account = self.account_of(call, f"repo:{body.get('collection')}?action={action}")
        for name in ("repo", "collection"):
            if not isinstance(body.get(name), str):
                raise refuse(400, "InvalidRequest", f'Input must have the property "{name}"')
        if body["repo"] not in (did_of(account), self.shelf.known.get((NAME, f"account {account}"))):
            raise refuse(401, "AuthenticationRequired", "Authentication Required")
        if body["collection"] != POST:
            raise refuse(
                400, "InvalidRequest", f"Lexicon not kept by this simulated server: {body['collection']}"
            )
        return account

    def _there(self, account: str, rkey: str) -> Entry | None:
        """The live record, whatever a lagging reader sees: writers see the repository itself."""
        entry = self.shelf.posts.get((NAME, _uri(account, rkey)))
        return None if entry is None or entry.deleted else entry

    def put(self, call: Incoming) -> Answer:
        """putRecord: creates; the same bytes again are a no-op without `commit`; others an update."""
        body = body_of(call)
        account = self._owner(call, body, "create")
        rkey = check_rkey(body.get("rkey"))
        picked = check(body.get("record"), self._store(account))
        there, new = self._there(account, rkey), cid.of_record(body["record"])
        if there is not None and there.record["cid"] == new:
            return Answer(200, {"uri": there.remote_id, "cid": new, "validationStatus": "valid"})
        swap = body.get("swapRecord", MISSING)
        held = there.record["cid"] if there else None
        if swap is not MISSING and swap != held:
            raise refuse(400, "InvalidSwap", f"Record was at {held}")
        if there is None:
            return self._create(call, account, rkey, body["record"])
        record = {"cid": new, "value": body["record"]}
        fields = {"text": picked.text, "media": picked.media, "record": record, "at_ns": self.shelf.now_ns()}
        self.shelf.write("edit", platform=NAME, remote_id=there.remote_id, **fields)
        return self._written(there.remote_id, new)

    def create(self, call: Incoming) -> Answer:
        """createRecord: a record key that is taken is a 500, as the real server has it."""
        body = body_of(call)
        account = self._owner(call, body, "create")
        rkey = check_rkey(body["rkey"]) if "rkey" in body else tid(time.time_ns() // 1000)
        check(body.get("record"), self._store(account))
        if self._there(account, rkey) is not None:
            raise refuse(500, "InternalServerError", "Internal Server Error")
        return self._create(call, account, rkey, body["record"])

    def _create(self, call: Incoming, account: str, rkey: str, value: dict[str, Any]) -> Answer:
        if call.trick.get("rewrite"):
            value = {**value, "text": f"{value['text'][:-1]}…", "facets": []}
        picked = check(value, self._store(account))
        entry = Entry(
            NAME,
            account,
            _uri(account, rkey),
            picked.text,
            link=picked.link,
            media=picked.media,
            key=rkey,
            reply_to=picked.reply_to,
            record={"cid": cid.of_record(value), "value": value},
        )
        kept = self.shelf.publish(call, entry)
        return self._written(kept.remote_id, kept.record["cid"])

    def _written(self, uri: str, record_cid: str) -> Answer:
        rev = tid(time.time_ns() // 1000)
        commit = {"cid": cid.of_record({"rev": rev, "uri": uri}), "rev": rev}
        return Answer(200, {"uri": uri, "cid": record_cid, "commit": commit, "validationStatus": "valid"})

    def _store(self, account: str) -> Store:
        def post_cid(uri: str) -> str | None:
            entry = self.shelf.posts.get((NAME, uri))
            return None if entry is None or entry.deleted else str(entry.record["cid"])

        return Store(lambda link: self.shelf.uploads.get((NAME, f"{account} {link}")), post_cid)

    def delete(self, call: Incoming) -> Answer:
        """deleteRecord: what is not there is deleted already."""
        body = body_of(call)
        account = self._owner(call, body, "delete")
        there = self._there(account, check_rkey(body.get("rkey")))
        if there is None:
            return Answer(200, {})
        if "swapRecord" in body and body["swapRecord"] != there.record["cid"]:
            raise refuse(400, "InvalidSwap", f"Record was at {there.record['cid']}")
        self.shelf.write("delete", platform=NAME, remote_id=there.remote_id, at_ns=self.shelf.now_ns())
        rev = tid(time.time_ns() // 1000)
        return Answer(200, {"commit": {"cid": cid.of_record({"rev": rev}), "rev": rev}})

    def _reader(self, call: Incoming) -> str:
        for name in ("repo", "collection"):
            if name not in call.query:
                raise refuse(400, "InvalidRequest", f'Params must have the property "{name}"')
        repo = call.query["repo"]
        kind = "did" if repo.startswith("did:") else "handle"
        account = self.shelf.known.get((NAME, f"{kind} {repo.lower()}"))
        if account is None:
            raise refuse(400, "InvalidRequest", f"Could not find repo: {repo}")
        return account

    def get(self, call: Incoming) -> Answer:
        """getRecord: exact, and without a token."""
        account, query = self._reader(call), call.query
        uri = f"at://{did_of(account)}/{query['collection']}/{query.get('rkey', '')}"
        entry = self.shelf.post(NAME, uri)
        if entry is None or query.get("cid", entry.record["cid"]) != entry.record["cid"]:
            raise refuse(400, "RecordNotFound", f"Could not locate record: {uri}")
        return Answer(200, _shown(entry))

    def list(self, call: Incoming) -> Answer:
        """listRecords: by record key, the newest first unless reversed."""
        account, query = self._reader(call), call.query
        limit = query.get("limit", "50")
        if not limit.isdigit() or not 1 <= int(limit) <= 100:
            raise refuse(400, "InvalidRequest", "Error: limit must be from 1 to 100")
        found = self.shelf.listing(NAME, account) if query["collection"] == POST else []
        backwards, cursor = query.get("reverse") == "true", query.get("cursor")
        found.sort(key=lambda entry: entry.key, reverse=not backwards)
        if cursor:
            found = [e for e in found if (e.key > cursor if backwards else e.key < cursor)]
        page = found[: int(limit)]
        body: dict[str, Any] = {"records": [_shown(entry) for entry in page]}
        if page:
            body["cursor"] = page[-1].key
        return Answer(200, body)

    def upload(self, call: Incoming) -> Answer:
        """uploadBlob: the raw body; the same bytes are the same blob; a broken PNG is a 500."""
        kind = pictures.sniff(call.body) or call.mime
        account = self.account_of(call, f"blob:{kind}")
        if not call.mime:
            message = "Request encoding (Content-Type) required but not provided"
            raise refuse(400, "InvalidRequest", message)
        if not call.body:
            raise refuse(400, "InvalidRequest", "A request body was expected but none was provided")
        if len(call.body) > MAX_BLOB:
            raise refuse(413, "PayloadTooLarge", "request entity too large")
        if kind.startswith("image/") and not pictures.whole(call.body):
            raise refuse(500, "InternalServerError", "Internal Server Error")
        link, size = cid.of_bytes(call.body), len(call.body)
        if (NAME, f"{account} {link}") not in self.shelf.uploads:
            digest = hashlib.sha256(call.body).hexdigest()
            self.shelf.upload(Upload(NAME, account, f"{account} {link}", digest, kind, size))
        return Answer(
            200, {"blob": {"$type": "blob", "ref": {"$link": link}, "mimeType": kind, "size": size}}
        )


def _uri(account: str, rkey: str) -> str:
    return f"at://{did_of(account)}/{POST}/{rkey}"


def _shown(entry: Entry) -> dict[str, Any]:
    return {"uri": entry.remote_id, "cid": entry.record["cid"], "value": entry.record["value"]}
