"""How the simulated Mastodon shows statuses, profiles, attachments and itself."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from scheduler.publishers.simulated import words
from scheduler.publishers.simulated.ledger import Entry
from scheduler.publishers.simulated.shelf import Upload, number, when

VERSION = "4.5.0"


def _stamp(ns: int) -> str:
    return when(ns).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _user(account: str) -> str:
    return account.replace("/", "_").replace("-", "_")


def content(text: str) -> str:
    """The words as HTML: paragraphs and line breaks, links shown shortened as Mastodon does."""
    out, at = [], 0
    for start, end in words.links(text):
        link = text[start:end]
        shown = link.partition("://")[2].removeprefix("www.")
        hidden = f'<span class="invisible">{html.escape(link[: len(link) - len(shown)])}</span>'
        rest = html.escape(shown)
        out.append(html.escape(text[at:start]))
        out.append(
            f'<a href="{html.escape(link)}" target="_blank" rel="nofollow noopener">{hidden}{rest}</a>'
        )
        at = end
    out.append(html.escape(text[at:]))
    paragraphs = "".join(out).split("\n\n")
    return "".join(f"<p>{p.replace(chr(10), '<br />')}</p>" for p in paragraphs)


def profile(account: str, address: str) -> dict[str, Any]:
    """An account as others see it."""
    user = _user(account)
    return {
        "id": number("mastodon", account),
        "username": user,
        "acct": user,
        "display_name": account,
        "url": f"{address}/@{user}",
        "uri": f"{address}/users/{user}",
        "locked": False,
        "bot": False,
    }


def attachment(upload: Upload, address: str) -> dict[str, Any]:
    """A picture; its url is null while it is processed."""
    where = f"{address}/media/{upload.sha256}"
    return {
        "id": upload.id,
        "type": "video" if upload.mime.startswith("video") else "image",
        "url": None if upload.polls else where,
        "preview_url": where,
        "remote_url": None,
        "description": upload.alt or None,
        "meta": {},
        "blurhash": None,
    }


def status(entry: Entry, uploads: Sequence[Upload], address: str) -> dict[str, Any]:
    """A status."""
    user = profile(entry.account, address)
    return {
        "id": entry.remote_id,
        "created_at": _stamp(entry.accepted_ns),
        "in_reply_to_id": entry.reply_to or None,
        "in_reply_to_account_id": None,
        "sensitive": entry.record["sensitive"],
        "spoiler_text": entry.record["spoiler_text"],
        "visibility": entry.record["visibility"],
        "language": entry.record["language"],
        "uri": f"{user['uri']}/statuses/{entry.remote_id}",
        "url": f"{user['url']}/{entry.remote_id}",
        "replies_count": 0,
        "reblogs_count": 0,
        "favourites_count": 0,
        "edited_at": None,
        "content": content(entry.text),
        "reblog": None,
        "account": user,
        "media_attachments": [attachment(upload, address) for upload in uploads],
        "mentions": [],
        "tags": [],
        "emojis": [],
        "card": None,
        "poll": None,
    }


def instance(address: str, limits: Mapping[str, Any]) -> dict[str, Any]:
    """The instance, second form."""
    return {
        "domain": urlsplit(address).netloc,
        "title": "Simulated Mastodon",
        "version": VERSION,
        "source_url": "https://github.com/mastodon/mastodon",
        "languages": ["en"],
        "configuration": limits,
        "api_versions": {"mastodon": 7},
        "rules": [],
    }


def instance_v1(address: str, limits: Mapping[str, Any]) -> dict[str, Any]:
    """The instance, first form."""
    return {
        "uri": urlsplit(address).netloc,
        "title": "Simulated Mastodon",
        "version": VERSION,
        "languages": ["en"],
        "configuration": limits,
    }
