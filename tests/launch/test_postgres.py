"""The whole launch on PostgreSQL, as users start it: one address in the environment is all it takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launch.desk import environment, small
from tests import postgres as pg


def _launchday(root: Path, url: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "scheduler", "-C", str(root), *arguments],
        env={**environment(), "LAUNCHDAY_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("trouble", [(), ("--crash",)])
def test_a_rehearsal_on_postgresql_publishes_everything_once(
    tmp_path: Path, postgres: pg.Postgres, trouble: tuple[str, ...]
) -> None:
    name = f"rehearsed_{os.getpid()}_{len(trouble)}"
    postgres.run(f"create database {name}")
    url = postgres.url(name).replace("+psycopg", "")
    said = _launchday(small(tmp_path), url, "rehearse", "--json", *trouble)
    assert said["deliveries"] == said["published"] > 0
    assert (said["duplicates"], said["lost"], said["unconfirmed"]) == (0, 0, 0)
    assert bool(said["in_doubt_after_crash"]) == bool(trouble)
