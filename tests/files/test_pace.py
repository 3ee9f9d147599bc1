"""`pace:` of accounts.yaml: what is wrong is said at its place."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from scheduler.domain.pace import Stated
from scheduler.files.accounts import read_accounts
from scheduler.files.source import Findings, read_source

ORGANISATIONS = """\
organisations:
  dorset:
    name: Dorset Police
    accounts:
      x: {handle: "@dorset.example"}
      mastodon: {handle: "@dorset@social.example", server: "https://social.example"}
pace:
"""


def read(root: Path, *lines: str) -> tuple[tuple[Stated, ...], list[str]]:
    (root / "accounts.yaml").write_text(ORGANISATIONS + "".join(f"  - {line}\n" for line in lines), "utf-8")
    found = Findings()
    file = read_source(root, "accounts.yaml", found, secret=True)
    assert file
    directory = read_accounts(file, found)
    return directory.pace if directory else (), [f"{p.at} {p.code} {p.message}" for p in found.sorted()]


def test_a_pace_is_for_an_account_a_server_or_a_platform(tmp_path: Path) -> None:
    stated, problems = read(
        tmp_path,
        "{account: dorset/x, posts: 10, in: 5m}",
        '{server: "https://social.example/", posts: 50, in: 1h}',
        "{platform: x, posts: 3, in: 24h}",
    )
    assert problems == []
    assert stated == (
        Stated("account", "dorset/x", 10, timedelta(minutes=5)),
        Stated("server", "https://social.example", 50, timedelta(hours=1)),
        Stated("platform", "x", 3, timedelta(hours=24)),
    )


@pytest.mark.parametrize(
    ("line", "where", "said"),
    [
        ("{account: dorset/twitter, posts: 1, in: 5m}", "8:15", "no account 'dorset/twitter' is here"),
        ("{account: dorset/x, platform: x, posts: 1, in: 5m}", "8:5", "for which one account"),
        ("{posts: 1, in: 5m}", "8:5", "for which one account"),
        ("{platform: x, posts: 0, in: 5m}", "8:19", "no post could ever go out"),
        ("{platform: x, posts: 5, in: 30d}", "8:33", "up to 7 days"),
        ("{platform: x, posts: 5, in: 0m}", "8:33", "up to 7 days"),
        ("{platform: x, posts: 5, in: soon}", "8:33", "soon"),
        ("{platform: x, posts: many, in: 5m}", "8:26", "a whole number"),
        ("{platform: x, in: 5m}", "8:6", "posts"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(tmp_path: Path, line: str, where: str, said: str) -> None:
    stated, problems = read(tmp_path, line)
    assert stated == ()
    assert len(problems) == 1
    assert problems[0].startswith(f"accounts.yaml:{where} ")
    assert said in problems[0]
