"""Deliveries for publishers' tests: one sample of everything."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from PIL import Image

from scheduler.domain.account import Account
from scheduler.domain.content import Content, Media
from scheduler.domain.publisher import Outgoing, Reply

DUE = datetime(2027, 3, 9, 7, 0, tzinfo=UTC)
KEY = "018f7d3e-5b1a-7c3d-9e2f-4a6b8c0d1e2f"
CANARY = "canary-token-4f9a1c7e2b8d6053"
WORDS = "Last year 285 people in Dorset asked for help. https://www.stopitnow.org.uk/ #StopItNow"


def png(colour: tuple[int, int, int] = (20, 90, 160), size: tuple[int, int] = (32, 18)) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, colour).save(made, "PNG")
    return made.getvalue()


PICTURE = png()


def media(
    alt: str = "Poster: “Worried? Talk to us.”", data: bytes = PICTURE, file: str = "media/a.png"
) -> Media:
    digest = hashlib.sha256(data).hexdigest()
    return Media(file=file, sha256=digest, alt=alt, mime="image/png", size=len(data), width=32, height=18)


def content(platform: str, text: str = WORDS, **more: Any) -> Content:
    return Content("dorset", platform, platform, "|@dorset|", text, **more)


def account(platform: str, server: str, **more: Any) -> Account:
    handle = "dorset.test" if platform == "bluesky" else "@dorset"
    remote_id = "1234567890" if platform == "facebook" else ""
    plain = Account("dorset", platform, platform, handle, server, remote_id, "env:DORSET")
    return replace(plain, **more)


def outgoing(made: Content, read: Callable[[Media], bytes] = lambda _: PICTURE, **more: Any) -> Outgoing:
    return Outgoing(made, KEY, DUE, read, **more)


def reply(status: int, body: bytes = b"", **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)
