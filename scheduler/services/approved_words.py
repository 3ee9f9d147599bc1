"""Whether a publishing request carries the approved words: no publisher is believed to have copied them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from scheduler.domain.publisher import Request


def says(request: Request, text: str) -> bool:
    """Whether one of the texts in the request is exactly these words.

    White space and ASCII punctuation do not count: some platforms want them escaped.
    """
    wanted = _letters(text)
    return not wanted or any(_letters(one) == wanted for one in _texts(request))


def _letters(text: str) -> str:
    return "".join(c for c in text if not c.isspace() and (c.isalnum() or not c.isascii()))


def _texts(request: Request) -> Iterator[str]:
    """Every text in the address and the body: of JSON, of a form, of its parts, or the body itself."""
    yield from (value for _, value in parse_qsl(urlsplit(request.url).query))
    kind = next((v for n, v in request.headers if n.lower() == "content-type"), "")
    if "boundary=" in kind:
        boundary = kind.partition("boundary=")[2].split(";")[0].strip('" ').encode()
        for part in request.body.split(b"--" + boundary):
            yield part.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")
        return
    try:
        whole = request.body.decode()
    except UnicodeDecodeError:
        return
    yield whole
    try:
        yield from _strings(json.loads(whole))
    except (ValueError, RecursionError):
        yield from (value for _, value in parse_qsl(whole))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
