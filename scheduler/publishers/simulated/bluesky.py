"""The simulated Bluesky: a PDS's sessions, blobs and repository, with posts under a TID of the client's.

Only `app.bsky.feed.post` is kept; a real server takes other collections too.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from scheduler.publishers.simulated import forms
from scheduler.publishers.simulated.bluesky_records import refuse
from scheduler.publishers.simulated.bluesky_repo import NAME, Repo, body_of, did_of
from scheduler.publishers.simulated.shelf import Route, Shelf, Who, who
from scheduler.publishers.simulated.wire import Answer, Incoming

ACCESS_S, REFRESH_S = 7200, 7776000
_SECRET = b"simulated PDS: its tokens are worth nothing elsewhere"


class Bluesky:
    """One personal data server."""

    name = NAME

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.address = ""
        self.minted = 0
        self.repo = Repo(shelf, lambda call, needs: self._account(call, needs=needs))

    def route(self, call: Incoming) -> Route:
        """Which step this request is, without doing it."""
        method, step, run = self._table().get(call.path.removeprefix("/xrpc/"), ("", "look", self.unknown))
        if call.path.startswith("/xrpc/app.bsky."):
            run = self.no_appview
        elif method and method != call.method:
            return Route(
                "look", "", lambda: _error(405, "InvalidRequest", f"Incorrect HTTP method ({call.method})")
            )
        account, key = self._read(call)[0].account, ""
        if step in ("publish", "session") and call.mime == "application/json":
            try:
                body = forms.read_json(call) if call.body else {}
            except forms.BadBody:
                return Route(
                    step, account, lambda: _error(400, "InvalidRequest", "Unable to parse body as JSON")
                )
            key = str(body.get("rkey") or "")
            account = who(str(body.get("password") or "")).account or account
        return Route(step, account, lambda: run(call), key)

    def _table(self) -> dict[str, tuple[str, str, Callable[[Incoming], Answer]]]:
        repo, server = "com.atproto.repo.", "com.atproto.server."
        return {
            server + "createSession": ("POST", "session", self.create_session),
            server + "refreshSession": ("POST", "session", self.refresh_session),
            server + "getSession": ("GET", "session", self.get_session),
            server + "describeServer": ("GET", "look", self.describe_server),
            "com.atproto.identity.resolveHandle": ("GET", "look", self.resolve_handle),
            repo + "putRecord": ("POST", "publish", self.repo.put),
            repo + "createRecord": ("POST", "publish", self.repo.create),
            repo + "deleteRecord": ("POST", "retract", self.repo.delete),
            repo + "getRecord": ("GET", "look", self.repo.get),
            repo + "listRecords": ("GET", "look", self.repo.list),
            repo + "uploadBlob": ("POST", "media", self.repo.upload),
            "_health": ("GET", "look", lambda call: Answer(200, {"version": "0.4.217"})),
        }

    def throttled(self, retry_after_s: int) -> Answer:
        """429: ratelimit-* headers, the reset in epoch seconds."""
        reset = self.shelf.now_ns() // 10**9 + retry_after_s
        headers = (
            ("RateLimit-Limit", "5000"),
            ("RateLimit-Remaining", "0"),
            ("RateLimit-Reset", str(reset)),
            ("RateLimit-Policy", "5000;w=3600"),
        )
        return Answer(429, {"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"}, headers)

    def failed(self, status: int) -> Answer:
        """A 5xx."""
        return _error(status or 500, "InternalServerError", "Internal Server Error")

    def refused(self, code: int) -> Answer:
        """A refusal on request."""
        return _error(code or 400, "InvalidRequest", "Refused")

    def unknown(self, call: Incoming) -> Answer:
        """A method that this server does not have."""
        return _error(501, "MethodNotImplemented", "Method Not Implemented")

    def no_appview(self, call: Incoming) -> Answer:
        """What a PDS without an AppView answers to app.bsky.*."""
        return _error(502, "UpstreamFailure", "Upstream service unreachable")

    # -- sessions -----------------------------------------------------------------------------------

    def _mint(self, caller: Who, scope: str, life_s: int) -> str:
        self.minted += 1
        now = self.shelf.now_ns() // 10**9
        claims = {
            "scope": scope,
            "sub": did_of(caller.account),
            "iat": now,
            "exp": now + life_s,
            "jti": str(self.minted),
            "account": caller.account,
            "state": caller.state,
        }
        parts = [_b64(json.dumps(part).encode()) for part in ({"typ": "at+jwt", "alg": "HS256"}, claims)]
        return ".".join([*parts, _sign(".".join(parts))])

    def _read(self, call: Incoming, scope: str = "com.atproto.appPass") -> tuple[Who, str]:
        """Whom the bearer token names, and what is wrong with it ("" where nothing is)."""
        if not call.headers.get("authorization"):
            return Who("", ""), "AuthMissing"
        if call.token.startswith("revoked:"):
            return who(call.token), "ExpiredToken"
        head, _, signature = call.token.rpartition(".")
        if not head or signature != _sign(head):
            return Who("", ""), "InvalidToken"
        claims = json.loads(base64.urlsafe_b64decode(head.split(".")[1] + "=="))
        caller = Who(claims["account"], claims["state"])
        if claims["scope"] != scope:
            return caller, "InvalidToken"
        expired = claims["exp"] <= self.shelf.now_ns() // 10**9 or caller.state == "revoked"
        return caller, "ExpiredToken" if expired else ""

    def _account(self, call: Incoming, *, scope: str = "com.atproto.appPass", needs: str = "") -> str:
        caller, wrong = self._read(call, scope)
        if wrong == "AuthMissing":
            raise refuse(401, "AuthMissing", "Authentication Required")
        if wrong == "ExpiredToken":
            raise refuse(400, "ExpiredToken", "Token has expired")
        if wrong:
            raise refuse(400, "InvalidToken", "Token could not be verified")
        if needs and caller.state == "noscope":
            raise refuse(403, "ScopeMissingError", f'Missing required scope "{needs}"')
        return caller.account

    def _session(self, caller: Who) -> Answer:
        body = {
            **self._profile(caller.account),
            "accessJwt": self._mint(caller, "com.atproto.appPass", ACCESS_S),
            "refreshJwt": self._mint(caller, "com.atproto.refresh", REFRESH_S),
        }
        return Answer(200, body)

    def _profile(self, account: str) -> dict[str, Any]:
        did, handle = did_of(account), self.shelf.known.get((NAME, f"account {account}"), "handle.invalid")
        service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": self.address}
        document = {"id": did, "alsoKnownAs": [f"at://{handle}"], "service": [service]}
        return {"did": did, "didDoc": document, "handle": handle, "active": True}

    def create_session(self, call: Incoming) -> Answer:
        """The app password names the account; the identifier is its handle from then on (or its DID)."""
        body = body_of(call)
        for name in ("identifier", "password"):
            if not isinstance(body.get(name), str):
                raise refuse(400, "InvalidRequest", f'Input must have the property "{name}"')
        caller, handle = who(body["password"]), body["identifier"].lower()
        wrong = refuse(401, "AuthenticationRequired", "Invalid identifier or password")
        if not caller.state:
            raise wrong
        if handle == did_of(caller.account):
            return self._session(caller)
        if "." not in handle or handle.startswith("@"):
            raise wrong
        self.shelf.remember(NAME, f"did {did_of(caller.account)}", caller.account)
        if self.shelf.remember(NAME, f"handle {handle}", caller.account) != caller.account:
            raise wrong
        if self.shelf.remember(NAME, f"account {caller.account}", handle) != handle:
            raise wrong
        return self._session(caller)

    def refresh_session(self, call: Incoming) -> Answer:
        """A new pair of tokens for a refresh token; the old one stays good (the real grace is 2 h)."""
        account = self._account(call, scope="com.atproto.refresh")
        return self._session(replace(self._read(call, "com.atproto.refresh")[0], account=account))

    def get_session(self, call: Incoming) -> Answer:
        """Who the access token is."""
        return Answer(200, self._profile(self._account(call)))

    def describe_server(self, call: Incoming) -> Answer:
        """The server itself."""
        return Answer(
            200, {"did": "did:web:localhost", "availableUserDomains": [], "inviteCodeRequired": False}
        )

    def resolve_handle(self, call: Incoming) -> Answer:
        """The DID of a handle that has logged in here."""
        account = self.shelf.known.get((NAME, f"handle {call.query.get('handle', '').lower()}"))
        if account is None:
            raise refuse(400, "InvalidRequest", "Unable to resolve handle")
        return Answer(200, {"did": did_of(account)})


def _error(status: int, error: str, message: str) -> Answer:
    return Answer(status, {"error": error, "message": message})


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _sign(text: str) -> str:
    return _b64(hmac.digest(_SECRET, text.encode(), "sha256"))
