"""How people are told: the channels and the escalation that `notify:` in accounts.yaml names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Tls = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class Mail:
    """E-mail by SMTP. `secret` is a reference to the password; `tls: none` is for this machine only.

    `simulation`: messages of simulations and rehearsals are really sent (a test mailbox).
    """

    server: str
    port: int
    tls: Tls
    sender: str
    user: str = ""
    secret: str = ""
    simulation: bool = False


@dataclass(frozen=True, slots=True)
class Webhook:
    """A POST to `url`, signed with what `secret` refers to. `private`: it may be an address of this network.

    `organisations` are those whose notices it gets (empty = all).
    """

    url: str
    secret: str = ""
    organisations: tuple[str, ...] = ()
    private: bool = False
    simulation: bool = False


@dataclass(frozen=True, slots=True)
class Apprise:
    """A service that the package Apprise speaks to; its whole address is a secret, so this is a reference."""

    secret: str
    organisations: tuple[str, ...] = ()
    simulation: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """`after` a notice arose and nobody acknowledged it, it is told again, to these people as well.

    Without names: every approver of the organisation and who looks after the machine.
    """

    after: timedelta
    people: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Away:
    """From `start` until `end` the deputy is told instead."""

    start: datetime
    end: datetime
    deputy: str


@dataclass(frozen=True, slots=True)
class Notify:
    """`keepers` look after the machine itself: told of the daemon, the disk, the database."""

    mail: Mail | None = None
    webhooks: tuple[Webhook, ...] = ()
    apprise: tuple[Apprise, ...] = ()
    keepers: tuple[str, ...] = ()
    steps: tuple[Step, ...] = (Step(timedelta(minutes=15)),)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret reference of the channels."""
        mail = (self.mail.secret,) if self.mail else ()
        every = (*mail, *(w.secret for w in self.webhooks), *(a.secret for a in self.apprise))
        return tuple(dict.fromkeys(s for s in every if s))
