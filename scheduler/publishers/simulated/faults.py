"""Scripted faults: which request meets which misfortune, and what was done by then.

A rule meets a request of its platform, account and step. Rules are asked in order; one that still skips
uses up one skip, the first that fires ends the asking. `done` says whether the platform acted on the
request: every fault exists as "failed" and as "failed, but done".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

KINDS = {
    "reset_before": "reset, nothing done",
    "reset_after": "done, then reset",
    "cut_reply": "done, half of the reply, closed",
    "drop_reply": "done (unless done is false), closed without a byte",
    "stall": "done (unless done is false), no reply for `seconds` (0: never)",
    "trickle": "done, the reply one byte every `seconds`",
    "http_5xx_before": "a 5xx (`status`), nothing done",
    "http_5xx_after": "done, and a 5xx (`status`)",
    "throttle": "429 in the platform's form, retry after `retry_after_s`",
    "limit": "429 for what an account sends beyond `limit` in `seconds` (the platform's own rate limit)",
    "late_commit": "closed without a byte, done only `seconds` later",
    "slow_media": "the picture is processing for `polls` looks",
    "not_processed": "the picture is never ready",
    "invalid_json": "done, a 2xx whose body is no JSON",
    "wrong_text": "done, but the words stored are others",
    "read_lag": "done, but looks do not show it for `seconds`",
    "redirect": "307 to the same path on another port (`to`, a platform)",
    "refuse": "the platform's own refusal `code` (Facebook 506, 368 …; elsewhere a status)",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One scripted fault. `times` -1 is for ever; `share` picks accounts by hash; `each` counts per account.

    Steps: publish, media (an upload), alt (its alt text), poll (is it ready?), look, session, retract.
    """

    fault: str
    platform: str = "*"
    account: str = "*"
    step: str = "publish"
    times: int = 1
    skip: int = 0
    share: float = 1.0
    each: bool = False
    done: bool = True
    status: int = 0
    code: int = 0
    retry_after_s: int = 1
    seconds: float = 0.0
    polls: int = 2
    limit: int = 0
    to: str = ""

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Rule:
        """Read a rule. Raises ValueError in one sentence."""
        known = {f.name for f in fields(cls)}
        if unknown := set(raw) - known:
            raise ValueError(f"unknown in a fault: {', '.join(sorted(unknown))}")
        if raw.get("fault") not in KINDS:
            raise ValueError(f"no fault is called {raw.get('fault')!r}; there are {', '.join(KINDS)}")
        return cls(**raw)

    def meets(self, platform: str, account: str, step: str) -> bool:
        """Whether the rule is about this request at all."""
        return (
            self.platform in ("*", platform)
            and self.account in ("*", account)
            and self.step in ("*", step)
            and _fraction(account) < self.share
        )


def _fraction(account: str) -> float:
    """A number from 0 up to 1 that depends on the account alone."""
    return int.from_bytes(hashlib.sha256(account.encode()).digest()[:4], "big") / 2**32


@dataclass(slots=True)
class _Tally:
    skipped: int = 0
    fired: int = 0
    since: float = float("-inf")
    used: int = 0

    def over(self, rule: Rule, now: float) -> bool:
        """Count one request in the present window; whether it is one too many."""
        if now - self.since >= rule.seconds:
            self.since, self.used = now, 0
        self.used += 1
        return self.used > rule.limit


@dataclass(slots=True)
class Script:
    """The rules in force, and how often each has fired."""

    rules: tuple[Rule, ...] = ()
    tallies: dict[tuple[int, str], _Tally] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: Any) -> Script:
        """Read a list of rules. Raises ValueError."""
        if not isinstance(raw, list) or not all(isinstance(rule, dict) for rule in raw):
            raise ValueError("faults are a JSON list of objects")
        return cls(tuple(Rule.parse(rule) for rule in raw))

    def take(self, platform: str, account: str, step: str, now: float = 0.0) -> Rule | None:
        """The fault that this request meets, counted as fired; None where all goes well.

        `now` is in seconds, for the windows of rate limits.
        """
        for at, rule in enumerate(self.rules):
            if not rule.meets(platform, account, step):
                continue
            by_account = rule.each or rule.fault == "limit"
            tally = self.tallies.setdefault((at, account if by_account else ""), _Tally())
            if rule.fault == "limit":
                if tally.over(rule, now):
                    tally.fired += 1
                    return rule
            elif tally.skipped < rule.skip:
                tally.skipped += 1
            elif rule.times < 0 or tally.fired < rule.times:
                tally.fired += 1
                return rule
        return None

    def fired(self) -> list[int]:
        """How often each rule has fired, in their order."""
        counts = [0] * len(self.rules)
        for (at, _), tally in self.tallies.items():
            counts[at] += tally.fired
        return counts


def _launch_day() -> Sequence[Mapping[str, Any]]:
    """What a bad launch day does to 28 accounts: every platform loses, throttles, errs and resets."""
    rules: list[Mapping[str, Any]] = []
    for wait, platform in ((1, "mastodon"), (2, "bluesky"), (1, "x"), (2, "facebook")):
        rules += [
            {"platform": platform, "fault": "drop_reply"},
            {"platform": platform, "fault": "throttle", "retry_after_s": wait},
            {"platform": platform, "fault": "http_5xx_after"},
            {"platform": platform, "fault": "reset_before"},
            {"platform": platform, "fault": "reset_after"},
        ]
    return tuple(rules)


PRESETS: Mapping[str, Sequence[Mapping[str, Any]]] = {"launch-day": _launch_day()}
