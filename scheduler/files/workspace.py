"""The whole workspace: `load` reads every file and reports every fault at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from scheduler.domain.campaign import Campaign, Post, Workspace
from scheduler.errors import Problem, Source, UsageError
from scheduler.files import tables
from scheduler.files.accounts import read_accounts
from scheduler.files.campaign import Defaults, Names, read_campaign
from scheduler.files.figures import read_figures
from scheduler.files.post import read_post
from scheduler.files.source import Findings, read_source

ACCOUNTS = "accounts.yaml"
POSTS = "posts"


def find_root(start: Path) -> Path:
    """The nearest folder from `start` upwards that has accounts.yaml. Raises UsageError."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / ACCOUNTS).exists():
            return folder
    raise UsageError(
        f"no workspace here: neither {start} nor a folder above it has {ACCOUNTS}",
        help="go to the workspace, or make one: launchday init",
    )


def load(root: Path, *, platforms: Collection[str] = ()) -> tuple[Workspace, tuple[Problem, ...]]:
    """Everything the files say, with the warnings. Raises FilesWrong with all problems if any is an error.

    `platforms` are known besides the usual ones: those of the publishers that are installed.
    """
    found = Findings()
    file = read_source(root, ACCOUNTS, found, secret=True)
    directory = read_accounts(file, found, platforms) if file else None
    if directory is None:
        found.raise_errors()
        raise AssertionError("no directory and no reason")
    names = Names(directory, tuple(dict.fromkeys((*tables.PLATFORMS, *platforms))))
    campaigns = tuple(c for folder in _folders(root, found) if (c := _campaign(root, folder, names, found)))
    found.raise_errors()
    return Workspace(str(root), directory, campaigns), found.sorted()


def _folders(root: Path, found: Findings) -> Iterator[str]:
    """The campaigns' folders by name. A file where a folder should be is left alone."""
    posts = root / POSTS
    if not posts.is_dir():
        return
    for folder in sorted(posts.iterdir()):
        if folder.name.startswith((".", "_")) or not folder.is_dir():
            continue
        if re.fullmatch(tables.SLUG, folder.name, re.ASCII):
            yield f"{POSTS}/{folder.name}"
        else:
            at = Source(f"{POSTS}/{folder.name}")
            help = "use small letters, digits and '-': stop-it-now-south-west"
            found.add(Problem("E311", f"'{folder.name}' cannot name a campaign", at, help))


def _campaign(root: Path, folder: str, names: Names, found: Findings) -> Campaign | None:
    file = read_source(root, f"{folder}/campaign.yaml", found)
    read = read_campaign(file, folder.rpartition("/")[2], names, found) if file else None
    if read is None:
        return None
    campaign, defaults = read
    if (root / folder / "figures.csv").exists():
        figures = read_source(root, f"{folder}/figures.csv", found)
        if figures:
            rows = read_figures(figures, names.directory.organisations, found)
            campaign = replace(campaign, figures=rows)
    posts = tuple(_posts(root, folder, campaign, defaults=defaults, names=names, found=found))
    _different_ids(posts, found, root)
    if not posts and not found.errors and file:
        help = "write posts/…/01-launch.md; launchday explain W304 shows one"
        found.add(file.problem("W304", "the campaign has no posts", help, severity="warning"))
    return replace(campaign, posts=posts)


def _posts(
    root: Path, folder: str, campaign: Campaign, *, defaults: Defaults, names: Names, found: Findings
) -> Iterator[Post]:
    for path in sorted((root / folder).glob("*.md")):
        if path.name.lower() == "readme.md" or path.name.startswith("."):
            continue
        file = read_source(root, f"{folder}/{path.name}", found)
        post = read_post(file, campaign, defaults, names, found) if file else None
        if post is not None:
            yield post


def _different_ids(posts: Collection[Post], found: Findings, root: Path) -> None:
    seen: dict[str, Post] = {}
    for post in posts:
        first = seen.setdefault(post.id, post)
        file = read_source(root, post.path, found) if first is not post or not post.id else None
        if file and first is not post:
            message = f"the post '{post.id}' exists already, in {first.path}"
            found.add(file.problem("E306", message, "give it another id", line=post.at.line, col=post.at.col))
