"""How services reach the platforms: they ask publishers through here, and hold neither one nor its token."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from scheduler.domain.account import Account
from scheduler.domain.publisher import Capability, OpensSession, Publisher, Receipt
from scheduler.errors import LaunchdayError, NotReady, PublishError
from scheduler.services.calls import Call, Nonsense
from scheduler.transport.http import Transport

T = TypeVar("T")

SIDE_BY_SIDE = 16  # calls of one platform at a time


class Desk:
    """One platform's publisher at work, with the sessions it has opened.

    The same code answers in a worker process and in this one.
    """

    def __init__(self, publisher: Publisher, transport: Transport) -> None:
        self.publisher = publisher
        self._transport = transport
        self._tokens: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def answer(self, call: Call[T], secret: str, deadline: float) -> T | PublishError:
        """Carry the call out; `deadline` in seconds of the transport's clock. Never raises."""
        token = ""
        try:
            if call.needs_token:
                token = self._token(call.account, secret, deadline)
            http = self._transport.http(self._base_url(call.account), token, deadline=deadline)
            given = call.carry_out(self.publisher, token, http)
            return scrubbed(call.checked(given, self.publisher.capability), token, secret)
        except PublishError as error:
            return scrubbed(call.error(error), token, secret)
        except Nonsense as what:
            return call.broke(str(what))
        except (Exception, SystemExit) as error:
            # A publisher that breaks costs its own delivery, never the wave.
            return call.broke(f"broke: {type(error).__name__}")

    def _token(self, account: Account, secret: str, deadline: float) -> str:
        """The token to send with: the secret, or what a session gave for it."""
        known = (account.id, secret)
        with self._lock:
            if known in self._tokens:
                return self._tokens[known]
        token = secret
        if isinstance(self.publisher, OpensSession):
            plain = self._transport.http(self._base_url(account), deadline=deadline)
            token = self.publisher.open_session(account, secret, plain)
        with self._lock:
            self._tokens[known] = token
        return token

    def _base_url(self, account: Account) -> str:
        return account.server or self.publisher.server


class Reach:
    """How this process reaches the platforms, its publishers in this very process (tests, simulator).

    `place` puts the simulated server into an account where this is a simulation; `secret` reads what an
    account's reference names (`workers.crew.Crew` has each platform's publisher in a process of its own).
    """

    def __init__(
        self,
        publishers: Mapping[str, Publisher],
        transport: Transport,
        place: Callable[[Account], Account],
        secret: Callable[[Account], str],
        *,
        side_by_side: int = SIDE_BY_SIDE,
    ) -> None:
        self.publishers = publishers
        self.transport = transport
        self.place = place
        self._secret = secret
        self._width = side_by_side
        self._desks = {name: Desk(one, transport) for name, one in publishers.items()}

    def capability(self, platform: str) -> Capability:
        """The platform's class; without a publisher only a person can look."""
        known = self.publishers.get(platform)
        return known.capability if known else Capability.WRITE_ONLY

    def base_url(self, account: Account) -> str:
        """Where the account's platform is: what its token is pinned to. Raises NotReady."""
        return account.server or self._publisher(account.platform).server

    def ask(self, calls: Sequence[Call[T]], deadline: float) -> list[T | PublishError]:
        """Put all these calls to their publishers, side by side; one answer for each, in their order.

        `deadline` is in Unix seconds of the launch's clock. Never raises: what a publisher does wrong is
        the answer to its own calls.
        """
        platforms = sorted({one.account.platform for one in calls})
        answers: dict[int, T | PublishError] = {}

        def of(platform: str) -> None:
            mine = [i for i, c in enumerate(calls) if c.account.platform == platform]
            answers.update(zip(mine, self._of(platform, [calls[i] for i in mine], deadline), strict=True))

        _side_by_side(of, platforms, len(platforms) if self._width > 1 else 1)
        return [answers[i] for i in range(len(calls))]

    def close(self) -> None:
        """End all waiting and forget the connections; harmless a second time."""
        self.transport.close()

    def _of(self, platform: str, calls: Sequence[Call[T]], deadline: float) -> list[T | PublishError]:
        """The answers of one platform, in order."""

        def one(call: Call[T]) -> T | PublishError:
            try:
                self._publisher(platform)
                return self._desks[platform].answer(call, self.secret(call), deadline)
            except PublishError as error:
                return error

        # Reading a reply waits for nothing: threads for it would only cost.
        waits = any(call.needs_token for call in calls)
        return _side_by_side(one, calls, self._width if waits else 1)

    def secret(self, call: Call[Any]) -> str:
        """What the account's reference names, "" where the call needs none. Raises NotReady."""
        try:
            return self._secret(call.account) if call.needs_token else ""
        except LaunchdayError as error:
            raise NotReady("secret", error.message) from None

    def _publisher(self, platform: str) -> Publisher:
        if platform not in self.publishers:
            raise NotReady("no_publisher", f"no installed package publishes to {platform}")
        return self.publishers[platform]


def _side_by_side(work: Callable[[Any], T], things: Sequence[Any], width: int) -> list[T]:
    if width <= 1 or len(things) <= 1:
        return [work(one) for one in things]
    with ThreadPoolExecutor(min(width, len(things)), thread_name_prefix="ask") as pool:
        return list(pool.map(work, things))


def scrubbed(answer: T, *secrets: str) -> T:
    """Answers reach the database and the log: a token that is in one (an echoed error) is taken out."""

    def clean(text: str) -> str:
        for one in secrets:
            text = text.replace(one, "[token]") if len(one) >= 8 else text
        return text

    if isinstance(answer, PublishError):
        answer.code, answer.detail = clean(str(answer.code)), clean(str(answer.detail))
        answer.args = tuple(clean(str(one)) for one in answer.args)
        return answer
    if isinstance(answer, Receipt):
        extra = {clean(n): clean(v) for n, v in answer.extra.items()}
        return replace(answer, remote_id=clean(answer.remote_id), url=clean(answer.url), extra=extra)
    return answer
