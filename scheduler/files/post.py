"""One post file → Post: front matter between two `---` lines, then plain text."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo

from scheduler.domain.campaign import Campaign, MediaRef, Post
from scheduler.domain.times import Moment, say
from scheduler.errors import Source
from scheduler.files import tables
from scheduler.files.campaign import Defaults, Names, check_link
from scheduler.files.fields import Record, read_record, suggest
from scheduler.files.source import Findings, SourceFile
from scheduler.files.variants import read_body
from scheduler.files.when import read_moment
from scheduler.files.yaml import read_yaml

_FENCE = "---"
_START = "begin the file with '---', the fields, and '---' again; launchday explain E301 shows one"


def read_post(
    file: SourceFile, campaign: Campaign, defaults: Defaults, names: Names, found: Findings
) -> Post | None:
    """The post, or None where its front matter or its time cannot be read."""
    end = _front_matter(file, found)
    if end is None:
        return None
    variants = read_body(file, end + 1, names, found)
    node = read_yaml(file, found, text="\n".join(file.lines[1 : end - 1]) + "\n", first_line=2)
    if node is None:
        return None
    record = read_record(node, tables.POST, file, found)
    moment = read_moment(record.word("at"), names.zone, defaults.launch, file, found)
    _after_embargo(record, moment, campaign, file=file, zone=names.zone, found=found)
    _known_aim(record, campaign, file, found)
    check_link(record.word("link"), file, found)
    organisations = names.organisations(record.words("to"), file, found)
    platforms = names.on(record.words("platforms"), file, found)
    media = tuple(_media(item, file, found) for item in record.records("media"))
    if moment is None:
        return None
    return Post(
        id=record.text("id") or re.sub(r"^[0-9]+-", "", file.path.rpartition("/")[2].removesuffix(".md")),
        path=file.path,
        due=moment.due,
        wall=moment.wall,
        aim=record.text("aim"),
        organisations=organisations if "to" in record.values else defaults.organisations,
        platforms=platforms if "platforms" in record.values else defaults.platforms,
        link=record.text("link", defaults.link),
        media=media,
        variants=variants,
        at=_place(record, file),
        language=record.text("language", defaults.language),
        visibility=record.text("visibility", "public"),
    )


def _place(record: Record, file: SourceFile) -> Source:
    word = record.keys.get("id")
    return file.at(word.line, word.col) if word else file.at(1)


def _front_matter(file: SourceFile, found: Findings) -> int | None:
    """The number of the line that closes the front matter."""
    if not file.lines or not "".join(file.lines).strip():
        found.add(file.problem("E115", "nothing is written here", _START))
        return None
    if file.lines[0].rstrip() != _FENCE:
        found.add(file.problem("E301", "the post has no front matter", _START, length=len(file.lines[0])))
        return None
    for number, line in enumerate(file.lines[1:], 2):
        if line.rstrip() == _FENCE:
            return number
    found.add(
        file.problem(
            "E302", "the front matter is never closed", "write '---' on a line below the fields", length=3
        )
    )
    return None


def _after_embargo(
    record: Record,
    moment: Moment | None,
    campaign: Campaign,
    *,
    zone: ZoneInfo,
    file: SourceFile,
    found: Findings,
) -> None:
    word = record.word("at")
    if word and moment and moment.due < campaign.embargo:
        message = f"{say(moment.due, zone)} is before the embargo, {say(campaign.embargo, zone)}"
        found.add(
            word.problem(
                file, "E210", message, "choose a later time, or correct the embargo in campaign.yaml"
            )
        )


def _known_aim(record: Record, campaign: Campaign, file: SourceFile, found: Findings) -> None:
    word = record.word("aim")
    if not campaign.aims or (word and word.text in campaign.aims):
        return
    if word:
        message = f"'{word.text}' is no aim of campaign.yaml"
        found.add(word.problem(file, "E310", message, suggest(word.text, campaign.aims)))
    elif "aim" not in record.keys:
        help = f"add a line 'aim: …' with one of: {', '.join(campaign.aims)}"
        found.add(file.problem("E108", "the post names no aim", help, line=record.line))


def _media(record: Record, file: SourceFile, found: Findings) -> MediaRef:
    name, alt = record.word("file"), record.word("alt")
    decorative = record.flag("decorative", False)
    missing = "alt" not in record.keys or (alt is not None and not alt.text.strip())
    if name and not decorative and missing:
        found.add(
            name.problem(
                file,
                "E507",
                "a picture without alt text",
                'add alt: "what the picture says", or decorative: true',
            )
        )
    where, alt_where = (file.at(w.line, w.inner) if w else None for w in (name, alt))
    return MediaRef(
        file=name.text if name else "",
        alt="" if decorative or alt is None else alt.text,
        at=where or file.at(record.line, record.col),
        alt_at=alt_where,
        decorative=decorative,
    )
