"""Pictures on the simulated Mastodon: upload, processing, alt text; and the limits it keeps."""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

from scheduler.publishers.simulated import forms, pictures, words
from scheduler.publishers.simulated import mastodon_views as views
from scheduler.publishers.simulated.shelf import Shelf, Upload
from scheduler.publishers.simulated.wire import Answer, Incoming, Refused

NAME = "mastodon"
MAX_CHARACTERS = 500
MAX_MEDIA = 4
MAX_ALT = 1500
MAX_IMAGE = 16 * 1024 * 1024
MIMES = ("image/png", "image/jpeg", "image/gif", "image/webp", "video/mp4")
LIMITS = {
    "statuses": {
        "max_characters": MAX_CHARACTERS,
        "max_media_attachments": MAX_MEDIA,
        "characters_reserved_per_url": 23,
    },
    "media_attachments": {
        "supported_mime_types": list(MIMES),
        "description_limit": MAX_ALT,
        "image_size_limit": MAX_IMAGE,
        "image_matrix_limit": 33177600,
    },
}


def refuse(status: int, message: str) -> Refused:
    """An error in Mastodon's form."""
    return Refused(Answer(status, {"error": message}))


class Server(Protocol):
    """What the pictures need of the server."""

    address: str

    def account_of(self, call: Incoming) -> str:
        """Whose token it is. Raises Refused."""
        ...

    def ok(self, account: str, body: Any, status: int = 200) -> Answer:
        """A reply with the headers of the limits."""
        ...


class Pictures:
    """The uploads of all accounts."""

    def __init__(self, shelf: Shelf, server: Server) -> None:
        self.shelf = shelf
        self.server = server

    def upload(self, call: Incoming) -> Answer:
        """POST /api/v2/media: 200 where the picture is ready, 202 where it is still processed."""
        account = self.server.account_of(call)
        try:
            form = forms.read(call)
        except forms.BadBody as wrong:
            raise refuse(400, str(wrong)) from None
        file = form.files.get("file")
        if file is None or not file.data:
            raise refuse(422, "Validation failed: File can't be blank")
        mime = pictures.sniff(file.data)
        if mime not in MIMES or not pictures.whole(file.data):
            raise refuse(422, "Validation failed: File content type is invalid, File is invalid")
        if len(file.data) > MAX_IMAGE:
            raise refuse(422, "Validation failed: File file size must be less than 16 MB")
        alt = self._alt(form.fields.get("description"))
        digest = hashlib.sha256(file.data).hexdigest()
        # Video is always processed later; of pictures one in eight, so that every client meets it.
        polls = int(call.trick.get("polls", 2 if mime == "video/mp4" or int(digest[:1], 16) < 2 else 0))
        upload = Upload(NAME, account, self.shelf.snowflake(16), digest, mime, len(file.data), alt, polls)
        kept = self.shelf.upload(upload)
        return self.server.ok(
            account, views.attachment(kept, self.server.address), 202 if kept.polls else 200
        )

    def _alt(self, alt: Any) -> str:
        if alt is not None and words.graphemes(str(alt)) > MAX_ALT:
            raise refuse(422, f"Validation failed: Description is too long (maximum is {MAX_ALT} characters)")
        return str(alt or "")

    def _own(self, account: str, upload_id: str) -> Upload:
        upload = self.shelf.uploads.get((NAME, upload_id))
        if upload is None or upload.account != account or upload.attached:
            raise refuse(404, "Record not found")
        return upload

    def show(self, call: Incoming, upload_id: str) -> Answer:
        """GET /api/v1/media/:id: 206 while it is processed."""
        account = self.server.account_of(call)
        upload = self._own(account, upload_id)
        if upload.polls > 0:
            upload.polls -= 1
            if upload.polls:
                return self.server.ok(account, views.attachment(upload, self.server.address), 206)
        return self.server.ok(
            account, views.attachment(upload, self.server.address), 206 if upload.polls else 200
        )

    def describe(self, call: Incoming, upload_id: str) -> Answer:
        """PUT /api/v1/media/:id: another alt text, before posting."""
        account = self.server.account_of(call)
        upload = self._own(account, upload_id)
        alt = self._alt(forms.read(call).fields.get("description"))
        self.shelf.write("alt", platform=NAME, id=upload.id, alt=alt)
        return self.server.ok(account, views.attachment(upload, self.server.address))
