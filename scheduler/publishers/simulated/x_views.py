"""How the simulated X shows posts: t.co links, entities, requested fields, expansions, pages."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from scheduler.publishers.simulated import words
from scheduler.publishers.simulated.ledger import Entry
from scheduler.publishers.simulated.shelf import Shelf, Upload, number, when
from scheduler.publishers.simulated.wire import Incoming
from scheduler.publishers.simulated.x_forms import invalid

FIELDS = frozenset(
    [
        "article",
        "attachments",
        "author_id",
        "card_uri",
        "community_id",
        "context_annotations",
        "conversation_id",
        "created_at",
        "display_text_range",
        "edit_controls",
        "edit_history_tweet_ids",
        "entities",
        "geo",
        "id",
        "in_reply_to_user_id",
        "lang",
        "media_metadata",
        "non_public_metrics",
        "note_tweet",
        "organic_metrics",
        "possibly_sensitive",
        "promoted_metrics",
        "public_metrics",
        "referenced_tweets",
        "reply_settings",
        "scopes",
        "source",
        "suggested_source_links",
        "text",
        "withheld",
    ]
)
MEDIA_FIELDS = frozenset(
    [
        "alt_text",
        "duration_ms",
        "height",
        "media_key",
        "non_public_metrics",
        "organic_metrics",
        "preview_image_url",
        "promoted_metrics",
        "public_metrics",
        "type",
        "url",
        "variants",
        "width",
    ]
)
ONE = frozenset({"tweet.fields", "expansions", "media.fields", "poll.fields", "user.fields", "place.fields"})
MANY = ONE | {"since_id", "until_id", "max_results", "pagination_token", "exclude", "start_time", "end_time"}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def check_query(call: Incoming, known: frozenset[str]) -> None:
    """Refuse parameters and fields that the API does not have."""
    for name, value in call.query.items():
        if name not in known:
            raise invalid(
                f"The query parameter [{name}] is not one of [{','.join(sorted(known))}]", **{name: value}
            )
    for name, allowed in (("tweet.fields", FIELDS), ("media.fields", MEDIA_FIELDS)):
        asked = set(filter(None, call.query.get(name, "").split(",")))
        if asked - allowed:
            wrong = ",".join(sorted(asked - allowed))
            raise invalid(
                f"The `{name}` query parameter value [{wrong}] is not one of those known", **{name: wrong}
            )


def between(found: Sequence[Entry], call: Incoming) -> list[Entry]:
    """The posts between the times and ids that were asked for."""
    ask = call.query
    for name in ("start_time", "end_time"):
        if name in ask and not _TIME.fullmatch(ask[name]):
            raise invalid(
                f"Invalid `{name}`: '{ask[name]}'. Use RFC 3339, YYYY-MM-DDTHH:mm:ssZ", **{name: ask[name]}
            )
    low = _ns(ask["start_time"]) if "start_time" in ask else 0
    high = _ns(ask["end_time"]) if "end_time" in ask else 1 << 63
    first, last = int(ask.get("since_id") or 0), int(ask.get("until_id") or 1 << 63)
    # created_at has whole seconds, so a post belongs to the second it was accepted in.
    return [
        e
        for e in found
        if low <= e.accepted_ns // 10**9 * 10**9 < high and first < int(e.remote_id) < last
        if not ("replies" in ask.get("exclude", "").split(",") and e.reply_to)
    ]


def _ns(text: str) -> int:
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 10**9)


def listing(found: Sequence[Entry], call: Incoming, shelf: Shelf) -> dict[str, Any]:
    """One page of a listing; `data` is absent where there is nothing."""
    wanted, token = call.query.get("max_results", "10"), call.query.get("pagination_token", "0")
    if not wanted.isdigit() or not 5 <= int(wanted) <= 100:
        raise invalid(
            f"The `max_results` query parameter value [{wanted}] is not between 5 and 100", max_results=wanted
        )
    if not token.isdigit():
        raise invalid("Invalid pagination_token", pagination_token=token)
    at, size = int(token), int(wanted)
    shown_now = found[at : at + size]
    if not shown_now:
        return {"meta": {"result_count": 0}}
    body, includes = page(shown_now, call, shelf, many=True)
    newest, oldest = shown_now[0].remote_id, shown_now[-1].remote_id
    meta = {"result_count": len(shown_now), "newest_id": newest, "oldest_id": oldest}
    if at + size < len(found):
        meta["next_token"] = str(at + size)
    return {**body, **includes, "meta": meta}


def page(
    entries: Sequence[Entry], call: Incoming, shelf: Shelf, *, many: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The posts with the fields asked for, and what the expansions include."""
    fields = {
        "id",
        "text",
        "edit_history_tweet_ids",
        *filter(None, call.query.get("tweet.fields", "").split(",")),
    }
    wants = call.query.get("expansions", "").split(",")
    if "attachments.media_keys" in wants:
        fields.add("attachments")
    shown_posts = []
    pictures = []
    for entry in entries:
        full = _full(entry)
        shown_posts.append({name: value for name, value in full.items() if name in fields})
        pictures += [
            shelf.uploads["x", one] for one in entry.record["media_ids"] if ("x", one) in shelf.uploads
        ]
    includes: dict[str, Any] = {}
    if "attachments.media_keys" in wants and pictures:
        asked = {"media_key", "type", *call.query.get("media.fields", "").split(",")}
        views = [_picture(upload) for upload in pictures]
        includes = {"includes": {"media": [{k: v for k, v in view.items() if k in asked} for view in views]}}
    body = {"data": shown_posts if many else shown_posts[0]}
    return (body if many else {**body, **includes}), includes


def _full(entry: Entry) -> dict[str, Any]:
    full: dict[str, Any] = {
        "id": entry.remote_id,
        "text": shown(entry),
        "edit_history_tweet_ids": [entry.remote_id],
        "author_id": number("x", entry.account),
        "conversation_id": entry.remote_id,
        "created_at": when(entry.accepted_ns).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "lang": "en",
        "reply_settings": entry.record["reply_settings"],
        "public_metrics": dict.fromkeys(
            (
                "retweet_count",
                "reply_count",
                "like_count",
                "quote_count",
                "bookmark_count",
                "impression_count",
            ),
            0,
        ),
    }
    urls = _pieces(entry)[1]
    if urls:
        full["entities"] = {"urls": urls}
    if entry.record["media_ids"]:
        full["attachments"] = {"media_keys": [f"3_{one}" for one in entry.record["media_ids"]]}
    if entry.reply_to:
        full["referenced_tweets"] = [{"type": "replied_to", "id": entry.reply_to}]
    return full


def short(link: str) -> str:
    """The t.co link of a link."""
    return "https://t.co/" + hashlib.sha256(link.encode()).hexdigest()[:10]


def shown(entry: Entry) -> str:
    """The text as the API gives it: links shortened, pictures as one more link, &, < and > as entities."""
    return _pieces(entry)[0]


def _pieces(entry: Entry) -> tuple[str, list[dict[str, Any]]]:
    out, at, urls, length = [], 0, [], 0
    spans = [(start, end, entry.text[start:end]) for start, end in words.links(entry.text)]
    for start, end, link in spans:
        out.append(html.escape(entry.text[at:start], quote=False))
        length += len(out[-1])
        urls.append(_url(length, link))
        out.append(short(link))
        length += len(out[-1])
        at = end
    out.append(html.escape(entry.text[at:], quote=False))
    if entry.media:
        link = f"https://x.com/{user(entry.account)['username']}/status/{entry.remote_id}/photo/1"
        gap = " " if entry.text else ""
        length = len("".join(out)) + len(gap)
        keys = entry.record["media_ids"]
        urls += [
            {**_url(length, link), "display_url": f"pic.x.com/{short(link)[-10:]}", "media_key": f"3_{k}"}
            for k in keys
        ]
        out.append(gap + short(link))
    return "".join(out), urls


def _url(start: int, link: str) -> dict[str, Any]:
    display = link.partition("://")[2]
    return {
        "start": start,
        "end": start + len(short(link)),
        "url": short(link),
        "expanded_url": link,
        "display_url": display if len(display) <= 27 else display[:26] + "…",
    }


def media(upload: Upload, life_s: int) -> dict[str, Any]:
    """An upload; processing_info only while it is processed."""
    body: dict[str, Any] = {
        "id": upload.id,
        "media_key": f"3_{upload.id}",
        "size": upload.size,
        "expires_after_secs": life_s,
    }
    if upload.polls:
        body["processing_info"] = {"state": "in_progress", "check_after_secs": 1, "progress_percent": 50}
    return body


def _picture(upload: Upload) -> dict[str, Any]:
    view = {
        "media_key": f"3_{upload.id}",
        "type": "photo",
        "url": f"https://pbs.twimg.com/media/{upload.sha256[:15]}.png",
    }
    return {**view, "alt_text": upload.alt} if upload.alt else view


def user(account: str) -> dict[str, str]:
    """An account as users/me shows it."""
    username = re.sub(r"\W", "_", account)[:15]
    return {"id": number("x", account), "name": account, "username": username}


def not_found(one: str, kind: str = "tweet") -> dict[str, Any]:
    """What API v2 says beside a 200 of something that is not there."""
    error = {
        "value": one,
        "detail": f"Could not find {kind} with id: [{one}].",
        "title": "Not Found Error",
        "resource_type": kind,
        "parameter": "id",
        "resource_id": one,
        "type": "https://api.twitter.com/2/problems/resource-not-found",
    }
    return {"errors": [error]}
