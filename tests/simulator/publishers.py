"""One publisher per capability class: small, real ones, that speak to the simulated platforms over HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scheduler.domain.account import Account
from scheduler.domain.publisher import Capability, Http, Outgoing, Prepared, Receipt, Reply, Request, Seen
from scheduler.errors import (
    CannotTell,
    NotReady,
    NotSent,
    OutcomeUnknown,
    PublishError,
    Rejected,
    RetryLater,
    Unauthorised,
)
from scheduler.publishers.replies import after


@dataclass(frozen=True)
class Simulated:
    """The publisher of one class."""

    capability: Capability

    @property
    def platform(self) -> str:
        return self.capability.value

    @property
    def server(self) -> str:
        return f"https://{self.capability.value}.example"

    def prepare(self, outgoing: Outgoing, account: Account, http: Http) -> Prepared:
        """Pictures are uploaded, a container is made; nothing of it is public."""
        parent = outgoing.parent.remote_id if outgoing.parent else ""
        asked = {"text": outgoing.content.text, "parent": parent}
        where = "containers" if self.capability is Capability.CONTAINER else "media"
        reply = http.send(self._post(where, asked))
        if reply.status != 200:
            raise self._refusal(reply) or NotReady("media", f"HTTP {reply.status}")
        return Prepared(outgoing.content, account, {"parent": parent, "id": reply.json()["id"]})

    def request(self, prepared: Prepared, key: str) -> Request:
        """Pure."""
        if self.capability is Capability.CONTAINER:
            return self._post("posts", {"container": prepared.handles["id"], "key": key})
        return self._post(
            "posts", {"text": prepared.content.text, "key": key, "parent": prepared.handles["parent"]}
        )

    def receipt(self, prepared: Prepared, reply: Reply) -> Receipt:
        """Pure."""
        if error := self._refusal(reply):
            raise error
        body = reply.json()
        if reply.status != 200 or not isinstance(body, dict) or "id" not in body:
            raise OutcomeUnknown(f"http_{reply.status}", "it may be out")
        return self._receipt(body["id"], body.get("text", prepared.content.text), prepared)

    def find(self, prepared: Prepared, key: str, since: datetime, http: Http) -> Receipt | None:
        """By record, by container, by the words in the account's own list."""
        if self.capability is Capability.WRITE_ONLY:
            raise CannotTell("write_only", "there is no way to look")
        if self.capability is Capability.CONTAINER:
            body = self._ask(http, f"containers/{prepared.handles['id']}", dict)
            if body.get("status") != "PUBLISHED":
                return None
            return self._receipt(body["id"], body["text"], prepared)
        if self.capability is Capability.RECORD:
            posts = self._ask(http, f"records/{key}", list)
        else:
            posts = [p for p in self._ask(http, "posts", list) if p["at"] >= since.timestamp()]
        for post in posts:
            if post["text"] == prepared.content.text or post["text"].startswith(f"{prepared.content.text} ["):
                return self._receipt(post["id"], post["text"], prepared)
        return None

    def look(self, prepared: Prepared, receipt: Receipt, http: Http) -> Seen | None:
        """By its id."""
        if self.capability is Capability.WRITE_ONLY:
            raise CannotTell("write_only", "there is no way to look")
        posts = self._ask(http, f"posts/{receipt.remote_id}", list)
        if not posts:
            return None
        differs = "" if posts[0]["text"] == prepared.content.text else "the words are others"
        return Seen(receipt.url, differs)

    def retract(self, prepared: Prepared, receipt: Receipt, http: Http) -> None:
        """Ask for it; repeatable."""
        reply = http.send(Request("DELETE", f"{self.server}/posts/{receipt.remote_id}"))
        if reply.status not in (200, 404):
            raise self._refusal(reply) or OutcomeUnknown(f"http_{reply.status}", "it may be gone")

    # the forms

    def _post(self, where: str, asked: dict[str, str]) -> Request:
        body = json.dumps(asked, ensure_ascii=False).encode()
        return Request("POST", f"{self.server}/{where}", (("Content-Type", "application/json"),), body)

    def _receipt(self, number: str, words: str, prepared: Prepared) -> Receipt:
        extra = {} if words == prepared.content.text else {"differs": "the platform changed the words"}
        return Receipt(number, f"{self.server}/{prepared.account.id}/{number}", extra)

    def _ask(self, http: Http, path: str, form: Any) -> Any:
        try:
            reply = http.send(Request("GET", f"{self.server}/{path}"))
        except (NotSent, OutcomeUnknown) as error:
            raise CannotTell(error.code, error.detail) from None
        if reply.status == 404:
            return form()
        body = reply.json()
        if reply.status != 200 or not isinstance(body, form):
            raise CannotTell(f"http_{reply.status}", "the platform does not say")
        return body

    @staticmethod
    def _refusal(reply: Reply) -> PublishError | None:
        if reply.status == 401:
            return Unauthorised("http_401", "the token is refused")
        if reply.status == 429:
            return RetryLater("http_429", "slow down", at=after(reply))
        if reply.status == 422:
            return Rejected("http_422", "a rule of the platform")
        return None


PUBLISHERS = {c.value: Simulated(c) for c in Capability}
