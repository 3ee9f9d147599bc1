"""Pictures on the simulated X: one-shot upload, processing, alt text."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from scheduler.publishers.simulated import forms, pictures
from scheduler.publishers.simulated import x_views as views
from scheduler.publishers.simulated.shelf import Shelf, Upload
from scheduler.publishers.simulated.wire import Answer, Incoming
from scheduler.publishers.simulated.x_forms import body_of, invalid, schema

NAME = "x"
EPOCH_MS = 1288834974657
MAX_ALT = 1000
MAX_IMAGE = 5 * 1024 * 1024
MEDIA_LIFE_S = 86400


class Pictures:
    """The uploads of all accounts. `account_of` reads the token, or refuses."""

    def __init__(self, shelf: Shelf, account_of: Callable[[Incoming], str]) -> None:
        self.shelf = shelf
        self.account_of = account_of

    def upload(self, call: Incoming) -> Answer:
        """POST /2/media/upload in one shot: multipart, with the media category that the schema requires."""
        account = self.account_of(call)
        try:
            form = forms.read(call)
        except forms.BadBody as wrong:
            raise invalid(str(wrong)) from None
        file = form.files.get("media")
        if file is None or not file.data:
            raise invalid("media is required", media="")
        if form.fields.get("media_category") not in ("tweet_image", "dm_image", "subtitles"):
            raise invalid("media_category is not valid", media_category=form.fields.get("media_category"))
        mime = pictures.sniff(file.data)
        if not mime.startswith("image/") or not pictures.whole(file.data):
            raise invalid("media type unrecognized.", media=mime)
        if len(file.data) > MAX_IMAGE:
            raise invalid(f"File size exceeds {MAX_IMAGE} bytes.", media=str(len(file.data)))
        digest = hashlib.sha256(file.data).hexdigest()
        polls = int(call.trick.get("polls", 0))
        media_id = self.shelf.snowflake(22, EPOCH_MS)
        kept = self.shelf.upload(Upload(NAME, account, media_id, digest, mime, len(file.data), polls=polls))
        return Answer(200, {"data": views.media(kept, MEDIA_LIFE_S)})

    def status(self, call: Incoming) -> Answer:
        """GET /2/media/upload?command=STATUS."""
        account = self.account_of(call)
        if call.query.get("command") != "STATUS":
            raise invalid("command is not valid", command=call.query.get("command"))
        upload = self._own(account, call.query.get("media_id", ""))
        if upload.polls > 0:
            upload.polls -= 1
        return Answer(200, {"data": views.media(upload, MEDIA_LIFE_S)})

    def _own(self, account: str, media_id: Any) -> Upload:
        upload = self.shelf.uploads.get((NAME, media_id)) if isinstance(media_id, str) else None
        if upload is None or upload.account != account:
            raise invalid("Your media IDs are invalid.", media_id=media_id)
        return upload

    def metadata(self, call: Incoming) -> Answer:
        """POST /2/media/metadata: the alt text of a picture."""
        account = self.account_of(call)
        body = body_of(call)
        schema(body, {"id": str, "metadata": dict}, "$")
        upload = self._own(account, body.get("id"))
        alt = body.get("metadata", {}).get("alt_text", {}).get("text")
        if not isinstance(alt, str) or not 1 <= len(alt) <= MAX_ALT:
            raise invalid(
                f"alt_text.text must have from 1 to {MAX_ALT} characters", **{"metadata.alt_text.text": alt}
            )
        self.shelf.write("alt", platform=NAME, id=upload.id, alt=alt)
        return Answer(200, {"data": {"id": upload.id, "associated_metadata": {"alt_text": {"text": alt}}}})
