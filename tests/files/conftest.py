"""A small whole workspace for the tests of files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from scheduler.domain.campaign import Rendered
from scheduler.files.render import render
from scheduler.files.starter import CAMPAIGN, make_workspace
from scheduler.files.workspace import load

Write = Callable[[str, str], None]
Words = Callable[[], dict[str, Rendered]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_workspace(tmp_path, date(2027, 1, 4), "jo")
    return tmp_path


@pytest.fixture
def post(root: Path) -> Callable[[str], None]:
    """Replace the words of the one post."""
    path = root / CAMPAIGN / "01-hello.md"

    def write(body: str, front: str = "id: hello\nat: launch\naim: awareness") -> None:
        path.write_text(f"---\n{front}\n---\n{body}", encoding="utf-8")

    return write


@pytest.fixture
def rendered(root: Path) -> Words:
    """Load and render: deliveries by name."""

    def now() -> dict[str, Rendered]:
        workspace, _ = load(root)
        return {d.name: d for c in workspace.campaigns for d in render(workspace, c)}

    return now
