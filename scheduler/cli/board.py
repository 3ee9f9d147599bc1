"""Drawing the launch board: organisations down, platforms across."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scheduler.domain.delivery import OUT, WANTS_A_PERSON, State
from scheduler.domain.when import show, show_span

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import RenderableType

    from scheduler.domain.account import Directory
    from scheduler.domain.delivery import Delivery
    from scheduler.services.board import Board

STYLES = {"out": "green", "trouble": "bold red", "doubt": "yellow", "waiting": "dim"}


def draw(board: Board, directory: Directory, now: datetime, *, mode: str, note: str = "") -> RenderableType:
    """The board as something rich can print. State is told by sign and word, never by colour alone."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    here = {d.platform for d in board.deliveries}
    platforms = list(dict.fromkeys(a.platform for a in directory.accounts if a.platform in here))
    platforms += sorted(here - set(platforms))
    grid = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    grid.add_column("organisation", overflow="fold")  # the names give way, never the platforms
    for platform in platforms:
        grid.add_column(platform, min_width=11, no_wrap=True)
    for slug, row in _rows(board, directory).items():
        organisation = directory.organisations.get(slug)
        cells = [_cell(board, [d for d in row if d.platform == p]) for p in platforms]
        grid.add_row(Text(organisation.name if organisation else slug), *cells)
    head = f"{board.campaign}   {show(board.due, directory.zone)}   {countdown(board.due, now)}"
    lines: list[Any] = []
    if mode != "live":
        lines.append(Text(f"{mode.upper()}. Nothing here can reach a real account.", style="bold reverse"))
    lines += [Text(head, style="bold"), grid, Text(summary(board))]
    if note:
        lines.append(Text(note))
    return Group(*lines)


def _rows(board: Board, directory: Directory) -> dict[str, list[Delivery]]:
    """Organisations in the order of accounts.yaml."""
    rows: dict[str, list[Delivery]] = {slug: [] for slug in directory.organisations}
    for d in board.deliveries:
        rows.setdefault(d.organisation, []).append(d)
    return {slug: row for slug, row in rows.items() if row}


def _cell(board: Board, found: list[Delivery]) -> Any:
    from rich.text import Text

    cell = Text()
    for n, d in enumerate(found):
        cell.append("  " if n else "")
        cell.append(board.cell(d), style=_style(d))
    return cell


def _style(d: Delivery) -> str:
    if d.state in OUT:
        return STYLES["out"]
    if d.state in WANTS_A_PERSON:
        return STYLES["trouble"]
    if d.state in (State.PUBLISHING, State.UNCONFIRMED):
        return STYLES["doubt"]
    return STYLES["waiting"]


def countdown(due: datetime, now: datetime) -> str:
    """`in 8 s`, `43 s ago`."""
    return f"in {show_span(due - now)}" if due > now else f"{show_span(now - due)} ago"


def summary(board: Board) -> str:
    """`28 published   0 failed   0 unconfirmed`; what is not nought besides."""
    counts = board.counts
    words = [f"{counts[name]} {name}" for name in ("published", "failed", "unconfirmed")]
    words += [f"{counts[name]} {name}" for name in ("asking", "waiting") if counts[name]]
    return "   ".join(words)


def tsv(board: Board) -> list[list[str]]:
    """One complete row for each delivery."""
    return [
        [d.name, d.organisation, d.platform, str(d.state), board.cell(d), d.url, d.reason]
        for d in board.deliveries
    ]


TSV_COLUMNS = ("delivery", "organisation", "platform", "state", "shown", "url", "reason")


def items(board: Board) -> list[dict[str, Any]]:
    """The same as JSON items."""
    return [
        {
            "delivery": d.name,
            "organisation": d.organisation,
            "platform": d.platform,
            "state": str(d.state),
            "late_ms": round(board.lateness_us[d.id] / 1000, 3) if d.id in board.lateness_us else None,
            "url": d.url,
            "reason": d.reason,
        }
        for d in board.deliveries
    ]
