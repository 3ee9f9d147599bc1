"""accounts.yaml → Directory: organisations, accounts, groups and people."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from scheduler.domain.account import Account, Directory, Organisation, Person
from scheduler.files import tables
from scheduler.files.fields import Record, Word, read_record, suggest
from scheduler.files.notify import with_notify
from scheduler.files.pace import read_pace
from scheduler.files.references import reference, web_address
from scheduler.files.source import Findings, SourceFile
from scheduler.files.when import read_zone
from scheduler.files.yaml import DEEPEST, read_yaml

RESERVED = ("everyone",)
# Platforms that live on many servers, so that an account without a server has no address.
_NEEDS_SERVER = ("mastodon",)


def read_accounts(file: SourceFile, found: Findings, platforms: Collection[str] = ()) -> Directory | None:
    """The directory as far as it can be read; None where there is none to speak of."""
    root = read_yaml(file, found)
    if root is None:
        return None
    record = read_record(root, tables.ACCOUNTS, file, found)
    reader = _Reader(file, found, (*tables.PLATFORMS, *platforms), record)
    return reader.directory()


class _Reader:
    def __init__(self, file: SourceFile, found: Findings, platforms: Collection[str], record: Record) -> None:
        self.file, self.found, self.record = file, found, record
        self.platforms = tuple(dict.fromkeys(platforms))

    def add(self, word: Word, code: str, message: str, help: str) -> None:
        self.found.add(word.problem(self.file, code, message, help))

    def directory(self) -> Directory | None:
        zone = read_zone(self.record.word("zone"), self.file, self.found)
        web_address(self.record.word("proxy"), self.file, self.found, plain_allowed=True)
        organisations = {
            name.text: self.organisation(name, value)
            for name, value in self.record.record("organisations").items()
            if isinstance(value, Record) and not self.reserved(name)
        }
        accounts = tuple(self.accounts())
        self.same_profile_twice(accounts)
        if not organisations:
            self.nobody()
            return None
        directory = Directory(
            zone=zone.key,
            mode="live" if self.record.text("mode") == "live" else "simulation",
            organisations=organisations,
            groups=self.groups(organisations),
            people=self.people(organisations),
            accounts=accounts,
            proxy=self.record.text("proxy"),
            ca=self.record.text("ca"),
            pace=read_pace(self.record, accounts, self.platforms, self.file, self.found),
        )
        return with_notify(directory, self.record, self.file, self.found)

    def nobody(self) -> None:
        if not self.found.errors:
            line = self.record.keys["organisations"].line
            help = "add the first one; launchday explain E108 shows how"
            self.found.add(self.file.problem("E108", "no organisation is named", help, line=line))

    def reserved(self, name: Word) -> bool:
        if name.text in RESERVED:
            self.add(
                name,
                "E607",
                f"'{name.text}' stands for all organisations and cannot be a name",
                "choose another",
            )
        return name.text in RESERVED

    def organisation(self, name: Word, record: Record) -> Organisation:
        facts = {
            key.text: value.text
            for key, value in record.items()
            if isinstance(value, Word) and key.text != "name"
        }
        if "slug" in facts:
            self.add(
                record.keys["slug"], "E116", "'slug' is the organisation's name in this file", "take it out"
            )
        return Organisation(name.text, record.text("name"), facts)

    def accounts(self) -> Iterator[Account]:
        for organisation, value in self.record.record("organisations").items():
            if isinstance(value, Record):
                for name, account in value.record("accounts").items():
                    if isinstance(account, Record):
                        yield self.account(organisation, name, account)

    def account(self, organisation: Word, name: Word, record: Record) -> Account:
        written = record.word("platform")
        platform = written or name
        if platform.text not in self.platforms:
            help = suggest(platform.text, self.platforms)
            if written is None:
                help += "; an account of another name needs 'platform: …'"
            self.add(platform, "E604", f"unknown platform '{platform.text}'", help)
        server = web_address(record.word("server"), self.file, self.found)
        if platform.text in _NEEDS_SERVER and "server" not in record.keys:
            self.add(
                name,
                "E610",
                f"a {platform.text} account needs its server",
                'add server: "https://social.example"',
            )
        return Account(
            organisation=organisation.text,
            name=name.text,
            platform=platform.text,
            handle=record.text("handle"),
            server=server,
            remote_id=record.text("page"),
            secret=reference(record.word("token"), self.file, self.found),
            publisher=record.text("publisher"),
            about=self.file.at(name.line, name.col),
        )

    def same_profile_twice(self, accounts: tuple[Account, ...]) -> None:
        """Two accounts that are one profile would put each post out twice."""
        seen: dict[tuple[str, str, str, str], Account] = {}
        for account in accounts:
            profile = (account.platform, account.server, account.handle.lower(), account.remote_id)
            first = seen.setdefault(profile, account)
            if first is not account and account.about and account.handle:
                line, col = account.about.line, account.about.col
                message = f"{account.id} is the same profile as {first.id}: every post would go out twice"
                self.found.add(
                    self.file.problem(
                        "E614",
                        message,
                        "delete one, or correct its handle",
                        line=line,
                        col=col,
                        length=len(account.name),
                    )
                )

    def groups(self, organisations: Collection[str]) -> dict[str, tuple[str, ...]]:
        record = self.record.record("groups")
        for name in record.keys.values():
            if not self.reserved(name) and name.text in organisations:
                self.add(name, "E607", f"'{name.text}' is an organisation already", "rename the group")
        known: dict[str, set[str]] = {}
        for name, _ in record.items():
            self.members(name.text, (), set(organisations), known)
        return {
            name.text: tuple(slug for slug in organisations if slug in known[name.text])
            for name, _ in record.items()
        }

    def members(
        self, group: str, path: tuple[str, ...], organisations: set[str], known: dict[str, set[str]]
    ) -> set[str]:
        """The organisations of a group; each group is worked out once, however often it is named."""
        if group in known:
            return known[group]
        record, members = self.record.record("groups"), set[str]()
        for word in record.words(group):
            if word.text in organisations:
                members.add(word.text)
            elif word.text in RESERVED:
                members |= organisations
            elif word.text in (*path, group) or len(path) > DEEPEST:
                circle = " → ".join((*path, group, word.text)[-8:])
                self.add(word, "E605", f"a group that holds itself: {circle}", "take one of them out")
            elif word.text in record.values:
                members |= self.members(word.text, (*path, group), organisations, known)
            elif word.text not in self.record.record("organisations").keys:
                names = (*organisations, *record.values)
                help = suggest(word.text, names)
                self.add(word, "E606", f"'{word.text}' is no organisation or group", help)
        known[group] = members
        return members

    def people(self, organisations: Collection[str]) -> dict[str, Person]:
        people: dict[str, Person] = {}
        users: dict[str, str] = {}
        for name, value in self.record.record("people").items():
            if not isinstance(value, Record):
                continue
            org = value.word("org")
            if org and org.text not in organisations:
                self.add(org, "E608", f"'{org.text}' is no organisation", suggest(org.text, organisations))
            for user in value.words("os_user"):
                if users.setdefault(user.text, name.text) != name.text:
                    message = f"the user '{user.text}' is {users[user.text]} already"
                    self.add(user, "E612", message, "one user, one person: they would approve for each other")
            people[name.text] = self.person(name.text, value)
        return people

    def person(self, slug: str, record: Record) -> Person:
        roles = frozenset(role for role in tables.ROLES if any(w.text == role for w in record.words("roles")))
        return Person(
            slug=slug,
            name=record.text("name"),
            organisation=record.text("org"),
            roles=roles,  # type: ignore[arg-type]  # because the table's choices are the Role literals
            os_users=tuple(w.text for w in record.words("os_user")),
            keys=tuple(w.text for w in record.words("keys")),
            email=record.text("email"),
        )
