"""Rehearsals take a while and mostly wait: they run beside the other tests of this folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from launch.desk import Said, launchday, real, stop_platforms


def _in_git(root: Path) -> Path:
    me = ("-c", "user.name=Jo", "-c", "user.email=jo@example.org")
    for command in (("init", "-q"), ("add", "-A"), (*me, "commit", "-q", "-m", "the campaign")):
        subprocess.run(["git", *command], cwd=root, check=True, capture_output=True)
    return root


@dataclass(frozen=True)
class Rehearsals:
    """Of the campaign of this repository; the first two in one workspace, one after the other."""

    root: Path
    plain: Future[Said]
    crash: Future[Said]
    faults: Future[Said]


@pytest.fixture(scope="session", autouse=True)
def rehearsals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsals]:
    root = _in_git(real(tmp_path_factory.mktemp("rehearsals") / "workspace"))
    other = real(tmp_path_factory.mktemp("faults"))
    one, two = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
    yield Rehearsals(
        root,
        plain=one.submit(launchday, root, "rehearse"),
        crash=one.submit(launchday, root, "rehearse", "--crash", "--json"),
        faults=two.submit(launchday, other, "rehearse", "--faults", "--json"),
    )
    one.shutdown()
    two.shutdown()
    for folder in (root, other):
        stop_platforms(folder)
