"""Reading platforms' replies: what every publisher does alike, whatever the platform sends."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from scheduler.domain.account import Account
from scheduler.domain.content import Content
from scheduler.domain.publisher import Http, Reply, Request
from scheduler.errors import CannotTell, NotReady, OutcomeUnknown, PublishError, Rejected, RetryLater

Classify = Callable[[Reply], PublishError]
"""What a reply that is not a success means. Pure."""

_OPAQUE = re.compile(r"[\w.~+/=-]{32,}")  # may be a token that the platform echoes
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_FARTHEST_CLOCK = timedelta(days=2000)  # tests stand still years away; year 1 and 9999 cannot be added to
_LONGEST_WORD = 4096  # characters; a token of a session has about 300
_LONGEST_WAIT = timedelta(hours=25)  # the longest limits are per day; anything beyond is garbage


def ok(reply: Reply) -> bool:
    """Whether the status is 2xx."""
    return 200 <= reply.status < 300


def json_value(reply: Reply) -> Any:
    """The body as JSON, None where it is none (or nested so deep that reading it would raise)."""
    try:
        return reply.json()
    except RecursionError:
        return None


def json_object(reply: Reply) -> dict[str, Any]:
    """The body as a JSON object; empty where it is none."""
    value = json_value(reply)
    return value if isinstance(value, dict) else {}


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a JSON object, else an empty one: platforms leave members out."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[dict[str, Any]]:
    """The JSON objects of a list; empty where it is none."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def word(value: Any) -> str:
    """An id or another short text; "" where it is neither text nor a whole number.

    So it is where it holds controls or half characters, or is longer than any id: nothing to be stored, shown
    or asked for.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value)
    return text if text.isprintable() and len(text) <= _LONGEST_WORD else ""


def readable(rows: Sequence[Any], what: str) -> list[dict[str, Any]]:
    """The rows of a list that is searched. Raises CannotTell where one of them is no object with an id.

    It may be the very post that is looked for: "not there" cannot be said of a list that was read in part.
    """
    found = objects(list(rows))
    if len(found) != len(rows) or not all(word(row.get("id")) for row in found):
        raise CannotTell("unreadable", f"{what} holds entries that cannot be read")
    return found


def said(value: Any) -> str:
    """What a platform says, fit for the log: one line, 200 characters, nothing that may be a token."""
    text = _CONTROLS.sub(" ", value) if isinstance(value, str) else ""
    return _OPAQUE.sub("…", text)[:200].strip()


def after(reply: Reply, *resets: str) -> datetime | None:
    """When a 429 says to come back (UTC), or None where it says nothing sensible.

    `resets` are the names of headers with an epoch in seconds or an ISO 8601 time; Retry-After counts
    too, as a date or as seconds from the reply's own Date. The latest of them is the answer.
    """
    times = [_instant(reply.headers.get(name, "")) for name in resets]
    times.append(_retry_after(reply))
    dated = _http_date(reply.headers.get("date", "")) == (now := said_at(reply))
    sane = [t for t in times if t and t - now <= (_LONGEST_WAIT if dated else _FARTHEST_CLOCK)]
    return max(sane, default=None)


def enough(reply: Reply, remaining: str, reset: str, needed: int) -> None:
    """What the platform's headers say is left of a limit must do for `needed` more requests.

    Raises RetryLater with the time at which it is free again. A platform that does not say is believed to
    have enough: it will say so with a 429.
    """
    left = reply.headers.get(remaining, "").strip()
    if re.fullmatch(r"[0-9]{1,9}", left, re.ASCII) and int(left) < needed:
        what = f"{int(left)} requests are left for now, and this post needs {needed}"
        raise RetryLater("quota", what, at=after(reply, reset))


def _retry_after(reply: Reply) -> datetime | None:
    value, said_at = reply.headers.get("retry-after", "").strip(), _http_date(reply.headers.get("date", ""))
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", value, re.ASCII):
        return said_at + timedelta(seconds=float(value)) if said_at else None
    return _http_date(value)


def _http_date(value: str) -> datetime | None:
    try:
        at = parsedate_to_datetime(value)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _instant(value: str) -> datetime | None:
    """An epoch in seconds or an ISO 8601 time, of this century; None for anything else."""
    value = value.strip()
    try:
        if re.fullmatch(r"[0-9]{9,10}", value, re.ASCII):
            return datetime.fromtimestamp(int(value), UTC)
        at = datetime.fromisoformat(value)
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return at if 2000 < at.year < 2100 else None


def said_at(reply: Reply) -> datetime:
    """When the platform answered by its own clock; by ours where it does not say, or says nonsense."""
    ours, theirs = datetime.now(UTC), _http_date(reply.headers.get("date", ""))
    return theirs if theirs and abs(theirs - ours) <= _FARTHEST_CLOCK else ours


def base(account: Account, server: str) -> str:
    """The base URL of the account's platform: the account's own server, or the usual one."""
    return (account.server or server).rstrip("/")


def get(url: str, query: Mapping[str, str] | None = None) -> Request:
    """A GET of JSON; the query's values are escaped."""
    asked = f"?{urlencode(query, quote_via=quote)}" if query else ""
    return Request("GET", url + asked, (("Accept", "application/json"),))


def prepared(http: Http, request: Request, classify: Classify, what: str) -> Reply:
    """Send a request of `prepare`, which publishes nothing, and return its 2xx reply.

    Raises what `classify` says, and NotReady where that cannot tell: nothing is public either way.
    """
    reply = http.send(request)
    if ok(reply):
        return reply
    error = classify(reply)
    if isinstance(error, OutcomeUnknown):
        raise NotReady(error.code, f"{what}: {error.detail}")
    raise error


def asked(http: Http, request: Request, classify: Classify, what: str) -> dict[str, Any]:
    """The JSON object that `prepared` gets."""
    return json_object(prepared(http, request, classify, what))


def looked(http: Http, request: Request, what: str) -> Reply:
    """Send a request of `find`, whatever its status. Raises CannotTell where there is no reply."""
    try:
        return http.send(request)
    except PublishError as error:
        raise CannotTell(error.code, f"{what}: {error.detail}") from error


def removal(http: Http, request: Request, classify: Classify) -> None:
    """Ask for a removal. Returns where the platform took it or has no such post; raises what it says else.

    Neither is proof: one server answers 404 and keeps the post (platforms.md A1).
    """
    reply = http.send(request)
    if not ok(reply) and reply.status not in (404, 410):
        raise classify(reply)


def words_to_find(content: Content) -> str:
    """The words by which a list is searched. Raises CannotTell where there are none to tell posts apart."""
    if not content.text.strip():
        raise CannotTell("no_words", "a post without words cannot be told from another one")
    return content.text


def cannot_tell(reply: Reply, what: str) -> CannotTell:
    """A look that the platform did not answer."""
    return CannotTell(f"http_{reply.status}", f"{what} answered {reply.status}")


def unknown(reply: Reply, detail: Any = "") -> OutcomeUnknown:
    """The default: the post may be out."""
    return OutcomeUnknown(f"http_{reply.status}", said(detail) or f"status {reply.status}")


def same_profile(account: Account, remote_id: Any, name: Any) -> None:
    """Refuse a token of another profile than the account names: its id, else its name without @.

    On loopback names are not compared: simulated platforms take every profile's token and know no names.
    """
    if account.remote_id:
        if account.remote_id != word(remote_id):
            raise Rejected("wrong_profile", f"the secret of {account.id} belongs to another profile")
        return
    if urlsplit(account.server).hostname in ("127.0.0.1", "::1", "localhost"):
        return
    wanted, is_ = account.handle.lstrip("@").split("@")[0].casefold(), word(name).casefold()
    if wanted and is_ and wanted != is_:
        raise Rejected("wrong_profile", f"the secret of {account.id} belongs to @{is_}, not to @{wanted}")
