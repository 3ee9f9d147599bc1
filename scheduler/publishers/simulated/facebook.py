"""The simulated Facebook: the Graph API of pages, with unpublished photos and the feed.

A page belongs to the first token that was shown for it. Duplicate words are accepted, as the real platform
does often enough to be no protection; its 506 and 368 are scripted (`refuse`).
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import partial
from typing import Any

from scheduler.publishers.simulated import facebook_views as views
from scheduler.publishers.simulated import forms, pictures
from scheduler.publishers.simulated.facebook_views import NAME, missing, refuse
from scheduler.publishers.simulated.ledger import Entry
from scheduler.publishers.simulated.shelf import Route, Shelf, Table, Upload, number, pick, who, words_of
from scheduler.publishers.simulated.wire import Answer, Incoming

MAX_MESSAGE = 63206
MAX_IMAGE = 10 * 1024 * 1024
NEEDS = (
    "If posting to a page, requires both pages_read_engagement and pages_manage_posts as an admin with "
    "sufficient administrative permission"
)
MESSAGES = {
    506: "Duplicate status message",
    368: "The action attempted has been deemed abusive or is otherwise disallowed",
    200: f"(#200) {NEEDS}",
    190: "Error validating access token: The session has been invalidated.",
    100: "(#100) Invalid parameter",
}


class Facebook:
    """The Graph API."""

    name = NAME

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.address = ""

    def route(self, call: Incoming) -> Route:
        """Which step this request is, without doing it. The version in front of the path is optional."""
        path = re.sub(r"^/v\d+\.\d+(?=/)", "", call.path)
        step, run = pick(self._table(), call, path) or ("look", partial(_nothing, call, path))
        if step == "media" and self._published(call):
            step = "publish"  # a photo that is not marked unpublished is a post
        return Route(step, who(self._token(call)).account, run)

    def _table(self) -> Table:
        return [
            ("POST", r"/(\d+)/feed", "publish", self.publish),
            ("POST", r"/(\d+)/photos", "media", self.photo),
            ("GET", r"/(\d+)/published_posts", "look", self.posts),
            ("GET", r"/(\d+)/feed", "look", self.posts),
            ("GET", r"/(\d+)/posts", "look", self.posts),
            ("GET", r"/me", "look", self.me),
            ("GET", r"/(\d+_\d+)", "look", self.show),
            ("POST", r"/(\d+_\d+)", "retract", self.edit),
            ("DELETE", r"/(\d+_\d+)", "retract", self.delete),
            ("GET", r"/(\d+)", "look", self.node),
        ]

    def throttled(self, retry_after_s: int) -> Answer:
        """The page's limit: 429, error 32. Retry-After is ours; Meta's own header counts in minutes."""
        usage = {
            "type": "pages",
            "call_count": 100,
            "estimated_time_to_regain_access": -(-retry_after_s // 60),
        }
        headers = (
            ("Retry-After", str(retry_after_s)),
            ("X-Business-Use-Case-Usage", json.dumps({"0": [usage]})),
            ("X-App-Usage", json.dumps({"call_count": 100, "total_time": 25, "total_cputime": 25})),
        )
        error = views.error("(#32) Page request limit reached", 32, transient=True)
        return Answer(429, error, headers)

    def failed(self, status: int) -> Answer:
        """500 with code 2, the form in which photo posts that did go live were answered."""
        error = views.error(
            "An unexpected error has occurred. Please retry your request later.", 2, transient=True
        )
        return Answer(status or 500, error)

    def refused(self, code: int) -> Answer:
        """A refusal on request, by Graph's own code."""
        code = code or 506
        status = 403 if code in (10, 200) else 400
        return refuse(MESSAGES.get(code, "Refused"), code, status).answer

    def _token(self, call: Incoming) -> str:
        if call.token or "access_token" in call.query:
            return call.token or call.query["access_token"]
        try:
            return str(forms.read(call).fields.get("access_token", ""))
        except forms.BadBody:
            return ""

    def _published(self, call: Incoming) -> bool:
        try:
            return _truth(forms.read(call).fields.get("published", call.query.get("published", True)))
        except forms.BadBody:
            return False

    def _account(self, call: Incoming, page: str = "", *, writes: bool = False) -> str:
        token = self._token(call)
        caller = who(token)
        if not token:
            raise refuse("An access token is required to request this resource.", 104, 400)
        if caller.state == "revoked":
            raise refuse(MESSAGES[190], 190, 400, subcode=460)
        if not caller.state:
            raise refuse("Invalid OAuth access token - Cannot parse access token", 190, 400)
        if caller.state == "noscope":
            raise refuse(f"(#200) {NEEDS}", 200, 403)
        if page and self.shelf.remember(NAME, f"page {page}", caller.account) != caller.account:
            if writes:
                raise refuse(f"(#200) {NEEDS}", 200, 403)
            message = "(#10) This endpoint requires the 'pages_read_engagement' permission"
            raise refuse(message, 10, 403)
        return caller.account

    def _fields(self, call: Incoming) -> forms.Form:
        try:
            form = forms.read(call)
        except forms.BadBody as wrong:
            raise refuse(f"(#100) {wrong}", 100, 400) from None
        return forms.Form({**call.query, **form.fields}, form.files)

    # -- publishing ---------------------------------------------------------------------------------

    def publish(self, call: Incoming, page: str) -> Answer:
        """POST /{page}/feed."""
        account = self._account(call, page, writes=True)
        body = self._fields(call).fields
        message, link = body.get("message", ""), body.get("link", "")
        if not isinstance(message, str) or len(message) > MAX_MESSAGE:
            raise refuse("(#100) Param message is too long or not a string", 100, 400)
        if link and not re.fullmatch(r"https?://[^\s/]+\S*", str(link)):
            raise refuse("(#100) link URL is not properly formatted", 100, 400)
        if "scheduled_publish_time" in body or not _truth(body.get("published", True)):
            raise refuse("(#100) This simulation publishes at once only", 100, 400)
        uploads = self._attached(account, page, body)
        if not message.strip() and not link and not uploads:
            raise refuse("(#100) The parameter message is required", 100, 400)
        entry = self._keep(call, account, page, message, uploads, link=str(link))
        return Answer(200, {"id": entry.remote_id})

    def _keep(
        self, call: Incoming, account: str, page: str, message: str, uploads: list[Upload], *, link: str = ""
    ) -> Entry:
        entry = Entry(
            NAME,
            account,
            f"{page}_{self.shelf.snowflake(16)}",
            words_of(call, message) if message else message,
            link=link,
            media=tuple((upload.sha256, upload.alt) for upload in uploads),
            record={"page": page, "media_ids": [upload.id for upload in uploads]},
        )
        return self.shelf.publish(call, entry)

    def _attached(self, account: str, page: str, body: Any) -> list[Upload]:
        uploads = []
        for one in _attachments(body):
            fbid = str(one.get("media_fbid", "")) if isinstance(one, dict) else ""
            upload = self.shelf.uploads.get((NAME, fbid))
            if upload is None or upload.account != account or upload.attached or upload in uploads:
                raise refuse(
                    "(#100) Invalid parameter: attached_media names no unpublished photo of this page",
                    100,
                    400,
                )
            uploads.append(upload)
        return uploads

    def photo(self, call: Incoming, page: str) -> Answer:
        """POST /{page}/photos: unpublished it is an upload, otherwise a post at once."""
        account = self._account(call, page, writes=True)
        form = self._fields(call)
        file = form.files.get("source")
        if file is None:
            raise refuse("(#324) Requires upload file", 324, 400)
        mime = pictures.sniff(file.data)
        if not mime.startswith("image/") or not pictures.whole(file.data) or len(file.data) > MAX_IMAGE:
            raise refuse("(#324) Missing or invalid image file", 324, 400)
        alt = str(form.fields.get("alt_text_custom", ""))
        digest = hashlib.sha256(file.data).hexdigest()
        photo = Upload(NAME, account, self.shelf.snowflake(16), digest, mime, len(file.data), alt)
        kept = self.shelf.upload(photo)
        if not self._published(call):
            return Answer(200, {"id": kept.id})
        caption = str(form.fields.get("message") or form.fields.get("caption") or "")
        entry = self._keep(call, account, page, caption, [kept])
        return Answer(200, {"id": kept.id, "post_id": entry.remote_id})

    # -- looking ------------------------------------------------------------------------------------

    def _post(self, call: Incoming, post_id: str, *, writes: bool = False) -> Entry:
        self._account(call, post_id.partition("_")[0], writes=writes)
        entry = self.shelf.post(NAME, post_id)
        if entry is None:
            raise missing(post_id, call.method)
        return entry

    def posts(self, call: Incoming, page: str) -> Answer:
        """GET /{page}/published_posts: newest first, `since` and `until` in epoch seconds."""
        account = self._account(call, page)
        found = [e for e in self.shelf.listing(NAME, account) if e.record["page"] == page]
        return Answer(200, views.listing(found, call, self.shelf))

    def show(self, call: Incoming, post_id: str) -> Answer:
        """GET /{post}."""
        return Answer(200, views.post(self._post(call, post_id), call, self.shelf))

    def edit(self, call: Incoming, post_id: str) -> Answer:
        """POST /{post}: other words."""
        entry = self._post(call, post_id, writes=True)
        fields = {"text": str(self._fields(call).fields.get("message", "")), "media": entry.media}
        record, now = dict(entry.record), self.shelf.now_ns()
        self.shelf.write("edit", platform=NAME, remote_id=post_id, record=record, at_ns=now, **fields)
        return Answer(200, {"success": True})

    def delete(self, call: Incoming, post_id: str) -> Answer:
        """DELETE /{post}."""
        self._post(call, post_id, writes=True)
        self.shelf.write("delete", platform=NAME, remote_id=post_id, at_ns=self.shelf.now_ns())
        return Answer(200, {"success": True})

    def me(self, call: Incoming) -> Answer:
        """GET /me with a page token: the page, once it is known which."""
        account = self._account(call)
        pages = [
            n[5:]
            for (p, n), owner in self.shelf.known.items()
            if p == NAME and n.startswith("page ") and owner == account
        ]
        return Answer(200, {"id": pages[0] if pages else number(NAME, account, digits=15), "name": account})

    def node(self, call: Incoming, one: str) -> Answer:
        """GET /{page} or /{photo}."""
        upload = self.shelf.uploads.get((NAME, one))
        if upload is None:
            return Answer(200, {"id": one, "name": self._account(call, one)})
        if upload.account != self._account(call):
            raise missing(one, "GET")
        return Answer(200, views.photo(upload, call))


def _truth(value: Any) -> bool:
    return str(value).lower() not in ("false", "0")


def _attachments(body: Any) -> list[Any]:
    """attached_media as a JSON list, as a list in a string, or as attached_media[0], [1] … of a form."""
    value = body.get("attached_media", [])
    numbered = sorted(name for name in body if re.fullmatch(r"attached_media\[\d+\]", name))
    try:
        if isinstance(value, str):
            value = json.loads(value)
        value = [
            *value,
            *(json.loads(body[name]) if isinstance(body[name], str) else body[name] for name in numbered),
        ]
    except (ValueError, TypeError):
        raise refuse("(#100) param attached_media must be an array.", 100, 400) from None
    return value


def _nothing(call: Incoming, path: str) -> Answer:
    return missing(path.strip("/"), call.method).answer
