"""The front desk: takes each request to its platform, lets the scripted fault happen, notes the arrival."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from scheduler.publishers.simulated import ledger
from scheduler.publishers.simulated.bluesky import Bluesky
from scheduler.publishers.simulated.facebook import Facebook
from scheduler.publishers.simulated.faults import Rule, Script
from scheduler.publishers.simulated.forms import BadBody, read_json
from scheduler.publishers.simulated.http import Connection
from scheduler.publishers.simulated.mastodon import Mastodon
from scheduler.publishers.simulated.shelf import Route, Shelf
from scheduler.publishers.simulated.wire import Answer, Incoming, Refused
from scheduler.publishers.simulated.x import X


class Platform(Protocol):
    """What the desk needs of a platform: to read a request, and its own forms of failing."""

    name: str
    address: str

    def route(self, call: Incoming) -> Route:
        """Which step a request is, without doing it."""
        ...

    def throttled(self, retry_after_s: int) -> Answer:
        """Its 429."""
        ...

    def failed(self, status: int) -> Answer:
        """Its 5xx (0: its usual one)."""
        ...

    def refused(self, code: int) -> Answer:
        """Its refusal on request."""
        ...


class Desk:
    """All platforms behind one desk, with one shelf, one script of faults and one log of arrivals."""

    def __init__(self, directory: Path, script: Script) -> None:
        self.shelf = Shelf(directory)
        self.script = script
        self.arrivals = ledger.Journal(directory / ledger.ARRIVALS)
        made: list[Platform] = [
            Mastodon(self.shelf),
            Bluesky(self.shelf),
            X(self.shelf),
            Facebook(self.shelf),
        ]
        self.platforms: dict[str, Platform] = {platform.name: platform for platform in made}

    def take(self, connection: Connection, call: Incoming) -> None:
        """One request: to the simulation's own doors, or to its platform through the script of faults."""
        if call.path.startswith("/_sim/"):
            connection.answer(self._control(call))
            return
        platform = self.platforms[connection.platform]
        route = platform.route(call)
        rule = self.script.take(platform.name, route.account, route.step, self.shelf.now_ns() / 1e9)
        visit = Visit(self, platform, connection, call, route)
        if rule is None:
            visit.answer(visit.run())
        else:
            visit.meet(rule)

    def _control(self, call: Incoming) -> Answer:
        try:
            if call.path == "/_sim/faults" and call.method == "POST":
                self.script = Script.parse(json.loads(call.body or b"[]"))
            if call.path == "/_sim/faults":
                rules = [asdict(rule) for rule in self.script.rules]
                return Answer(200, {"rules": rules, "fired": self.script.fired()})
            if call.path == "/_sim/clock" and call.method == "POST":
                self.shelf.advance(float(read_json(call)["advance_s"]))
                return Answer(200, {"now_ns": self.shelf.now_ns()})
        except (ValueError, KeyError, TypeError, BadBody) as wrong:
            return Answer(400, {"error": str(wrong)})
        if call.path == "/_sim/ledger":
            return Answer(200, {"entries": [asdict(entry) for entry in self.shelf.posts.values()]})
        return Answer(404, {"error": "the simulation has /_sim/ledger, /_sim/faults and /_sim/clock"})


class Visit:
    """One request on its way: what it may do, what it meets, and the note of its arrival."""

    def __init__(
        self, desk: Desk, platform: Platform, connection: Connection, call: Incoming, route: Route
    ) -> None:
        self.desk = desk
        self.platform = platform
        self.connection = connection
        self.call = call
        self.route = route
        self.done = False  # whether the platform accepted it so far

    def run(self, **trick: Any) -> Answer:
        """Do what the request asks, with the tricks of a fault; a refusal is an answer like any other."""
        self.call.trick = trick
        try:
            answer = self.route.run()
        except Refused as refusal:
            return refusal.answer
        except Exception:  # a bug of ours: say so loudly, and keep the other accounts served
            traceback.print_exc(file=sys.stderr)
            return Answer(500, {"error": "the simulated platform has a bug; see its log"})
        self.done = 200 <= answer.status < 300
        return answer

    def answer(self, answer: Answer, fault: str = "") -> None:
        """Note the arrival and write the reply."""
        self.note(answer.status, fault)
        self.connection.answer(answer)

    def note(self, status: int, fault: str) -> None:
        """Note a publishing request; `status` 0 where nothing was answered."""
        if self.route.step != "publish":
            return
        row = ledger.Arrival(
            self.platform.name,
            self.route.account,
            self.route.key,
            self.call.arrived_ns,
            status,
            fault,
            self.done,
        )
        self.desk.arrivals.append(asdict(row))

    def meet(self, rule: Rule) -> None:
        """Let the fault happen."""
        ways: Mapping[str, Callable[[Rule], None]] = {
            "reset_before": self._reset_before,
            "reset_after": self._reset_after,
            "cut_reply": self._cut,
            "drop_reply": self._drop,
            "stall": self._stall,
            "trickle": self._trickle,
            "late_commit": self._late,
            "http_5xx_after": self._failed_after,
        }
        if rule.fault in ways:
            ways[rule.fault](rule)
        elif (said := self._said(rule)) is not None:
            self.answer(said, rule.fault)
        else:
            self.answer(self._tricked(rule), rule.fault)

    def _said(self, rule: Rule) -> Answer | None:
        """The answers that are given without doing anything."""
        if rule.fault == "throttle":
            return self.platform.throttled(rule.retry_after_s)
        if rule.fault == "limit":
            return self.platform.throttled(math.ceil(rule.seconds))
        if rule.fault == "http_5xx_before":
            return self.platform.failed(rule.status)
        if rule.fault == "refuse":
            return self.platform.refused(rule.code)
        if rule.fault == "redirect":
            to = rule.to or next(name for name in self.desk.platforms if name != self.platform.name)
            where = self.desk.platforms[to].address + self.call.path
            return Answer(307, b"", (("Location", where),))
        return None

    def _tricked(self, rule: Rule) -> Answer:
        """The answers of requests that are done, but not quite as they should be."""
        if rule.fault == "wrong_text":
            return self.run(rewrite=True)
        if rule.fault == "read_lag":
            return self.run(hide_s=rule.seconds)
        if rule.fault == "slow_media":
            return self.run(polls=rule.polls)
        if rule.fault == "not_processed":
            return self.run(polls=-1)
        answer = self.run()
        return replace(answer, body=b'{"id": <!-- upstream -->')

    def _reset_before(self, rule: Rule) -> None:
        self.note(0, rule.fault)
        self.connection.reset()

    def _reset_after(self, rule: Rule) -> None:
        self.run()
        self.note(0, rule.fault)
        self.connection.reset()

    def _cut(self, rule: Rule) -> None:
        answer = self.run()
        self.note(answer.status, rule.fault)
        self.connection.cut(answer)

    def _drop(self, rule: Rule) -> None:
        if rule.done:
            self.run()
        self.note(0, rule.fault)
        self.connection.drop()

    def _stall(self, rule: Rule) -> None:
        answer = self.run() if rule.done else None
        self.note(0, rule.fault)
        if rule.seconds <= 0:
            self.connection.silent = True  # for ever: until the client gives up
            return
        loop = asyncio.get_running_loop()
        if answer is None:
            loop.call_later(rule.seconds, self.connection.drop)
        else:
            loop.call_later(rule.seconds, self.connection.answer, answer)

    def _trickle(self, rule: Rule) -> None:
        answer = self.run()
        self.note(answer.status, rule.fault)
        self.connection.trickle(answer, rule.seconds or 0.05)

    def _late(self, rule: Rule) -> None:
        self.note(0, rule.fault)
        self.connection.drop()
        asyncio.get_running_loop().call_later(rule.seconds, self.run)

    def _failed_after(self, rule: Rule) -> None:
        self.run()
        self.answer(self.platform.failed(rule.status), rule.fault)
