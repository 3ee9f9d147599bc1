"""How previews are drawn: panels on a terminal, rows when piped, items for --json."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from rich.columns import Columns
from rich.panel import Panel
from rich.text import Text

from scheduler.cli.show import console
from scheduler.domain.content import instant
from scheduler.files.hidden import show
from scheduler.services.preview import Preview

COLUMNS = (
    "delivery",
    "when",
    "used",
    "limit",
    "text",
    "link",
    "pictures",
    "alt",
    "figures",
    "source",
    "as_at",
    "needs",
)
_NAMES = {"linkedin": "LinkedIn", "whatsapp": "WhatsApp", "tiktok": "TikTok"}


def item(shown: Preview) -> dict[str, Any]:
    """Everything about one delivery, for --json."""
    delivery, content = shown.delivery, shown.delivery.content
    length, row = shown.length, shown.row
    return {
        "delivery": delivery.name,
        "campaign": delivery.campaign,
        "post": delivery.post,
        "part": content.part,
        "parts": content.parts,
        "organisation": content.organisation,
        "account": content.account,
        "platform": content.platform,
        "handle": delivery.account.handle,
        "text": content.text,
        "link": content.link,
        "length": {"used": length.used, "limit": length.limit, "unit": length.unit} if length else None,
        "media": [
            {
                "file": m.file,
                "alt": m.alt,
                "width": m.width,
                "height": m.height,
                "size": m.size,
                "sha256": m.sha256,
            }
            for m in content.media
        ],
        "figures": list(delivery.figures),
        "figures_row": row.row if row else None,
        "source": row.source if row else "",
        "as_at": row.as_at if row else "",
        "variant": delivery.variant,
        "when": shown.when,
        "due": instant(delivery.plan.due),
        "close": instant(delivery.plan.close),
        "needs": list(shown.needs),
        "content_sha256": content.sha256,
        "path": str(delivery.at),
    }


def row(shown: Preview) -> list[str]:
    """One line of the piped table."""
    content, length, figures = shown.delivery.content, shown.length, shown.row
    return [
        shown.delivery.name,
        shown.when,
        str(length.used) if length else "",
        str(length.limit) if length else "",
        content.text,
        content.link,
        " ".join(m.file for m in content.media),
        " | ".join(m.alt for m in content.media),
        " ".join(shown.delivery.figures),
        figures.source if figures else "",
        figures.as_at if figures else "",
        " ".join(shown.needs),
    ]


def panels(shown: Sequence[Preview]) -> None:
    """One panel for each delivery, side by side; what they share stands below them."""
    out = console()
    width = max(30, min(64, out.width // 2 - 1)) if out.width >= 80 else out.width
    for (post, organisation), group in groupby(
        shown, lambda p: (p.delivery.post, p.delivery.content.organisation)
    ):
        previews = list(group)
        first = previews[0]
        out.print(Text(show(f"{post} · {organisation} · {first.when}"), style="bold"))
        out.print(Columns([_panel(p, width) for p in previews], padding=(0, 1)))
        for line in _shared(previews):
            out.print(Text(show(line)), soft_wrap=True)
        out.print()


def _whose(shown: Preview) -> tuple[str, str]:
    return shown.delivery.post, shown.delivery.content.organisation


def _panel(shown: Preview, width: int) -> Panel:
    content = shown.delivery.content
    name = _NAMES.get(content.platform, content.platform.capitalize())
    part = f"  {content.part} of {content.parts}" if content.parts > 1 else ""
    length = f"{shown.length.used}/{shown.length.limit}" if shown.length else ""
    # Text, not str: a post that says [red] must show [red].
    words = Text("\n".join(show(line) for line in content.text.split("\n")))
    return Panel(
        words,
        title=Text(f"{name}  {show(shown.delivery.account.handle)}{part}"),
        title_align="left",
        subtitle=Text(length),
        subtitle_align="right",
        width=width,
    )


def _shared(previews: Sequence[Preview]) -> Iterator[str]:
    media = {m.file: m for p in previews for m in p.delivery.content.media}
    for picture in media.values():
        alt = f"alt  {picture.alt}" if picture.alt else "decorative, no alt text"
        size = f"{picture.width}x{picture.height}  {max(1, picture.size // 1000)} kB"
        yield f"picture  {picture.file}  {size}   {alt}"
    figures = list(dict.fromkeys(f for p in previews for f in p.delivery.figures))
    row = next((p.row for p in previews if p.row), None)
    if figures and row:
        yield f'figures  {", ".join(figures)}   figures.csv row {row.row} ("{row.source}", as at {row.as_at})'
    needs = list(dict.fromkeys(n for p in previews for n in p.needs))
    yield "needs    " + (", ".join(" of ".join(n.split(":", 1)) for n in needs) or "nobody's yes")
