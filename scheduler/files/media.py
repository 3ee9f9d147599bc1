"""Pictures: inside the workspace, no links, decodable, of bearable size; their hash is what is approved."""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from io import BytesIO
from pathlib import Path, PurePosixPath

from scheduler.domain.campaign import Campaign, Workspace
from scheduler.domain.content import Media
from scheduler.errors import FilesWrong, Problem, Source
from scheduler.files.source import Unreadable, read_regular

LARGEST = 20_000_000  # bytes
MOST_PIXELS = 40_000_000
MIME = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
_GPS = 0x8825
_ORIENTATION = 0x0112


def picture(root: Path, folder: str, file: str, alt: str) -> Media:
    """The picture below the campaign's folder as it is now. Raises Unreadable."""
    raw = _bytes(root, folder, file)
    kind, width, height = _decode(raw, file)
    return Media(file, hashlib.sha256(raw).hexdigest(), alt, MIME[kind], len(raw), width, height)


def read_media(workspace: Workspace, campaign: Campaign, media: Media) -> bytes:
    """The picture's bytes; FilesWrong where they are no longer those of the hash."""
    try:
        raw = _bytes(Path(workspace.root), campaign.path, media.file)
        if hashlib.sha256(raw).hexdigest() != media.sha256:
            raise Unreadable("E509", "is not the picture it was", "put it back, or run: launchday plan")
    except Unreadable as why:
        at = Source(f"{campaign.path}/{media.file}")
        raise FilesWrong((Problem(why.code, f"{media.file} {why.message}", at, why.help),)) from None
    return raw


def _bytes(root: Path, folder: str, file: str) -> bytes:
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or "\\" in file or not path.parts:
        raise Unreadable(
            "E502", "is outside the campaign's folder", "copy the picture into media/ and name it from there"
        )
    _no_links(root, PurePosixPath(folder) / path)
    try:
        return read_regular(root / folder / file, LARGEST, follow=False)
    except Unreadable as why:
        raise _as_media(why, root / folder / file) from None


def _no_links(root: Path, path: PurePosixPath) -> None:
    """Every step from the workspace down must be what it seems: a link may point anywhere, later."""
    at = root
    for part in path.parts:
        at = at / part
        try:
            linked = stat.S_ISLNK(os.lstat(at).st_mode)
        except (OSError, ValueError):
            return  # reading it will say what is wrong
        if linked:
            raise Unreadable(
                "E503",
                f"is reached through a symbolic link ({part})",
                "put the picture itself into the workspace",
            )


def _as_media(why: Unreadable, path: Path) -> Unreadable:
    if why.code == "E112":
        return Unreadable("E505", why.message, "export it smaller; 1200x675 is plenty")
    if why.code != "E100":
        return Unreadable("E504", why.message, why.help)
    near = sorted(p.name for p in path.parent.glob("*")) if path.parent.is_dir() else []
    import difflib

    close = difflib.get_close_matches(path.name, near, n=1)
    help = (
        f"did you mean '{close[0]}'?"
        if close
        else f"put it there, or correct the name; there is: {', '.join(near[:8]) or 'nothing'}"
    )
    return Unreadable("E501", "does not exist", help)


def _decode(raw: bytes, file: str) -> tuple[str, int, int]:
    """Format, width and height; the size is known from the header, before anything is unpacked."""
    from PIL import Image, UnidentifiedImageError

    remedy = "export it again as PNG or JPEG"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(BytesIO(raw), formats=tuple(MIME)) as image:
                kind, (width, height) = image.format or "", image.size
                if width * height > MOST_PIXELS:
                    raise Unreadable(
                        "E506", f"has {width}x{height} pixels", "export it smaller; 1200x675 is plenty"
                    )
                exif = image.getexif()
                if exif.get_ifd(_GPS):
                    raise Unreadable("E508", "says where it was taken (GPS)", "export it without location")
                if exif.get(_ORIENTATION, 1) != 1:
                    raise Unreadable(
                        "E508",
                        "is turned by a note inside it that platforms drop",
                        "turn it and export it again",
                    )
                image.load()
    except Unreadable:
        raise
    except Image.DecompressionBombError:
        raise Unreadable("E506", "has far too many pixels", "export it smaller; 1200x675 is plenty") from None
    except UnidentifiedImageError:
        raise Unreadable("E504", "is not a PNG, JPEG, GIF or WebP picture", remedy) from None
    # Pillow raises nearly anything on broken input; whatever it is, the picture cannot be used.
    except Exception as error:
        raise Unreadable("E504", f"cannot be decoded ({type(error).__name__})", remedy) from None
    return kind, width, height
