"""`notify:`, `duty:` and `away:` of accounts.yaml → who is told of trouble, and how."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import timedelta
from zoneinfo import ZoneInfo

from scheduler.domain.account import Directory, Organisation, Person
from scheduler.domain.notify import Apprise, Away, Mail, Notify, Step, Webhook
from scheduler.files.fields import Record, Word, suggest
from scheduler.files.references import LOOPBACK, reference, web_address
from scheduler.files.source import Findings, SourceFile
from scheduler.files.when import read_duration, read_moment

_PORTS = {"starttls": 587, "tls": 465, "none": 25}


def with_notify(directory: Directory, root: Record, file: SourceFile, found: Findings) -> Directory:
    """The directory with everything that the file says about telling people."""
    return _Reader(directory, root, file, found).read()


class _Reader:
    def __init__(self, directory: Directory, root: Record, file: SourceFile, found: Findings) -> None:
        self.directory, self.root, self.file, self.found = directory, root, file, found
        self.names = root.record("people").keys

    def add(self, word: Word, code: str, message: str, help: str) -> None:
        self.found.add(word.problem(self.file, code, message, help))

    def read(self) -> Directory:
        return replace(
            self.directory,
            organisations=dict(self.organisations()),
            people=dict(self.people()),
            notify=self.notify(self.root.record("notify")),
        )

    def organisations(self) -> Iterator[tuple[str, Organisation]]:
        records = self.root.record("organisations")
        for slug, organisation in self.directory.organisations.items():
            yield slug, replace(organisation, duty=self.persons(records.record(slug).words("duty")))

    def people(self) -> Iterator[tuple[str, Person]]:
        records = self.root.record("people")
        for slug, person in self.directory.people.items():
            record = records.record(slug)
            phone = reference(record.word("apprise"), self.file, self.found)
            away = self.away(slug, record.record("away")) if "away" in record.values else None
            yield slug, replace(person, apprise=phone, away=away)

    def persons(self, words: Collection[Word]) -> tuple[str, ...]:
        """People by their names in this file."""
        for word in words:
            if word.text not in self.names:
                help = suggest(word.text, self.names)
                self.add(word, "E615", f"'{word.text}' is nobody in people", help)
        return tuple(w.text for w in words if w.text in self.names)

    def away(self, slug: str, record: Record) -> Away | None:
        zone = ZoneInfo(self.directory.zone)
        start = read_moment(record.word("from"), zone, None, self.file, self.found)
        end = read_moment(record.word("to"), zone, None, self.file, self.found)
        to, deputy = record.word("to"), record.word("deputy")
        if start and end and to and end.due <= start.due:
            self.add(to, "E212", "the absence ends before it begins", "correct one of them")
        if deputy and deputy.text == slug:
            self.add(deputy, "E615", "a person cannot be their own deputy", "name somebody else")
            return None
        known = self.persons([deputy] if deputy else [])
        return Away(start.due, end.due, known[0]) if start and end and known else None

    def notify(self, record: Record) -> Notify:
        steps = tuple(self.steps(record))
        return Notify(
            mail=self.mail(record.record("email")) if "email" in record.values else None,
            webhooks=tuple(self.webhooks(record)),
            apprise=tuple(self.apprise(record)),
            keepers=self.persons(record.words("to")),
            steps=steps if "escalate" in record.values else Notify().steps,
        )

    def mail(self, record: Record) -> Mail:
        tls = record.text("tls", "starttls")
        server, port = record.word("server"), record.word("port")
        if tls == "none" and server and server.text not in LOOPBACK:
            self.add(server, "E616", "e-mail without encryption", "write tls: starttls, or tls: tls")
        if port and not 0 < int(port.text) < 65_536:
            self.add(port, "E116", f"'{port.text}' is no port", "write a number from 1 to 65535")
        if ("user" in record.values) != ("password" in record.values):
            word = record.keys["user" if "user" in record.values else "password"]
            self.add(word, "E108", "'user' and 'password' belong together", "add the other, or take it out")
        return Mail(
            server=record.text("server"),
            port=int(port.text) if port else _PORTS[tls],
            tls=tls,  # type: ignore[arg-type]  # because the table's choices are the Tls literals
            sender=record.text("from"),
            user=record.text("user"),
            secret=reference(record.word("password"), self.file, self.found),
            simulation=record.flag("simulation", False),
        )

    def webhooks(self, record: Record) -> Iterator[Webhook]:
        for one in record.records("webhooks"):
            yield Webhook(
                url=web_address(one.word("url"), self.file, self.found),
                secret=reference(one.word("secret"), self.file, self.found),
                organisations=self.whose(one),
                private=one.flag("private", False),
                simulation=one.flag("simulation", False),
            )

    def apprise(self, record: Record) -> Iterator[Apprise]:
        for one in record.records("apprise"):
            yield Apprise(
                secret=reference(one.word("url"), self.file, self.found),
                organisations=self.whose(one),
                simulation=one.flag("simulation", False),
            )

    def whose(self, record: Record) -> tuple[str, ...]:
        found: list[str] = []
        for word in record.words("for"):
            expanded = self.directory.expand(word.text)
            if expanded is None:
                known = (*self.directory.organisations, *self.directory.groups)
                message = f"'{word.text}' is no organisation or group"
                self.add(word, "E606", message, suggest(word.text, known))
            found += expanded or ()
        return tuple(dict.fromkeys(found))

    def steps(self, record: Record) -> Iterator[Step]:
        before = timedelta(0)
        for one in record.records("escalate"):
            word = one.word("after")
            after = read_duration(word, timedelta(minutes=15), self.file, self.found)
            if word and after <= before:
                self.add(word, "E212", "each step comes later than the one before it", "correct one of them")
            before = max(before, after)
            yield Step(after, self.persons(one.words("to")))
