"""Workspaces that several modules look at; none of them changes these."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from launch.desk import approve, queued, real, small, stop_platforms

from cli.story import Story, tell


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A small workspace, nothing queued."""
    return small(tmp_path)


@pytest.fixture(scope="session")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small workspace: all queued, Dorset has approved its launch post."""
    root = queued(tmp_path_factory.mktemp("waiting"))
    approve(root, "dorset")
    return root


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The walkthrough on the campaign of this repository, from check to the log of the launch."""
    told = tell(real(tmp_path_factory.mktemp("campaign")))
    yield told
    stop_platforms(told.root)
