"""A policy that asks nobody is refused: nothing unapproved ever goes out."""

import shutil
from pathlib import Path

import pytest

from scheduler.errors import FilesWrong
from scheduler.files.workspace import load

ROOT = Path(__file__).parents[2]


def test_a_policy_without_any_approver_is_refused(tmp_path: Path) -> None:
    shutil.copy(ROOT / "accounts.yaml", tmp_path)
    shutil.copytree(ROOT / "posts", tmp_path / "posts")
    campaign = next(tmp_path.glob("posts/*/campaign.yaml"))
    campaign.write_text(campaign.read_text("utf-8").replace("each_org: 1", "each_org: 0"), "utf-8")
    with pytest.raises(FilesWrong) as refused:
        load(tmp_path)
    (problem,) = refused.value.problems
    assert problem.code == "E116"
    assert "each_org: 0" in problem.text
    assert problem.at.path.endswith("campaign.yaml")
