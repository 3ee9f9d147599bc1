"""The simulated X: API v2 posts, one-shot media upload with alt text, the owner's listing."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from scheduler.publishers.simulated import words
from scheduler.publishers.simulated import x_views as views
from scheduler.publishers.simulated.ledger import Entry
from scheduler.publishers.simulated.shelf import Route, Shelf, Table, Upload, number, pick, who, words_of
from scheduler.publishers.simulated.wire import Answer, Incoming, Refused
from scheduler.publishers.simulated.x_forms import body_of, invalid, schema
from scheduler.publishers.simulated.x_media import EPOCH_MS, MEDIA_LIFE_S, NAME, Pictures

MAX_WEIGHT, MAX_MEDIA = 280, 4
CASHTAG = re.compile(r"(?<!\S)\$[A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?\b")
NO_SCOPE = "Your client app is not configured with the appropriate oauth1 app permissions for this endpoint."
DAY_NS = 86400 * 10**9
# POST /2/tweets: member → its type; anything else is refused (additionalProperties: false).
BODY: dict[str, type] = {
    "text": str,
    "media": dict,
    "reply": dict,
    "quote_tweet_id": str,
    "poll": dict,
    "reply_settings": str,
    "made_with_ai": bool,
    "paid_partnership": bool,
    "edit_options": dict,
    "card_uri": str,
    "community_id": str,
    "direct_message_deep_link": str,
    "for_super_followers_only": bool,
    "geo": dict,
    "nullcast": bool,
    "share_with_followers": bool,
}
MEDIA = {"media_ids": list, "tagged_user_ids": list}
REPLY = {"in_reply_to_tweet_id": str, "exclude_reply_user_ids": list, "auto_populate_reply_metadata": bool}


def problem(status: int, title: str, detail: str) -> Answer:
    """An error as a problem document."""
    return Answer(status, {"detail": detail, "type": "about:blank", "title": title, "status": status})


class X:
    """The platform; accounts are those of the tokens that were shown to it."""

    name = NAME

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.address = ""
        self.used: dict[tuple[str, str], int] = {}
        self.pictures = Pictures(shelf, self.account_of)

    def route(self, call: Incoming) -> Route:
        """Which step this request is, without doing it."""
        account = who(call.token).account
        step, run = pick(self._table(), call, call.path) or ("look", _nothing)
        return Route(step, account, partial(self._limited, run, account, step))

    def _table(self) -> Table:
        return [
            ("POST", r"/2/tweets", "publish", self.publish),
            ("GET", r"/2/tweets/(\w+)", "look", self.show),
            ("DELETE", r"/2/tweets/(\w+)", "retract", self.delete),
            ("POST", r"/2/media/upload", "media", self.pictures.upload),
            ("GET", r"/2/media/upload", "poll", self.pictures.status),
            ("POST", r"/2/media/metadata", "alt", self.pictures.metadata),
            ("GET", r"/2/users/me", "look", self.me),
            ("GET", r"/2/users/(\w+)/tweets", "look", self.tweets),
        ]

    def throttled(self, retry_after_s: int) -> Answer:
        """429: the reset is in epoch seconds."""
        answer = problem(429, "Too Many Requests", "Too Many Requests")
        return Answer(429, answer.body, self._limits(100, 0, retry_after_s))

    def failed(self, status: int) -> Answer:
        """A 5xx."""
        names = {500: "Internal Server Error", 502: "Bad Gateway", 504: "Gateway Timeout"}
        name = names.get(status, "Service Unavailable")
        return problem(status or 503, name, name)

    def refused(self, code: int) -> Answer:
        """A refusal on request."""
        return problem(code or 403, "Forbidden", "You are not permitted to perform this action.")

    def _limits(self, limit: int, left: int, seconds: int = 900) -> tuple[tuple[str, str], ...]:
        # Rounded up: at the second named the request is taken again, not before.
        reset = -(-self.shelf.now_ns() // 10**9) + seconds
        pairs = (("limit", limit), ("remaining", left), ("reset", reset))
        return tuple((f"x-rate-limit-{name}", str(value)) for name, value in pairs)

    def _limited(self, run: Callable[[], Answer], account: str, step: str) -> Answer:
        """The answer, refusals too, with the headers of the limits."""
        try:
            answer = run()
        except Refused as refusal:
            answer = refusal.answer
        limit = {"publish": 100, "retract": 50, "media": 500, "poll": 1000, "alt": 500}.get(step, 900)
        used = self.used[account, step] = self.used.get((account, step), 0) + 1
        return Answer(answer.status, answer.body, self._limits(limit, max(0, limit - used % limit)))

    def account_of(self, call: Incoming) -> str:
        """Whose token it is. Raises Refused."""
        caller = who(call.token)
        if caller.state == "noscope":
            body = problem(403, "Forbidden", NO_SCOPE).body
            raise Refused(
                Answer(403, {**body, "type": "https://api.twitter.com/2/problems/oauth1-permissions"})
            )
        if caller.state != "sim":
            raise Refused(problem(401, "Unauthorized", "Unauthorized"))
        self.shelf.remember(NAME, number(NAME, caller.account), caller.account)
        return caller.account

    # -- publishing ---------------------------------------------------------------------------------

    def publish(self, call: Incoming) -> Answer:
        """POST /2/tweets."""
        account = self.account_of(call)
        body = body_of(call)
        schema(body, BODY, "$")
        media, reply = body.get("media", {}), body.get("reply", {})
        schema(media, MEDIA, "$.media")
        schema(reply, REPLY, "$.reply")
        uploads = self._attachable(account, body, media)
        text = body.get("text", "")
        if not text.strip() and not uploads:
            raise invalid("You must provide text, media, a poll or a card to create a Tweet.", text=text)
        if words.x_length(text) > MAX_WEIGHT:
            raise invalid(
                "Your Tweet text is too long. For more information on how Twitter determines text length see"
                " https://github.com/twitter/twitter-text.",
                text=text,
            )
        if len(CASHTAG.findall(text)) > 1:  # since 2026; the form of the refusal is not documented
            raise invalid("A Tweet may contain at most one cashtag.", text=text)
        parent = self._parent(reply)
        self._new(account, text)
        ids = [upload.id for upload in uploads]
        entry = Entry(
            NAME,
            account,
            self.shelf.snowflake(22, EPOCH_MS),
            words_of(call, text),
            media=tuple((upload.sha256, upload.alt) for upload in uploads),
            reply_to=parent,
            record={"media_ids": ids, "reply_settings": body.get("reply_settings", "everyone")},
        )
        kept = self.shelf.publish(call, entry)
        data = {"id": kept.remote_id, "text": views.shown(kept), "edit_history_tweet_ids": [kept.remote_id]}
        return Answer(201, {"data": data})

    def _attachable(self, account: str, body: dict[str, Any], media: dict[str, Any]) -> list[Upload]:
        if "media" not in body:
            return []
        ids = media.get("media_ids")
        if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_MEDIA:
            raise invalid(
                f"media.media_ids must have from 1 to {MAX_MEDIA} items", **{"media.media_ids": ids}
            )
        found = [self.shelf.uploads.get((NAME, one)) if isinstance(one, str) else None for one in ids]
        fresh = self.shelf.now_ns() - MEDIA_LIFE_S * 10**9
        good = [u for u in found if u and u.account == account and not u.polls and u.at_ns > fresh]
        if len(good) != len(ids):
            raise invalid("Your media IDs are invalid.", **{"media.media_ids": ids})
        return good

    def _parent(self, reply: dict[str, Any]) -> str:
        if not reply:
            return ""
        parent = str(reply.get("in_reply_to_tweet_id", ""))
        if self.shelf.post(NAME, parent) is None:
            detail = "You attempted to reply to a Tweet that is deleted or not visible to you."
            raise Refused(problem(403, "Forbidden", detail))
        return parent

    def _new(self, account: str, text: str) -> None:
        """The same words within a day are refused, whatever a lagging listing shows."""
        since = self.shelf.now_ns() - DAY_NS
        for entry in self.shelf.posts_of(NAME, account):
            if (
                entry.accepted_ns > since
                and words.same_words(entry.text) == words.same_words(text)
                and text.strip()
            ):
                raise Refused(
                    problem(403, "Forbidden", "You are not allowed to create a Tweet with duplicate content.")
                )

    def delete(self, call: Incoming, post_id: str) -> Answer:
        """DELETE /2/tweets/:id."""
        account = self.account_of(call)
        entry = self.shelf.post(NAME, post_id)
        if entry is None:
            return Answer(200, views.not_found(post_id))
        if entry.account != account:
            raise Refused(problem(403, "Forbidden", "You are not authorized to delete this Tweet."))
        self.shelf.write("delete", platform=NAME, remote_id=post_id, at_ns=self.shelf.now_ns())
        return Answer(200, {"data": {"deleted": True}})

    # -- looking ------------------------------------------------------------------------------------

    def me(self, call: Incoming) -> Answer:
        """GET /2/users/me."""
        return Answer(200, {"data": views.user(self.account_of(call))})

    def show(self, call: Incoming, post_id: str) -> Answer:
        """GET /2/tweets/:id: what is not there is an error beside a 200."""
        self.account_of(call)
        views.check_query(call, views.ONE)
        entry = self.shelf.post(NAME, post_id)
        if entry is None:
            return Answer(200, views.not_found(post_id))
        return Answer(200, views.page([entry], call, self.shelf)[0])

    def tweets(self, call: Incoming, user_id: str) -> Answer:
        """GET /2/users/:id/tweets: newest first, from start_time on."""
        self.account_of(call)
        views.check_query(call, views.MANY)
        owner = self.shelf.known.get((NAME, user_id))
        if owner is None:
            return Answer(200, views.not_found(user_id, "user"))
        found = views.between(self.shelf.listing(NAME, owner), call)
        return Answer(200, views.listing(found, call, self.shelf))


def _nothing() -> Answer:
    return problem(404, "Not Found", "Not Found")
