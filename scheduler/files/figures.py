"""figures.csv → one row of local numbers per organisation, each with its source."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from scheduler.domain.account import Organisation
from scheduler.domain.campaign import FigureRow
from scheduler.domain.wrong_time import FULL_MONTHS
from scheduler.files.fields import suggest
from scheduler.files.source import Findings, SourceFile
from scheduler.files.tables import NAME

_NUMBER = re.compile(r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?%?")
_DAY = re.compile(r"(?P<d>[0-9]{1,2}) (?P<m>[A-Za-z]+) (?P<y>[0-9]{4})")
_QUOTED = re.compile(r'\s*"((?:[^"]|"")*)"\s*(?=,|$)')
_PLAIN = re.compile(r"[^,\"]*(?=,|$)")
_FIRST, _LAST = "organisation", ("source", "as_at")
_HEADER = "write it like: organisation,visited,called,source,as_at"


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    col: int
    length: int


def read_figures(
    file: SourceFile, organisations: Mapping[str, Organisation], found: Findings
) -> dict[str, FigureRow]:
    """The rows by organisation; whatever is wrong with a row keeps that row out."""
    if not any(line.strip() for line in file.lines):
        found.add(file.problem("E115", "nothing is written here", _HEADER))
        return {}
    header = _cells(file, 1, found)
    if header is None or not _header(file, header, found):
        return {}
    rows: dict[str, FigureRow] = {}
    for number in range(2, len(file.lines) + 1):
        cells = _cells(file, number, found) if file.lines[number - 1].strip() else None
        if cells is not None:
            row = _row(file, number, header, cells, organisations=organisations, rows=rows, found=found)
            if row is not None:
                rows[row.organisation] = row
    return rows


def _cells(file: SourceFile, number: int, found: Findings) -> list[_Cell] | None:
    """The cells of one line; a quoted cell may hold commas and doubled quotes, but no line end."""
    line, cells, at = file.lines[number - 1], [], 0
    while True:
        quoted, plain = _QUOTED.match(line, at), _PLAIN.match(line, at)
        match = quoted or plain
        if match is None:
            message = "a quote that does not close, or stands inside a cell"
            help = 'put the whole cell in quotes, and write a quote inside it twice: ""'
            found.add(file.problem("E411", message, help, line=number, col=at + 1, length=len(line) - at))
            return None
        text = match[1].replace('""', '"') if quoted else match[0]
        lead = len(match[0]) - len(match[0].lstrip())
        cells.append(_Cell(text.strip(), at + lead + 1, max(1, len(match[0].strip()))))
        at = match.end()
        if at >= len(line):
            return cells
        at += 1


def _header(file: SourceFile, header: list[_Cell], found: Findings) -> bool:
    good = True
    names = [c.text for c in header]

    def fault(code: str, message: str, help: str, cell: _Cell) -> None:
        nonlocal good
        good = False
        found.add(file.problem(code, message, help, line=1, col=cell.col, length=cell.length))

    if names[0] != _FIRST:
        fault("E410", f"the first column must be '{_FIRST}'", _HEADER, header[0])
    for name in _LAST:
        if name not in names:
            fault("E410", f"there is no column '{name}'", f"every figure needs it; {_HEADER}", header[-1])
    for index, cell in enumerate(header):
        if cell.text in names[:index]:
            fault("E410", f"the column '{cell.text}' stands here twice", "delete one of them", cell)
        elif cell.text not in (_FIRST, *_LAST) and not re.fullmatch(NAME, cell.text, re.ASCII):
            fault(
                "E410",
                f"'{cell.text}' cannot name a figure",
                "use small letters, digits and _: visited",
                cell,
            )
        elif cell.text in ("name", "slug"):
            fault(
                "E417", f"'{cell.text}' is no figure: it names the organisation", "give it another name", cell
            )
    return good


def _row(
    file: SourceFile,
    number: int,
    header: list[_Cell],
    cells: list[_Cell],
    *,
    organisations: Mapping[str, Organisation],
    rows: Collection[str],
    found: Findings,
) -> FigureRow | None:
    good = True

    def fault(code: str, message: str, help: str, cell: _Cell) -> None:
        nonlocal good
        good = False
        found.add(file.problem(code, message, help, line=number, col=cell.col, length=cell.length))

    if len(cells) != len(header):
        message = f"{len(cells)} cells under {len(header)} columns"
        fault(
            "E411", message, 'fill in what is missing; a number with a comma needs quotes: "1,234"', cells[-1]
        )
        return None
    by_name = {column.text: cell for column, cell in zip(header, cells, strict=True)}
    slug = by_name[_FIRST].text
    organisation = organisations.get(slug)
    if organisation is None:
        fault("E412", f"'{slug}' is no organisation", suggest(slug, organisations), by_name[_FIRST])
    if slug in rows:
        fault("E413", f"a second row for '{slug}'", "delete one of them: which is right?", by_name[_FIRST])
    values = {name: cell for name, cell in by_name.items() if name not in (_FIRST, *_LAST)}
    for name, cell in values.items():
        if not _NUMBER.fullmatch(cell.text):
            what = f"'{cell.text}' is not a number" if cell.text else f"no number for '{name}'"
            fault(
                "E414",
                what,
                "write digits: 285 or \"1,234\"; without the row, use '::: without figures'",
                cell,
            )
        if organisation and name in organisation.facts:
            fault("E417", f"'{name}' is a fact of {slug} in accounts.yaml too", "rename one of them", cell)
    if not by_name["source"].text:
        fault(
            "E415",
            "a figure without its source",
            "write who counted, and where it can be read",
            by_name["source"],
        )
    if not is_day(by_name["as_at"].text):
        what = f"'{by_name['as_at'].text}' is not a date" if by_name["as_at"].text else "no date"
        fault("E416", what, "write it like 2027-01-31 or 31 January 2027", by_name["as_at"])
    if not good:
        return None
    texts = {name: cell.text for name, cell in values.items()}
    return FigureRow(slug, texts, by_name["source"].text, by_name["as_at"].text, number)


def is_day(text: str) -> bool:
    """Whether the text is a day that exists: `2027-01-31` or `31 January 2027`."""
    found = _DAY.fullmatch(text)
    months = [m.lower() for m in FULL_MONTHS]
    try:
        if found:
            names = [m for m in months if found["m"].lower() in (m, m[:3])]
            return bool(names) and bool(date(int(found["y"]), months.index(names[0]) + 1, int(found["d"])))
        return bool(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False
