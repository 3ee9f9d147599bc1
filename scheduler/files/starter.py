"""init: a small workspace to begin from, which passes check. Never overwrites anything."""

from __future__ import annotations

from datetime import date, timedelta
from io import BytesIO
from pathlib import Path

from scheduler.domain.wrong_time import FULL_MONTHS
from scheduler.errors import UsageError

CAMPAIGN = "posts/first-campaign"


def make_workspace(root: Path, today: date, os_user: str) -> tuple[str, ...]:
    """Write the files and name them. Raises UsageError where one of them exists, before any is written."""
    files = _files(today, os_user)
    there = [path for path in files if (root / path).exists()]
    if there or (root / "posts").is_symlink():
        raise UsageError(
            f"{there[0] if there else 'posts'} exists already in {root}; nothing was written",
            help="choose an empty folder: launchday init NEW-FOLDER",
        )
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        # "x": between looking and writing somebody else may have made it.
        with (root / path).open("xb") as stream:
            stream.write(content)
    return tuple(files)


def _files(today: date, os_user: str) -> dict[str, bytes]:
    user = "".join(c for c in os_user if c.isalnum() or c in "._-") or "me"
    texts = {
        "accounts.yaml": _ACCOUNTS.replace("OS_USER", user),
        f"{CAMPAIGN}/campaign.yaml": _CAMPAIGN.replace("LAUNCH", _launch(today)),
        f"{CAMPAIGN}/figures.csv": _FIGURES.replace("TODAY", today.isoformat()),
        f"{CAMPAIGN}/01-hello.md": _POST,
    }
    files = {path: text.encode() for path, text in texts.items()}
    files[f"{CAMPAIGN}/media/poster.png"] = _poster()
    return files


def _launch(today: date) -> str:
    """A Tuesday four weeks ahead, when there is time to read everything."""
    day = today + timedelta(days=28)
    day += timedelta(days=(1 - day.weekday()) % 7)
    return f"Tue {day.day} {FULL_MONTHS[day.month - 1]} {day.year} 10:00"


def _poster() -> bytes:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (1200, 675), "#12355b")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 575, 1200, 675), fill="#f4b41a")
    draw.text((80, 220), "Hello from all of us", fill="white", font_size=96)
    draw.text((80, 600), "Riverton Council and Hillside Trust", fill="#12355b", font_size=40)
    out = BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


_ACCOUNTS = """\
# Who speaks, where, and who may say yes. `launchday schema accounts` describes every field.
mode: simulation
zone: Europe/London
organisations:
  riverton:
    name: Riverton Council
    area: Riverton
    accounts:
      mastodon:
        handle: "@riverton@social.example"
        server: "https://social.example"
        token: "env:RIVERTON_TOOT"
      x: {handle: "@riverton.example", token: "env:RIVERTON_X"}
  hillside:
    name: Hillside Trust
    area: Hillside
    accounts:
      mastodon:
        handle: "@hillside@social.example"
        server: "https://social.example"
        token: "env:HILLSIDE_TOOT"
      x: {handle: "@hillside.example", token: "env:HILLSIDE_X"}
groups:
  both: [riverton, hillside]
people:
  me: {name: Me, org: riverton, roles: [author], os_user: OS_USER}
  r.okafor: {name: Rae Okafor, org: riverton, roles: [approver], os_user: rokafor}
  h.lindqvist: {name: Hal Lindqvist, org: hillside, roles: [approver], os_user: hlindqvist}
"""

_CAMPAIGN = """\
name: Our first campaign
launch: LAUNCH
window: 10m
to: both
platforms: [x, mastodon]
link: "https://www.example.org/"
hashtags: ["#HelloRiverton"]
aims:
  awareness: People know that we are here.
approval: {each_org: 1, not_author: true, close: 30m before launch, valid_for: 14d}
"""

_FIGURES = """\
organisation,visitors,source,as_at
riverton,"1,250",Counted at the door of the town hall,TODAY
"""

_POST = """\
---
id: hello
at: launch
aim: awareness
media:
  - {file: "media/poster.png", alt: "Poster: Hello from all of us. Riverton Council and Hillside Trust."}
---
{{ org.visitors }} people came to see us in {{ org.area }} last year. Come and say hello.

{{ link }} {{ hashtags }}

::: without figures
Come and say hello to {{ org.name }}.

{{ link }} {{ hashtags }}
"""
