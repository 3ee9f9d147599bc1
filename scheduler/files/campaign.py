"""campaign.yaml → Campaign without its posts: times, aims, rules, who must say yes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from scheduler.domain import times
from scheduler.domain.account import Directory
from scheduler.domain.campaign import Campaign
from scheduler.domain.content import Blackout, Policy
from scheduler.domain.times import Moment
from scheduler.files import tables
from scheduler.files.fields import Record, Word, read_record, suggest
from scheduler.files.source import Findings, SourceFile
from scheduler.files.when import read_duration, read_moment
from scheduler.files.yaml import read_yaml

DEFAULT_CLOSE = timedelta(minutes=30)
DEFAULT_WINDOW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a campaign says for the posts that do not say it themselves."""

    organisations: tuple[str, ...]
    platforms: tuple[str, ...]
    link: str
    language: str
    launch: Moment


@dataclass(frozen=True, slots=True)
class Names:
    """The organisations, groups and platforms that a campaign's files may name."""

    directory: Directory
    platforms: tuple[str, ...]

    @property
    def zone(self) -> ZoneInfo:
        """The zone all times are meant in."""
        return ZoneInfo(self.directory.zone)

    def organisations(self, words: Iterable[Word], file: SourceFile, found: Findings) -> tuple[str, ...]:
        """The organisations meant, in the order of accounts.yaml."""
        meant: set[str] = set()
        for word in words:
            expanded = self.directory.expand(word.text)
            if expanded is None:
                known = ("everyone", *self.directory.groups, *self.directory.organisations)
                message = f"'{word.text}' is no organisation or group of accounts.yaml"
                found.add(word.problem(file, "E308", message, suggest(word.text, known)))
            meant.update(expanded or ())
        return tuple(slug for slug in self.directory.organisations if slug in meant)

    def on(self, words: Iterable[Word], file: SourceFile, found: Findings) -> tuple[str, ...]:
        """The platforms meant, in the order written."""
        meant = []
        for word in words:
            if word.text not in self.platforms:
                message = f"unknown platform '{word.text}'"
                found.add(word.problem(file, "E309", message, suggest(word.text, self.platforms)))
            else:
                meant.append(word.text)
        return tuple(meant)


def read_campaign(
    file: SourceFile, slug: str, names: Names, found: Findings
) -> tuple[Campaign, Defaults] | None:
    """The campaign and its defaults, or None where the launch or the fields cannot be read."""
    root = read_yaml(file, found)
    if root is None:
        return None
    record = read_record(root, tables.CAMPAIGN, file, found)
    launch = read_moment(record.word("launch"), names.zone, None, file, found)
    reader = _Reader(file, found, record, names, launch)
    organisations = names.organisations(record.words("to"), file, found)
    platforms = names.on(record.words("platforms"), file, found)
    check_link(record.word("link"), file, found)
    policy = reader.policy()
    blackouts = tuple(reader.blackouts())
    embargo, close, settings = reader.embargo(), reader.close(), reader.settings()
    if launch is None:
        return None
    campaign = Campaign(
        slug=slug,
        name=record.text("name"),
        path=file.path.rpartition("/")[0],
        launch=launch.due,
        embargo=(embargo or launch).due,
        close=(close or launch).due,
        window=reader.window(),
        policy=policy,
        aims={
            key.text: value.text for key, value in record.record("aims").items() if isinstance(value, Word)
        },
        posts=(),
        figures={},
        hashtags=tuple(w.text for w in record.words("hashtags")),
        blackouts=blackouts,
        settings=settings,
    )
    return campaign, Defaults(
        organisations, platforms, record.text("link"), record.text("language", "en-GB"), launch
    )


def check_link(word: Word | None, file: SourceFile, found: Findings) -> None:
    """A link must be a whole https address; one with a template in it is checked when rendered."""
    if word is not None and word.text and "{{" not in word.text and not is_link(word.text):
        found.add(word.problem(file, "E313", f"'{word.text}' is not a whole https address", LINK_HELP))


LINK_HELP = "write it like https://www.stopitnow.org.uk/"


def is_link(text: str) -> bool:
    """Whether the text is an https address with a host and nothing odd in it."""
    try:
        parts = urlsplit(text)
        odd = parts.username is not None or parts.port == 0
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and not odd and not re.search(r"[\s<>\"]", text)


class _Reader:
    def __init__(
        self,
        file: SourceFile,
        found: Findings,
        record: Record,
        names: Names,
        launch: Moment | None,
    ) -> None:
        self.file, self.found, self.record = file, found, record
        self.names, self.zone, self.launch = names, names.zone, launch

    def moment(self, word: Word | None) -> Moment | None:
        """A time that may be relative to the launch; nothing where the launch itself is wrong."""
        if self.launch is None and word is not None and times.before_launch(word.text):
            return None
        return read_moment(word, self.zone, self.launch, self.file, self.found)

    def embargo(self) -> Moment | None:
        word = self.record.word("embargo")
        embargo = self.moment(word)
        if word and embargo and self.launch and embargo.due > self.launch.due:
            self.found.add(
                word.problem(
                    self.file,
                    "E212",
                    "the embargo ends after the launch",
                    "nothing could go out: correct one of them",
                )
            )
        return embargo

    def close(self) -> Moment | None:
        word = self.record.record("approval").word("close")
        if word is None:
            return Moment(self.launch.due - DEFAULT_CLOSE, "") if self.launch else None
        close = self.moment(word)
        if close and self.launch and close.due > self.launch.due:
            message = "approvals would be taken until after the launch"
            self.found.add(
                word.problem(self.file, "E212", message, "write a time before it: 30m before launch")
            )
        return close

    def window(self) -> timedelta:
        word = self.record.word("window")
        window = read_duration(word, DEFAULT_WINDOW, self.file, self.found)
        if word and not window:
            self.found.add(word.problem(self.file, "E209", "a window of nothing", "write it like 10m"))
        return window

    def settings(self) -> dict[str, str]:
        """What other rooms may want to know. `close` says whether it moves with each post's time."""
        close = self.record.record("approval").text("close", "30m before launch")
        return {
            "sensitive": "true" if self.record.flag("sensitive", False) else "false",
            "language": self.record.text("language", "en-GB"),
            "link": self.record.text("link"),
            "close": "relative" if times.before_launch(close) else "absolute",
        }

    def policy(self) -> Policy:
        approval, partner = self.record.record("approval"), self.record.record("signoff").record("partner")
        for word in (approval.word("lead_org"), partner.word("org")):
            self.organisation(word)
        usual = Policy()
        lead = approval.count("lead", usual.lead)
        if lead and not approval.text("lead_org"):
            word = approval.keys["lead"]
            self.found.add(
                word.problem(
                    self.file, "E108", "'lead' asks for a lead organisation", "add lead_org: ORGANISATION"
                )
            )
        if "each_org" in approval.values and approval.count("each_org", 1) < 1:
            help = "write 1 or more: nothing goes out that nobody approved"
            message = "'each_org' must be at least 1"
            self.found.add(approval.keys["each_org"].problem(self.file, "E116", message, help))
        return Policy(
            each_org=approval.count("each_org", usual.each_org),
            partner=approval.count("partner", usual.partner),
            lead=lead,
            lead_org=approval.text("lead_org"),
            partner_org=partner.text("org"),
            partner_when=tuple(w.text for w in partner.words("when")),
            not_author=approval.flag("not_author", usual.not_author),
            distinct=approval.flag("distinct", usual.distinct),
            valid_for=read_duration(approval.word("valid_for"), usual.valid_for, self.file, self.found),
        )

    def organisation(self, word: Word | None) -> None:
        known: Collection[str] = self.names.directory.organisations
        if word is not None and word.text and word.text not in known:
            self.found.add(
                word.problem(
                    self.file, "E308", f"'{word.text}' is no organisation", suggest(word.text, known)
                )
            )

    def blackouts(self) -> Iterator[Blackout]:
        for record in self.record.records("blackouts"):
            start, end = self.moment(record.word("from")), self.moment(record.word("to"))
            who = self.names.organisations(record.words("orgs"), self.file, self.found)
            word = record.word("to")
            if start and end and word and end.due <= start.due:
                self.found.add(
                    word.problem(
                        self.file, "E212", "the blackout ends before it begins", "correct one of them"
                    )
                )
            if start and end:
                everyone = tuple(self.names.directory.organisations)
                yield Blackout(
                    start.due, end.due, who if "orgs" in record.values else everyone, record.text("reason")
                )
