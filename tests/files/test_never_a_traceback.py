"""Whatever bytes stand in a file, the answer is values or problems with a place."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.errors import FilesWrong
from scheduler.files.problems import lines
from scheduler.files.render import render
from scheduler.files.starter import CAMPAIGN, make_workspace
from scheduler.files.workspace import load

FILES = ["accounts.yaml", f"{CAMPAIGN}/campaign.yaml", f"{CAMPAIGN}/figures.csv", f"{CAMPAIGN}/01-hello.md"]


@pytest.fixture(scope="module")
def shared() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        make_workspace(Path(folder), date(2027, 1, 4), "jo")
        yield Path(folder)


def everything(root: Path) -> None:
    try:
        workspace, found = load(root)
        for campaign in workspace.campaigns:
            render(workspace, campaign)
    except FilesWrong as wrong:
        found = wrong.problems
        assert any(p.severity == "error" for p in found)
    for problem in found:
        assert problem.at.line >= 1
        assert problem.at.col >= 1
        assert problem.help
        assert not any(ord(c) < 32 for line in lines(problem) for c in line)


# Bytes that mean something to one of the readers are likelier to get far than noise is.
_MARKS = [
    "---",
    ":::",
    "{{",
    "}}",
    "{%",
    ":",
    "-",
    '"',
    "'",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a",
    "*a",
    "!t",
    "|",
    ">",
    "#",
    "@",
    "?",
    "launch",
    "x",
    "for",
]
_PIECES = st.sampled_from(
    [*(m.encode() for m in _MARKS), b"\n", b"  ", b"\xff", b"\xef\xbb\xbf", b"\r", b"\t", b"\0"]
)
_NOISE = st.one_of(st.binary(max_size=200), st.lists(_PIECES, max_size=40).map(b"".join))


@pytest.mark.parametrize("file", FILES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=_NOISE)
def test_a_file_of_noise_is_answered_with_problems(file: str, noise: bytes, shared: Path) -> None:
    path = shared / file
    whole = path.read_bytes()
    try:
        path.write_bytes(noise)
        everything(shared)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("file", FILES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=_NOISE, where=st.floats(0, 1), cut=st.integers(0, 60))
def test_a_file_with_noise_in_it_is_answered_with_problems(
    file: str, noise: bytes, where: float, cut: int, shared: Path
) -> None:
    path = shared / file
    whole = path.read_bytes()
    at = int(len(whole) * where)
    try:
        path.write_bytes(whole[:at] + noise + whole[at + cut :])
        everything(shared)
    finally:
        path.write_bytes(whole)
