"""Who: organisations, groups, people and accounts, as `accounts.yaml` names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from scheduler.domain.notify import Away, Notify
from scheduler.domain.pace import Stated
from scheduler.errors import Source

Role = Literal["author", "approver", "duty", "auditor"]
Mode = Literal["simulation", "live"]


@dataclass(frozen=True, slots=True)
class Organisation:
    """A body on whose behalf accounts speak. `facts` are the words a template may use.

    `duty` are the people who are told first when something of it wants a person.
    """

    slug: str
    name: str
    facts: Mapping[str, str] = field(default_factory=dict)
    duty: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Person:
    """A named human. `os_users` are the operating-system users who are this person.

    `apprise` refers to an address of the package Apprise (a telephone, a messenger); `away` names a deputy.
    """

    slug: str
    name: str
    organisation: str
    roles: frozenset[Role]
    os_users: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    email: str = ""
    apprise: str = ""
    away: Away | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """One profile of one organisation on one platform.

    `name` is unique within its organisation and is the platform's name unless the file says
    otherwise; `server` is the base URL without a trailing slash ("" = the platform's own
    address); `remote_id` is the platform's id of the profile (Facebook page id; "" = asked for);
    `secret` is a reference such as `env:NAME`, never a secret; `about` is where the file says all this.
    """

    organisation: str
    name: str
    platform: str
    handle: str
    server: str = ""
    remote_id: str = ""
    secret: str = ""
    publisher: str = ""
    about: Source | None = None

    @property
    def id(self) -> str:
        """`organisation/name`, for example `dorset/x`."""
        return f"{self.organisation}/{self.name}"

    @property
    def address(self) -> str:
        """What approvals are bound to besides the words: the profile on its server."""
        return f"{self.server}|{self.handle}|{self.remote_id}"


@dataclass(frozen=True, slots=True)
class Directory:
    """All of `accounts.yaml`. `groups` are expanded to organisation slugs in file order."""

    zone: str
    mode: Mode
    organisations: Mapping[str, Organisation]
    groups: Mapping[str, tuple[str, ...]]
    people: Mapping[str, Person]
    accounts: tuple[Account, ...]
    proxy: str = ""
    ca: str = ""
    notify: Notify = field(default_factory=Notify)
    pace: tuple[Stated, ...] = ()

    @property
    def has_channel(self) -> bool:
        """Whether there is any way to tell anybody."""
        n = self.notify
        return bool(n.mail or n.webhooks or n.apprise or any(p.apprise for p in self.people.values()))

    def account(self, account_id: str) -> Account | None:
        """The account with this id (`dorset/x`), or None."""
        return next((a for a in self.accounts if a.id == account_id), None)

    def people_of(self, organisation: str, role: Role) -> tuple[Person, ...]:
        """Everyone of the organisation who has the role, in file order."""
        return tuple(p for p in self.people.values() if p.organisation == organisation and role in p.roles)

    def person_for(self, os_user: str) -> Person | None:
        """The person whose `os_user` this is, or None."""
        return next((p for p in self.people.values() if os_user in p.os_users), None)

    def expand(self, name: str) -> tuple[str, ...] | None:
        """The organisations that `everyone`, a group or an organisation stands for, or None."""
        if name == "everyone":
            return tuple(self.organisations)
        if name in self.groups:
            return self.groups[name]
        return (name,) if name in self.organisations else None
