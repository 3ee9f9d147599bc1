"""Draw the posters of this campaign: one per organisation in accounts.yaml, and campaign.png.

Run it from anywhere: `python posts/stop-it-now-south-west/media/draw.py`.
The same Pillow draws the same bytes.

No figure stands on a poster, on purpose: a number in a picture would stay behind when figures.csv changes.
The words here are repeated in the alt texts of the posts: change both together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageColor, ImageDraw, ImageFont
from ruamel.yaml import YAML

HERE = Path(__file__).resolve().parent
SIZE = (1200, 675)
SCALE = 3  # drawn larger and reduced, so that every edge is smooth

NAVY = "#12303b"
SAND = "#f6f0e4"  # on NAVY 12:1; WCAG AA asks for 4.5:1, AAA for 7:1

MARGIN = 72
HORIZON = 548  # the top of the band with the name
RADIUS = 232  # of the outermost ring

PAPER, INK = 0, 255  # amounts of ink while drawing
SHADES = 64

CAMPAIGN = "A joint campaign of police in the south-west and The Lucy Faithfull Foundation"


@dataclass(frozen=True, slots=True)
class Words:
    """What one poster says."""

    headline: tuple[str, ...]
    body: tuple[str, ...]
    label: str
    name: str = ""


class Sheet:
    """A canvas in poster pixels, with a paper and an ink. Drawn as amounts of ink, coloured at the end."""

    def __init__(self, paper: str, ink: str) -> None:
        self.paper, self.ink = ImageColor.getrgb(paper), ImageColor.getrgb(ink)
        self.image = Image.new("L", (SIZE[0] * SCALE, SIZE[1] * SCALE), PAPER)
        self.draw = ImageDraw.Draw(self.image)

    def text(self, y: float, words: str, size: float, *, weight: float = 0, colour: int = INK) -> None:
        """One line with its baseline at y. The font has one weight; `weight` thickens its strokes."""
        font = ImageFont.load_default(size=size * SCALE)
        if self.draw.textlength(words, font=font) > (SIZE[0] - 2 * MARGIN) * SCALE:
            raise ValueError(f"too wide for the poster: {words}")
        left = (MARGIN + weight - font.getbbox(words, anchor="ls")[0] / SCALE) * SCALE
        self.draw.text((left, y * SCALE), words, colour, font=font, anchor="ls", stroke_width=weight * SCALE)

    def disc(self, x: float, y: float, radius: float, colour: int) -> None:
        """A filled circle."""
        self.draw.circle((x * SCALE, y * SCALE), radius * SCALE, fill=colour)

    def band(self, top: float) -> None:
        """The lower part of the sheet in ink."""
        self.draw.rectangle([0, top * SCALE, SIZE[0] * SCALE, SIZE[1] * SCALE], fill=INK)

    def save(self, path: Path) -> None:
        """Reduce, keep SHADES mixtures of the two colours, and write without metadata."""
        small = self.image.resize(SIZE, Image.Resampling.BOX)
        indexed = small.point([round(ink * (SHADES - 1) / INK) for ink in range(256)])
        poster = Image.frombytes("P", SIZE, indexed.tobytes())
        poster.putpalette(
            [
                round(paper + (ink - paper) * shade / (SHADES - 1))
                for shade in range(SHADES)
                for paper, ink in zip(self.paper, self.ink, strict=True)
            ]
        )
        poster.save(path, optimize=True)


def draw(words: Words, path: Path, *, paper: str, ink: str) -> None:
    """Headline and way to help on the left; a sun that comes up over the name."""
    sheet = Sheet(paper, ink)
    for radius in range(RADIUS, 80, -38):
        sheet.disc(SIZE[0] - MARGIN - RADIUS, HORIZON, radius, INK)
        sheet.disc(SIZE[0] - MARGIN - RADIUS, HORIZON, radius - 9, PAPER)
    sheet.disc(SIZE[0] - MARGIN - RADIUS, HORIZON, 80, INK)
    sheet.band(HORIZON)

    for y, line in zip((124, 208), words.headline, strict=True):
        sheet.text(y, line, 76, weight=1.4)
    for y, line in zip((276, 317), words.body, strict=False):
        sheet.text(y, line, 31)
    sheet.text(385, words.label, 28)
    sheet.text(455, "0808 1000 900", 72, weight=1.4)
    sheet.text(509, "stopitnow.org.uk", 38, weight=0.6)

    if words.name:
        sheet.text(HORIZON + 58, words.name, 36, weight=0.7, colour=PAPER)
        sheet.text(HORIZON + 100, CAMPAIGN, 26, colour=PAPER)
    else:
        sheet.text(HORIZON + 74, CAMPAIGN, 27, colour=PAPER)
    sheet.save(path)


def main() -> None:
    """Draw them all beside this file."""
    accounts = YAML(typ="safe").load(HERE.parents[2] / "accounts.yaml")
    for slug, organisation in accounts["organisations"].items():
        words = Words(
            headline=("You can stop.", "There is help."),
            body=(
                "If you look at sexual images of children online,",
                "you can talk to someone in confidence.",
            ),
            label="Stop It Now helpline",
            name=organisation["name"],
        )
        draw(words, HERE / f"{slug}.png", paper=NAVY, ink=SAND)
    general = Words(
        headline=("Viewing sexual images", "of children is a crime."),
        body=("You can get help to stop.",),
        label="Confidential Stop It Now helpline",
    )
    draw(general, HERE / "campaign.png", paper=SAND, ink=NAVY)


if __name__ == "__main__":
    main()
