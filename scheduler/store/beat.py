"""The daemon's sign of life: a small file in the state folder, read by status, doctor and the observer."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from scheduler.domain.content import instant

EVERY = 5.0  # seconds between two signs of life


class Beat:
    """Written every few seconds by the daemon that publishes for `organisation` ("" = all)."""

    def __init__(self, folder: Path, organisation: str) -> None:
        self._path = folder / "daemon.json"
        self._organisation = organisation
        self._at = float("-inf")

    def write(self, *, stopped: bool = False) -> None:
        """Say that we live, or that we end now. On a full disk the sign grows stale, the daemon goes on."""
        if not stopped and time.monotonic() < self._at + EVERY:
            return
        self._at = time.monotonic()
        said = {
            "pid": os.getpid(),
            "at": instant(datetime.now(UTC)),
            "stopped": stopped,
            "org": self._organisation,
        }
        with suppress(OSError):
            # A crash between the two leaves the sign before this one.
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps(said), "utf-8")
            new.replace(self._path)


def read(folder: Path) -> dict[str, object]:
    """What the daemon last wrote of itself; empty where it never ran."""
    try:
        found = json.loads((folder / "daemon.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
