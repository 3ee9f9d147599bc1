"""The auditor's questions that the log can answer already; each answer says which entries it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.domain.content import parse_instant
from scheduler.store import log
from scheduler.store.database import Database

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """The findings of one question, and at how many entries of the log it was answered."""

    question: str
    asked: str
    entries: int
    findings: tuple[dict[str, str], ...]


def ask(db: Database, question: str) -> Answer:
    """Read the log once and answer. Raises KeyError for a question that is not in QUESTIONS."""
    asked, find = QUESTIONS[question]
    with db.read() as conn:
        bodies = [entry.body for entry in log.read(conn)]
    return Answer(question, asked, len(bodies), tuple(find(bodies)))


def _finding(body: Body, said: str) -> dict[str, str]:
    return {
        "seq": str(body["seq"]),
        "at": body["at"],
        "delivery": body.get("delivery", ""),
        "who": body["actor"]["id"],
        "said": said,
    }


def _name(body: Body) -> tuple[str, str]:
    return body.get("campaign", ""), body.get("delivery", "")


def _differences(bodies: Sequence[Body]) -> list[dict[str, str]]:
    """Attempts whose words no approval in the log was given for."""
    approved: dict[tuple[str, str], set[str]] = {}
    found = []
    for body in bodies:
        if body["type"] == "approval.granted":
            approved.setdefault(_name(body), set()).add(body["content_sha256"])
        elif body["type"] == "publish.attempted" and body["content_sha256"] not in approved.get(
            _name(body), set()
        ):
            found.append(_finding(body, "sent with words that nobody had approved"))
        elif body["type"] == "publish.mismatch":
            found.append(_finding(body, "the platform shows something else than was approved"))
    return found


def _own_work(bodies: Sequence[Body]) -> list[dict[str, str]]:
    """Approvals by whoever queued the words."""
    author: dict[tuple[str, str], str] = {}
    found = []
    for body in bodies:
        if body["type"] in ("content.queued", "content.changed"):
            author[_name(body)] = body["actor"]["id"]
        elif body["type"] == "approval.granted" and author.get(_name(body)) == body["actor"]["id"]:
            found.append(_finding(body, "approved by the author"))
    return found


def _during_holds(bodies: Sequence[Body]) -> list[dict[str, str]]:
    """Attempts that began while a hold stood that covered them."""
    standing: dict[str, Body] = {}
    found = []
    for body in bodies:
        if body["type"] == "hold.started":
            standing[body["scope"]] = body
        elif body["type"] == "hold.released":
            standing.pop(body["scope"], None)
        elif body["type"] == "publish.attempted":
            for scope in standing:
                if _covers(scope, body):
                    found.append(_finding(body, f"attempted during the hold on {scope}"))
    return found


def _covers(scope: str, body: Body) -> bool:
    kind, _, name = scope.partition(":")
    named = {
        "campaign": body.get("campaign"),
        "org": body.get("org"),
        "platform": body.get("platform"),
        "account": body.get("account"),
        "post": f"{body.get('campaign')}/{body.get('post')}",
    }
    return kind == "all" or named.get(kind) == name


def _late(bodies: Sequence[Body]) -> list[dict[str, str]]:
    """What was missed, and what was accepted a second or more after it was due."""
    found = []
    for body in bodies:
        if body["type"] == "schedule.missed":
            found.append(_finding(body, f"missed: {body.get('reason', {}).get('code', '')}"))
        elif body["type"] == "publish.accepted" and body.get("sent_us", 0) >= 1_000_000:
            found.append(_finding(body, f"{body['sent_us'] / 1_000_000:.1f} s late"))
    return found


def _unknown(bodies: Sequence[Body]) -> list[dict[str, str]]:
    """Attempts whose outcome was unknown, and how each ended."""
    found: list[dict[str, str]] = []
    open_ones: dict[tuple[str, str], dict[str, str]] = {}
    for body in bodies:
        if body["type"] == "publish.unknown":
            row = _finding(body, "unknown, and not known yet")
            open_ones[_name(body)] = row
            found.append(row)
        elif body["type"] == "publish.reconciled" and _name(body) in open_ones:
            waited = parse_instant(body["at"]) - parse_instant(open_ones[_name(body)]["at"])
            said = (
                f"ended as {body.get('verdict')} after {waited.total_seconds():.0f} s (entry {body['seq']})"
            )
            open_ones.pop(_name(body))["said"] = said
    return found


QUESTIONS: Mapping[str, tuple[str, Callable[[Sequence[Body]], list[dict[str, str]]]]] = {
    "differences": ("Was anything sent, or shown, that differs from what was approved?", _differences),
    "own-work": ("Did anyone approve their own work?", _own_work),
    "during-holds": ("What went out during a hold?", _during_holds),
    "late": ("What was late or missed?", _late),
    "unknown": ("Which attempts had an unknown outcome, and how did they end?", _unknown),
}
