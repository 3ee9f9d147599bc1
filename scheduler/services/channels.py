"""The channels: which ways lead to whom, and telling a message on all of them at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from scheduler.domain.account import Directory, Person
from scheduler.domain.message import Message
from scheduler.domain.notify import Apprise, Mail, Webhook
from scheduler.errors import LaunchdayError
from scheduler.transport.http import Transport
from scheduler.transport.mail import Letter, NotTold, send_mail
from scheduler.transport.messenger import send_apprise
from scheduler.transport.webhook import post

PATIENCE = 45.0  # seconds that one round of telling may take in all, whatever the servers do
WORKERS = 8
NOBODY = ("", "")  # where no channel leads to anybody
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to one person ("" = whoever reads that channel). `real`: False where it is only recorded."""

    channel: str
    person: str
    by: Mail | Webhook | Apprise
    to: Person | None
    real: bool

    @property
    def pair(self) -> tuple[str, str]:
        """What its outcome is remembered by."""
        return self.channel, self.person


def ways(directory: Directory, message: Message) -> Iterator[Way]:
    """Every way the message can go. A simulation's is real only to this machine or a test address."""
    live, notify = message.mode == "live", directory.notify
    for person in message.people:
        if notify.mail and person.email:
            real = live or notify.mail.simulation or notify.mail.server in LOOPBACK
            yield Way("e-mail", person.slug, notify.mail, person, real)
        if person.apprise:
            yield Way("apprise", person.slug, Apprise(person.apprise), person, live)
    for number, hook in enumerate(notify.webhooks, 1):
        if _for(hook.organisations, message):
            # Its number and host name it: the rest of the address may be as good as a secret.
            host = urlsplit(hook.url).hostname or ""
            real = live or hook.simulation or host in LOOPBACK
            yield Way(f"webhook {number} {host}", "", hook, None, real)
    for service in notify.apprise:
        if _for(service.organisations, message):
            yield Way(f"apprise {service.secret}", "", service, None, live or service.simulation)


def _for(organisations: Collection[str], message: Message) -> bool:
    """Whether a channel is for this message; what concerns the machine itself goes to those for everybody."""
    return not organisations or any(o in organisations for o in message.organisations)


@dataclass(slots=True)
class Teller:
    """Tells messages. `secret` reads a reference and raises SecretError."""

    directory: Directory
    transport: Transport
    secret: Callable[[str], str]

    def tell(
        self, wanted: Sequence[tuple[Message, Collection[tuple[str, str]]]]
    ) -> list[Mapping[tuple[str, str], str]]:
        """Tell each message, except to those (channel, person) it has reached; the outcome of each way.

        All at once and within PATIENCE: a channel that hangs costs nobody else's message.
        """
        found: list[dict[tuple[str, str], str]] = []
        work: SimpleQueue[tuple[Message, Way, dict[tuple[str, str], str]]] = SimpleQueue()
        left = 0
        for message, reached in wanted:
            all_ways = list(ways(self.directory, message))
            outcomes = {} if all_ways else {NOBODY: "nobody could be told: no channel leads to anybody"}
            found.append(outcomes)
            for way in all_ways:
                if way.pair not in reached:
                    outcomes[way.pair] = "simulated" if not way.real else "no answer in time"
                    if way.real:
                        left += 1
                        work.put((message, way, outcomes))
        end = time.monotonic() + PATIENCE
        done: SimpleQueue[None] = SimpleQueue()
        for _ in range(min(WORKERS, left)):
            threading.Thread(target=self._work, args=(work, done, end), daemon=True, name="tell").start()
        for _ in range(left):
            try:
                done.get(timeout=max(0.0, end - time.monotonic()))
            except Empty:
                break
        return [dict(outcomes) for outcomes in found]

    def _work(
        self,
        work: SimpleQueue[tuple[Message, Way, dict[tuple[str, str], str]]],
        done: SimpleQueue[None],
        end: float,
    ) -> None:
        while time.monotonic() < end:
            try:
                message, way, outcomes = work.get_nowait()
            except Empty:
                return
            outcomes[way.pair] = self._one(message, way, end - time.monotonic())
            done.put(None)

    def _one(self, message: Message, way: Way, seconds: float) -> str:
        """`accepted`, or what went wrong in words."""
        try:
            match way.by:
                case Mail() as mail:
                    assert way.to is not None
                    letter = Letter(
                        message.key, way.to.email, way.to.name, message.subject, message.text, message.at
                    )
                    send_mail(mail, self._read(mail.secret), letter, self.transport.dialer.context)
                case Webhook() as hook:
                    deadline = self.transport.now() + seconds
                    body = message.document()
                    post(self.transport, hook, self._read(hook.secret), message.key, body, deadline=deadline)
                case Apprise() as service:
                    send_apprise(self._read(service.secret), message.subject, message.text)
        except NotTold as why:
            return str(why)
        except LaunchdayError as error:
            return error.message
        except Exception as error:
            return f"the channel broke: {type(error).__name__}"
        return "accepted"

    def _read(self, reference: str) -> str:
        return self.secret(reference) if reference else ""
