"""Calls and answers as bytes between a sender and its workers: length and JSON, never pickle.

What comes from a worker is foreign: it is read strictly, and whatever is not exactly an answer is Nonsense.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from scheduler import errors
from scheduler.domain.account import Account
from scheduler.domain.content import Content, Media, instant, parse_instant
from scheduler.domain.publisher import Outgoing, Prepared, Receipt, Reply, Request, Seen
from scheduler.errors import PublishError, RetryLater
from scheduler.services.arm import stored, unstored
from scheduler.services.calls import Built, Call, Find, LookAt, Nonsense, Prepare, Read, Remove

MOST = 64 * 1024 * 1024  # bytes of one frame
_KINDS = {
    one.__name__: one
    for one in (
        errors.Rejected,
        errors.Unauthorised,
        errors.RetryLater,
        errors.NotSent,
        errors.OutcomeUnknown,
        errors.CannotTell,
        errors.NotReady,
    )
}


def frame(value: Any) -> bytes:
    """A message: its length in four bytes, then JSON."""
    body = json.dumps(value, separators=(",", ":")).encode()
    return len(body).to_bytes(4, "big") + body


def take_frame(buffer: bytearray) -> Any:
    """Take the first whole message out of the buffer; None while there is none. Raises Nonsense."""
    if len(buffer) < 4:
        return None
    length = int.from_bytes(buffer[:4], "big")
    if length > MOST:
        raise Nonsense("said too much at once")
    if len(buffer) < 4 + length:
        return None
    body = bytes(buffer[4 : 4 + length])
    del buffer[: 4 + length]
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Nonsense("said something that cannot be read") from None


# calls


def call_out(call: Call[Any]) -> dict[str, Any]:
    """A call as plain values. Raises NotReady where a picture of it is not the approved one."""
    if isinstance(call, Read):  # thousands at once: what was prepared names its account
        return {
            "kind": "read",
            "prepared": call.stored or stored(call.prepared),
            "reply": _reply_out(call.reply),
        }
    said: dict[str, Any] = {"account": asdict(replace(call.account, about=None))}
    match call:
        case Prepare():
            going = call.outgoing
            said |= {
                "kind": "prepare",
                "content": going.content.canonical().decode(),
                "key": going.key,
                "due": instant(going.due),
                "parent": _receipt_out(going.parent),
                "root": _receipt_out(going.root),
                "pictures": {m.sha256: _b64(going.read(m)) for m in going.content.media},
            }
        case Find():
            since = call.since.isoformat()
            said |= {"kind": "find", "prepared": stored(call.prepared), "key": call.key, "since": since}
        case LookAt() | Remove():
            kind = "look" if isinstance(call, LookAt) else "remove"
            receipt = _receipt_out(call.receipt)
            said |= {"kind": kind, "prepared": stored(call.prepared), "receipt": receipt}
        case _:
            raise TypeError(f"{type(call).__name__} has no form on the wire")
    return said


def call_in(said: dict[str, Any]) -> Call[Any]:
    """The other way round, in the worker: what the sender says is believed."""
    if said["kind"] == "read":
        prepared, reply = unstored(said["prepared"]), said["reply"]
        body = base64.b64decode(reply["body"])
        return Read(prepared.account, prepared, Reply(reply["status"], reply["headers"], body))
    account = Account(**said["account"])
    if said["kind"] == "prepare":
        pictures = {name: base64.b64decode(body) for name, body in said["pictures"].items()}

        def read(media: Media) -> bytes:
            return pictures[media.sha256]

        content = Content.parse(said["content"].encode())
        parent, root = _receipt_in(said["parent"]), _receipt_in(said["root"])
        due = parse_instant(said["due"])
        return Prepare(account, Outgoing(content, said["key"], due, read, parent, root))
    prepared = replace(unstored(said["prepared"]), account=account)
    match said["kind"]:
        case "find":
            return Find(account, prepared, said["key"], datetime.fromisoformat(said["since"]))
    receipt = _receipt_in(said["receipt"])
    assert receipt
    return (
        LookAt(account, prepared, receipt) if said["kind"] == "look" else Remove(account, prepared, receipt)
    )


# answers


def answer_out(answer: Any) -> dict[str, Any]:
    """What a call gave, as plain values. Of what was prepared only what is new is said."""
    match answer:
        case PublishError():
            at = answer.at.isoformat() if isinstance(answer, RetryLater) and answer.at else None
            return {"error": type(answer).__name__, "code": answer.code, "detail": answer.detail, "at": at}
        case Built():
            return {
                "handles": dict(answer.prepared.handles),
                "expires_at": answer.prepared.expires_at.isoformat() if answer.prepared.expires_at else None,
                "method": answer.request.method,
                "url": answer.request.url,
                "headers": answer.request.headers,
                "body": _b64(answer.request.body),
                "token": answer.token,
            }
        case Receipt():
            return {"receipt": _receipt_out(answer)}
        case Seen():
            return {"seen": [answer.url, answer.differs]}
    return {}


def answer_in(call: Call[Any], said: Any) -> Any:
    """The other way round, in the sender: strictly. Raises Nonsense."""
    try:
        if "error" in said:
            return _error_in(said)
        match call:
            case Prepare():
                expires = datetime.fromisoformat(said["expires_at"]) if said["expires_at"] else None
                prepared = Prepared(call.outgoing.content, call.account, dict(said["handles"]), expires)
                headers = tuple((_word(n), _word(v)) for n, v in said["headers"])
                body = base64.b64decode(_word(said["body"]), validate=True)
                request = Request(_word(said["method"]), _word(said["url"]), headers, body)
                return Built(prepared, request, _word(said["token"]))
            case Read():
                return _receipt_in(said["receipt"])
            case Find():
                return _receipt_in(said.get("receipt"))
            case LookAt():
                return Seen(*(_word(one) for one in said["seen"])) if "seen" in said else None
        return None
    except Nonsense:
        raise
    except Exception:  # whatever a foreign structure makes of reading it
        raise Nonsense("answered something else than it was asked") from None


def _error_in(said: dict[str, Any]) -> PublishError:
    kind, code, detail = _KINDS[said["error"]], _word(said["code"])[:80], _word(said["detail"])[:2000]
    if kind is not RetryLater:
        return kind(code, detail)
    at = datetime.fromisoformat(said["at"]) if said["at"] else None
    if at is not None and at.tzinfo is None:
        raise Nonsense("named a time without a zone")
    return RetryLater(code, detail, at=at)


def _receipt_out(receipt: Receipt | None) -> list[Any] | None:
    return [receipt.remote_id, receipt.url, dict(receipt.extra)] if receipt else None


def _receipt_in(said: list[Any] | None) -> Receipt | None:
    if said is None:
        return None
    remote_id, url, extra = said
    return Receipt(_word(remote_id), _word(url), dict(extra))


def _reply_out(reply: Reply) -> dict[str, Any]:
    return {"status": reply.status, "headers": dict(reply.headers), "body": _b64(reply.body)}


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise Nonsense("answered something else than it was asked")
    return value
