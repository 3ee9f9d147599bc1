"""accounts.yaml becomes the directory, as written and in file order."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.domain.account import Directory
from scheduler.errors import FilesWrong
from scheduler.files.workspace import find_root, load

YAML = """\
organisations:
  b-org: {name: B, area: 07, phone: 0808 1000 900, note: "", accounts: {x: {handle: no}}}
  a-org:
    name: on
    accounts:
      facebook: {handle: A, page: 0100000000000003}
      x-traffic: {platform: x, handle: "@traffic"}
groups:
  one: [a-org, b-org]
  two: [one]
  alles: everyone
people:
  jo.d: {name: Jo, org: a-org, roles: [approver, author], os_user: jo}
  al: {name: Al, org: b-org, roles: duty, os_user: [al, ally], email: "", keys: []}
"""


def directory(root: Path, text: str = YAML) -> Directory:
    (root / "accounts.yaml").write_text(text, encoding="utf-8")
    return load(root)[0].directory


def test_text_stays_the_text_that_was_written(tmp_path: Path) -> None:
    read = directory(tmp_path)
    assert read.organisations["b-org"].facts == {"area": "07", "phone": "0808 1000 900", "note": ""}
    assert read.organisations["a-org"].name == "on"
    assert [a.handle for a in read.accounts] == ["no", "A", "@traffic"]
    assert read.accounts[1].remote_id == "0100000000000003"


def test_an_account_is_named_for_its_platform_unless_it_says_otherwise(tmp_path: Path) -> None:
    read = directory(tmp_path)
    assert [(a.id, a.platform) for a in read.accounts] == [
        ("b-org/x", "x"),
        ("a-org/facebook", "facebook"),
        ("a-org/x-traffic", "x"),
    ]


def test_groups_hold_groups_and_keep_the_order_of_the_file(tmp_path: Path) -> None:
    read = directory(tmp_path)
    assert read.groups == {"one": ("b-org", "a-org"), "two": ("b-org", "a-org"), "alles": ("b-org", "a-org")}


def test_people_have_roles_and_users(tmp_path: Path) -> None:
    read = directory(tmp_path)
    assert read.people["jo.d"].roles == {"approver", "author"}
    assert read.people["al"].os_users == ("al", "ally")
    assert read.mode == "simulation"
    assert read.zone == "Europe/London"


def test_a_platform_of_another_package_is_known_when_the_caller_says_so(tmp_path: Path) -> None:
    text = YAML.replace("facebook:", "fediboard:")
    with pytest.raises(FilesWrong):
        directory(tmp_path, text)
    assert load(tmp_path, platforms=("fediboard",))[0].directory.accounts[1].platform == "fediboard"


def test_groups_that_double_each_other_are_worked_out_once(tmp_path: Path) -> None:
    layers = "\n".join(f"  g{n}: [g{n + 1}, h{n + 1}]\n  h{n}: [g{n + 1}, h{n + 1}]" for n in range(15))
    text = f"organisations:\n  a: {{name: A}}\ngroups:\n{layers}\n  g15: [a]\n  h15: [a]\n"
    assert directory(tmp_path, text).groups["g0"] == ("a",)


def test_a_chain_of_groups_without_end_is_refused_and_does_not_overflow(tmp_path: Path) -> None:
    chain = "\n".join(f"  g{n}: [g{n + 1}]" for n in range(3000))
    text = f"organisations:\n  a: {{name: A}}\ngroups:\n{chain}\n  g3000: [a]\n"
    with pytest.raises(FilesWrong) as wrong:
        directory(tmp_path, text)
    assert {p.code for p in wrong.value.problems} == {"E605"}


def test_the_workspace_is_found_from_a_folder_inside_it(tmp_path: Path) -> None:
    directory(tmp_path)
    (tmp_path / "posts/spring").mkdir(parents=True)
    assert find_root(tmp_path / "posts/spring") == tmp_path
