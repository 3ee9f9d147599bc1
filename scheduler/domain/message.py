"""One message to people: several notices of one kind, in plain words and as data for programs."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from scheduler.domain.account import Person
from scheduler.domain.content import instant
from scheduler.domain.notice import Urgency

SHOWN = 40  # notices that a message lists; the rest are counted
TITLES = {
    "failed": "failed",
    "missed": "missed",
    "asking": "a question",
    "held": "held",
    "safe_mode": "safe mode: nothing is sent",
    "daemon_down": "the daemon does not run",
    "daemon_still": "the daemon stands still",
    "late": "deliveries have not gone",
    "untold": "nobody could be told",
    "unacknowledged": "nobody acknowledges",
    "disk": "the disk is nearly full",
    "database": "the database",
    "secret": "a secret cannot be read",
}
_NEXT = {
    "failed": "launchday list --state failed; then launchday move WAVE --to LATER, or launchday cancel",
    "missed": "launchday list --state missed; then launchday move WAVE --to LATER, or launchday cancel",
    "asking": "look at the account, then: launchday resolve DELIVERY",
}


@dataclass(frozen=True, slots=True)
class Told:
    """One notice as a message shows it."""

    id: str
    about: str
    said: str


@dataclass(frozen=True, slots=True)
class Message:
    """What is told at once: every notice of one topic, for one wave, to the same people.

    `id` stays the same for every try and every escalation; `level` counts the escalations. `whose` are
    organisations as people know them. `again` says when it will be told to more people ("" = never). `over`:
    it has ended; `answerable`: it can be acknowledged.
    """

    id: str
    topic: str
    severity: Urgency
    organisations: tuple[str, ...]
    whose: tuple[str, ...]
    people: tuple[Person, ...]
    notices: Sequence[Told]
    at: datetime
    level: int = 0
    again: str = ""
    mode: str = "live"
    over: bool = False
    answerable: bool = True

    @property
    def key(self) -> str:
        """The idempotency key: the same for every try, another for each escalation."""
        return f"{self.id}.{self.level}"

    @property
    def subject(self) -> str:
        """One line."""
        what = TITLES.get(self.topic, self.topic.replace("_", " "))
        if len(self.notices) > 1:
            what = f"{len(self.notices)} × {what}"
        about = self.notices[0].about if len(self.notices) == 1 else ""
        parts = [what, about, ", ".join(self.whose)]
        line = " · ".join(p for p in parts if p)
        again = "OVER: " if self.over else "STILL NOT ACKNOWLEDGED: " if self.level else ""
        return one_line(f"{_simulated(self.mode)}[Launchday] {again}{line}")[:200]

    @property
    def text(self) -> str:
        """The whole message, plain text."""
        blocks = []
        if self.mode != "live":
            blocks.append(f"{self.mode.upper()}. No real account is concerned.")
        if self.level:
            blocks.append("Nobody has acknowledged this yet, so more people are told.")
        lines = [f"- {one_line(n.said)}" for n in self.notices[:SHOWN]]
        if len(self.notices) > SHOWN:
            lines.append(f"- and {len(self.notices) - SHOWN} more: launchday notices")
        blocks.append("\n".join(lines))
        if self.topic in _NEXT:
            blocks.append(f"What to do: {_NEXT[self.topic]}.")
        if self.severity != "info" and self.answerable:
            blocks.append(f"Say that you have seen to it: launchday ack {self.id}")
        if self.again:
            blocks.append(one_line(self.again))
        return "\n\n".join(blocks) + "\n"

    def document(self) -> bytes:
        """The message for programs, JSON in UTF-8. Its `id` is the idempotency key."""
        value = {
            "schema": "launchday.notice/1",
            "id": self.key,
            "message": self.id,
            "at": instant(self.at),
            "simulation": self.mode != "live",
            "topic": self.topic,
            "severity": self.severity,
            "level": self.level,
            "organisations": list(self.organisations),
            "people": [p.slug for p in self.people],
            "subject": self.subject,
            "text": self.text,
            "count": len(self.notices),
            "notices": [{"id": n.id, "about": n.about, "said": n.said} for n in self.notices[:SHOWN]],
        }
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _simulated(mode: str) -> str:
    return "" if mode == "live" else f"{mode.upper()} "


def one_line(text: str) -> str:
    """No line break, control or hidden character: what is said must not become a header or an order."""
    shown = (" " if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} else c for c in text)
    return " ".join("".join(shown).split())
