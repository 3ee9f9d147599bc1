"""Every rate of the simulator, in one table: what goes wrong how often, and why that number.

A rate is a probability: per publishing request unless the sentence says otherwise. The standard mix is
a bad day that happens; the hostile mix is for hunting: everything that may go wrong does, all the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """One rate in the standard and the hostile mix. `beyond`: it breaks an assumption of the protocol."""

    name: str
    standard: float
    hostile: float
    why: str
    beyond: bool = False


TABLE: tuple[Rate, ...] = (
    # a connection
    Rate("dns_fails", 0.002, 0.03, "a name is not found: resolvers fail rarely, and for minutes"),
    Rate("connect_fails", 0.003, 0.04, "refused or not answered in time: a load balancer restarts"),
    Rate("tls_fails", 0.001, 0.02, "the handshake fails: a certificate is being changed"),
    Rate(
        "connection_dies",
        0.005,
        0.05,
        "an unused connection is closed before its first byte (measured: idle ones are)",
    ),
    # a publishing request
    Rate("rejected", 0.005, 0.04, "a definite refusal: a rule that the check did not know"),
    Rate(
        "unauthorised",
        0.002,
        0.02,
        "the token was revoked: every further request of the account is refused until a person mends it",
    ),
    Rate(
        "throttled",
        0.01,
        0.06,
        "429: pacing keeps within the published limits, shared limits are not ours to know",
    ),
    Rate("throttled_names_time", 0.7, 0.6, "share of 429s that say when to come back"),
    Rate("throttled_absurdly", 0.05, 0.4, "share of those that say 0, the past, a year, or no number at all"),
    Rate("error_before_commit", 0.005, 0.05, "5xx, and nothing is there"),
    Rate("error_after_commit", 0.003, 0.05, "5xx, and the post is there (read: Facebook, Mastodon, Bluesky)"),
    Rate("request_lost", 0.002, 0.04, "no reply, and nothing is there"),
    Rate("reply_lost", 0.004, 0.06, "no reply or half a one, and the post is there"),
    Rate("reply_garbled", 0.001, 0.02, "200 with a body that says nothing, and the post is there"),
    Rate(
        "commit_late",
        0.002,
        0.04,
        "no reply in time, and the post appears after it, within what settling allows",
    ),
    Rate("commit_later", 0.0, 0.0, "… and later than settling allows", beyond=True),
    Rate(
        "dropped", 0.001, 0.02, "200 with an id, and nothing is there (measured on one server for pictures)"
    ),
    Rate("rewritten", 0.001, 0.03, "200, and the platform changed the words"),
    Rate("slow_reply", 0.05, 0.3, "the reply takes 2 s to 25 s instead of a fraction of a second"),
    # a platform's memory
    Rate(
        "read_lag", 0.1, 0.5, "share of posts that a look does not show at once, at most 40 s after the post"
    ),
    Rate("read_lag_long", 0.0, 0.0, "… and later than settling allows", beyond=True),
    Rate(
        "key_ignored",
        0.3,
        0.6,
        "share of servers of the key class that ignore the key (measured: 3 of 4 of those tried)",
    ),
    Rate("vanishes", 0.001, 0.02, "share of posts that are removed by the platform within the hour"),
    # a look, and arming
    Rate("look_fails", 0.02, 0.2, "per look: it cannot be answered"),
    Rate(
        "looks_fail_long",
        0.002,
        0.05,
        "per look: no look of this platform is answered for the next 20 minutes",
    ),
    Rate("prepare_fails", 0.01, 0.08, "per preparing request: 5xx, 429, lost or not ready"),
    Rate("prepare_refused", 0.001, 0.01, "per preparing request: refused for good"),
    # our own machine
    Rate(
        "killed_at_step",
        0.0003,
        0.004,
        "per step (transaction, commit, connection, byte): the process is killed there",
    ),
    Rate(
        "stopped_at_step",
        0.0003,
        0.003,
        "per step: the process stops for 0.3 s to an hour (SIGSTOP, swap, suspend)",
    ),
    Rate("database_busy", 0.001, 0.02, "per write: another writer holds the database"),
    Rate("restart_slow", 0.3, 0.5, "share of dead daemons that come back only after minutes, not seconds"),
    Rate("second_daemon", 0.05, 0.4, "per day: somebody starts a second daemon, here or on another machine"),
    Rate(
        "clock_steps", 0.02, 0.3, "per day: the machine's clock is set by up to a few minutes, at any instant"
    ),
    # people
    Rate("approved_late", 0.03, 0.15, "per organisation: its approval comes in the last minute, or never"),
    Rate(
        "person_acts",
        0.5,
        0.95,
        "per chance (6 a day): somebody holds, releases, rejects, edits, moves, cancels or retries",
    ),
    Rate(
        "person_acts_at_t0",
        0.3,
        0.8,
        "share of those that happen in the last two seconds before a wave, or right after",
    ),
    Rate("crowd", 0.05, 0.2, "per day: there are 24 such chances instead of 6"),
    Rate("person_between", 0.02, 0.1, "per gate: somebody stops or changes something right after it"),
    Rate("odd_plan", 0.1, 0.3, "per day: embargoes and blackouts begin and end right at a wave"),
    Rate("person_dies", 0.005, 0.05, "per command of a person: it is killed at some step"),
    Rate("answers_late", 0.3, 0.5, "share of questions that a person answers only after an hour, or never"),
)
_KNOWN = {r.name: r for r in TABLE}


class Mix:
    """A rate for each name of the table."""

    def __init__(self, name: str, rates: Mapping[str, float]) -> None:
        self.name = name
        self._rates = dict(rates)

    def __getitem__(self, name: str) -> float:
        return self._rates[name]

    def beyond(self) -> list[str]:
        """The rates in use that break an assumption of the protocol."""
        return [r.name for r in TABLE if r.beyond and self._rates[r.name] > 0]

    def but(self, **rates: float) -> Mix:
        """The same with other values. Raises KeyError for a name that is not in the table."""
        for name in rates:
            _KNOWN[name]
        return Mix(
            f"{self.name}, {', '.join(f'{n}={v:g}' for n, v in rates.items())}", {**self._rates, **rates}
        )


STANDARD = Mix("standard", {r.name: r.standard for r in TABLE})
HOSTILE = Mix("hostile", {r.name: r.hostile for r in TABLE})
QUIET = Mix("quiet", dict.fromkeys(_KNOWN, 0.0))
MIXES = {m.name: m for m in (STANDARD, HOSTILE, QUIET)}


def markdown() -> str:
    """The table for the README."""
    lines = ["| rate | standard | hostile | what it is, and why so often |", "|---|---|---|---|"]
    lines += [f"| {r.name} | {r.standard:g} | {r.hostile:g} | {r.why} |" for r in TABLE]
    return "\n".join(lines)
