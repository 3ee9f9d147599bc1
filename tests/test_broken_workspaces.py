"""Whatever is wrong with the files, the answer names the place, shows the line and says what to do."""

# ruff: noqa: E501 (one fault a line: a table that can be compared at a glance)

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from scheduler.cli.main import main

ACCOUNTS = "accounts.yaml"
C = "posts/spring/campaign.yaml"
F = "posts/spring/figures.csv"
P = "posts/spring/01-launch.md"

FILES = {
    ACCOUNTS: """\
mode: simulation
zone: Europe/London
organisations:
  dorset:
    name: Dorset Police
    area: Dorset
    accounts:
      x: {handle: "@dorset.example", token: "env:DORSET_X"}
      facebook: {handle: "Dorset.example", page: "100000000000003", token: "env:DORSET_F"}
      bluesky: {handle: "dorset.example", token: "env:DORSET_B"}
      mastodon: {handle: "@dorset@social.example", server: "https://social.example", token: "env:DORSET_M"}
  charity:
    name: The Charity
    area: the south-west
    accounts:
      x: {handle: "@charity.example", token: "env:CHARITY_X"}
groups:
  forces: [dorset]
  all: [forces, charity]
people:
  j.doyle: {name: Jo Doyle, org: dorset, roles: [author, approver], os_user: jdoyle}
  p.shah: {name: Pat Shah, org: charity, roles: [approver]}
""",
    C: """\
name: Spring
launch: Tue 9 March 2027 07:00
window: 10m
to: everyone
platforms: [x, facebook, bluesky, mastodon]
link: "https://www.example.org/"
hashtags: ["#Spring"]
aims:
  help: People know where help is.
approval: {each_org: 1, close: 30m before launch}
""",
    F: """\
organisation,visited,called,source,as_at
dorset,285,38,Service figures,2027-01-31
""",
    P: """\
---
id: launch
at: launch
aim: help
media:
  - {file: "media/poster.png", alt: "Poster: help is there"}
---
{{ org.visited }} people in {{ org.area }} came. {{ link }}

::: without figures
People in {{ org.area }} came. {{ link }}
""",
}


@dataclass(frozen=True)
class Broken:
    """One fault: what is replaced by what in which file, and where and how it must be reported."""

    story: str
    file: str
    old: str
    new: str
    code: str
    place: str
    line: str
    remedy: str


def _long(words: int) -> str:
    return "word " * words


BROKEN = [
    # YAML and fields
    Broken("a typing mistake in a field", P, "aim: help", "aim: help\nplatfroms: [x]", "E104", f"{P}:5:1", "platfroms: [x]", "did you mean 'platforms'?"),
    Broken("an unknown field of the accounts", ACCOUNTS, "zone:", "zome: x\nzone:", "E104", f"{ACCOUNTS}:2:1", "zome: x", "did you mean 'zone'?"),
    Broken("accounts misspelt", ACCOUNTS, "    accounts:\n      x: {handle: \"@charity", "    acounts:\n      x: {handle: \"@charity", "E104", f"{ACCOUNTS}:15:5", "    acounts:", "did you mean 'accounts'?"),
    Broken("a list where one text belongs", C, "name: Spring", "name: [Spring]", "E109", f"{C}:1:7", "name: [Spring]", "write text"),
    Broken("yes is no flag", C, "window: 10m", "sensitive: yes", "E109", f"{C}:3:12", "sensitive: yes", "write true or false"),
    Broken("a number in words", C, "each_org: 1", "each_org: one", "E109", f"{C}:10:22", "approval: {each_org: one, close: 30m before launch}", "write a number"),
    Broken("a text where fields belong", C, "aims:\n  help: People know where help is.", "aims: help", "E109", f"{C}:8:7", "aims: help", "fields"),
    Broken("a duplicate key", C, "window: 10m", "window: 10m\nwindow: 20m", "E105", f"{C}:4:1", "window: 20m", "delete one"),
    Broken("a platform named twice", C, "[x, facebook,", "[x, x, facebook,", "E105", f"{C}:5:16", "platforms: [x, x, facebook, bluesky, mastodon]", "delete one"),
    Broken("an unquoted @", ACCOUNTS, '"@dorset.example"', "@dorset.example", "E106", f"{ACCOUNTS}:8:19", "      x: {handle: @dorset.example, token: \"env:DORSET_X\"}", 'put it in quotes: "@dorset.example"'),
    Broken("a tab", ACCOUNTS, "    area: Dorset", "\tarea: Dorset", "E107", f"{ACCOUNTS}:6:1", "    area: Dorset", "spaces"),
    Broken("a required field left out", C, "launch: Tue 9 March 2027 07:00\n", "", "E108", f"{C}:1:1", "name: Spring", "add 'launch:"),
    Broken("an alias", C, "to: everyone", "to: *all", "E110", f"{C}:4:5", "to: *all", "write the value out"),
    Broken("an anchor", C, "to: everyone", "to: &all everyone", "E110", f"{C}:4:5", "to: &all everyone", "write the value out"),
    Broken("a merge key", C, "to: everyone", "to: everyone\n<<: {window: 1h}", "E110", f"{C}:5:1", "<<: {window: 1h}", "write the fields out"),
    Broken("a tag", C, "name: Spring", "name: !!python/name:os.system Spring", "E111", f"{C}:1:7", "name: !!python/name:os.system Spring", "leave the tag away"),
    Broken("brackets without end", C, "to: everyone", "to: " + "[" * 30, "E113", f"{C}:4:24", "to: " + "[" * 30, "never closed"),
    Broken("a quote without end", C, "name: Spring", 'name: "Spring', "E101", f"{C}:1:7", 'name: "Spring', "close the quote"),
    Broken("a second colon", C, "name: Spring", "name: Spring: the campaign", "E101", f"{C}:1:13", "name: Spring: the campaign", "quotes"),
    Broken("an unquoted hashtag in a list", C, '["#Spring"]', "[#Spring]", "E101", f"{C}:7:11", "hashtags: [#Spring]", "'#'"),
    Broken("an unquoted hashtag", C, '["#Spring"]', "#Spring", "E118", f"{C}:7:1", "hashtags: #Spring", "quotes"),
    Broken("two documents", C, "to: everyone", "---\nto: everyone", "E117", f"{C}:4:1", "---", "one document"),
    Broken("an unknown mode", ACCOUNTS, "mode: simulation", "mode: simulaton", "E116", f"{ACCOUNTS}:1:7", "mode: simulaton", "did you mean 'simulation'?"),
    Broken("a zero-width space in the words", P, "people in", "peo\u200bple in", "E114", f"{P}:8:22", "<U+200B>", "delete it"),
    Broken("a bidi override by escape", P, '"Poster: help', '"\\u202ePoster: help', "E114", f"{P}:6:37", "\\u202e", "delete the escape"),
    # times
    Broken("an ambiguous date", C, "Tue 9 March 2027 07:00", "03/04/2027 07:00", "E202", f"{C}:2:9", "launch: 03/04/2027 07:00", "3 April"),
    Broken("the wrong weekday", C, "Tue 9", "Mon 9", "E206", f"{C}:2:9", "launch: Mon 9 March 2027 07:00", "which of them"),
    Broken("a day that does not exist", P, "at: launch", "at: 31 February 2027 07:00", "E205", f"{P}:3:5", "at: 31 February 2027 07:00", "calendar"),
    Broken("an hour that is left out", P, "at: launch", "at: Sun 28 March 2027 01:30", "E207", f"{P}:3:23", "at: Sun 28 March 2027 01:30", "00:30 GMT or Sun 28 Mar 2027 02:30 BST"),
    Broken("an hour that happens twice", P, "at: launch", "at: Sun 31 October 2027 01:30", "E208", f"{P}:3:25", "at: Sun 31 October 2027 01:30", "01:30 BST or Sun 31 October 2027 01:30 GMT"),
    Broken("24:00", P, "at: launch", "at: Wed 10 March 2027 24:00", "E203", f"{P}:3:23", "at: Wed 10 March 2027 24:00", "00:00 of the next day"),
    Broken("an hour without minutes", P, "at: launch", "at: Wed 10 March 2027 7", "E203", f"{P}:3:23", "at: Wed 10 March 2027 7", "07:00"),
    Broken("no year", P, "at: launch", "at: Wed 10 March 07:00", "E204", f"{P}:3:5", "at: Wed 10 March 07:00", "write the year"),
    Broken("no time at all", P, "at: launch", "at: tomorrow", "E201", f"{P}:3:5", "at: tomorrow", "launch + 5h"),
    Broken("a length in words", C, "window: 10m", "window: ten minutes", "E209", f"{C}:3:9", "window: ten minutes", "10m"),
    Broken("a closing time with a slip in it", C, "30m before", "30q before", "E209", f"{C}:10:32", "approval: {each_org: 1, close: 30q before launch}", "10m"),
    Broken("a handle of nothing", ACCOUNTS, '"@charity.example"', '""', "E118", f"{ACCOUNTS}:16:19", '      x: {handle: "", token: "env:CHARITY_X"}', "write text"),
    Broken("an escape beyond all characters", C, "name: Spring", 'name: "\\UFFFFFFFF"', "E101", f"{C}:1:1", "name:", "explain E101"),
    Broken("before the embargo", P, "at: launch", "at: launch - 1h", "E210", f"{P}:3:5", "at: launch - 1h", "later time"),
    Broken("summer time in winter", C, "07:00", "07:00 BST", "E211", f"{C}:2:32", "launch: Tue 9 March 2027 07:00 BST", "write GMT"),
    Broken("an embargo after the launch", C, "window:", "embargo: Tue 9 March 2027 08:00\nwindow:", "E212", f"{C}:3:10", "embargo: Tue 9 March 2027 08:00", "correct one"),
    # posts and variants
    Broken("no front matter", P, "---\nid: launch", "id: launch", "E301", f"{P}:1:1", "id: launch", "---"),
    Broken("front matter without end", P, "}\n---\n", "}\n", "E302", f"{P}:1:1", "---", "below the fields"),
    Broken("an organisation for a platform", P, "::: without figures", "::: charity", "E303", f"{P}:10:5", "::: charity", "::: for charity"),
    Broken("two variants that tie", P, "::: without", "::: x\nA.\n::: bluesky x\nB.\n::: without", "E304", f"{P}:12:1", "::: bluesky x", "more specific"),
    Broken("no words for some account", P, "{{ org.visited }} people in {{ org.area }} came. {{ link }}\n\n", "", "E305", f"{P}:2:1", "id: launch", "base text"),
    Broken("a variant without words", P, "::: without", "::: x\n::: without", "E307", f"{P}:10:1", "::: x", "write the words"),
    Broken("an unknown organisation", P, "aim: help", "aim: help\nto: [dorest]", "E308", f"{P}:5:6", "to: [dorest]", "did you mean 'dorset'?"),
    Broken("an unknown platform", C, "[x, facebook,", "[x, facebok,", "E309", f"{C}:5:16", "platforms: [x, facebok, bluesky, mastodon]", "did you mean 'facebook'?"),
    Broken("an unknown aim", P, "aim: help", "aim: hepl", "E310", f"{P}:4:6", "aim: hepl", "did you mean 'help'?"),
    Broken("a post for nobody", P, "aim: help", "aim: help\nplatforms: [linkedin]", "E312", f"{P}:2:1", "id: launch", "accounts"),
    Broken("a link that is none", C, '"https://www.example.org/"', "www.example.org", "E313", f"{C}:6:7", "link: www.example.org", "https://"),
    # templates and figures
    Broken("a template that never closes", P, "{{ link }}\n\n", "{{ link\n\n", "E401", f"{P}:8:50", "{{ org.visited }} people in {{ org.area }} came. {{ link", "}}"),
    Broken("a block in a template", P, "People in", "{% if x %}People{% endif %} in", "E402", f"{P}:11:1", "{% if x %}People{% endif %} in {{ org.area }} came. {{ link }}", "{{ org.NAME }}"),
    Broken("a call in a template", P, "People in {{ org.area }}", "People in {{ org.area.format(1) }}", "E402", f"{P}:11:11", "People in {{ org.area.format(1) }} came. {{ link }}", "{{ org.NAME }}"),
    Broken("a way out of the sandbox", P, "People in {{ org.area }}", "People in {{ org.__class__ }}", "E403", f"{P}:11:11", "People in {{ org.__class__ }} came. {{ link }}", "known here"),
    Broken("a fact misspelt", P, "People in {{ org.area }}", "People in {{ org.aera }}", "E403", f"{P}:11:11", "People in {{ org.aera }} came. {{ link }}", "did you mean 'org.area'?"),
    Broken("a figure that nobody has counted", P, "People in {{ org.area }}", "{{ org.called }} in {{ org.area }}", "E404", f"{P}:11:1", "{{ org.called }} in {{ org.area }} came. {{ link }}", "add a row for charity"),
    Broken("a header without source", F, ",source,as_at", ",src,as_at", "E410", f"{F}:1:33", "organisation,visited,called,src,as_at", "every figure needs it"),
    Broken("a short row", F, "dorset,285,38,", "dorset,285,", "E411", f"{F}:2:28", "dorset,285,Service figures,2027-01-31", "fill in"),
    Broken("figures of nobody", F, "dorset,", "dorest,", "E412", f"{F}:2:1", "dorest,285,38,Service figures,2027-01-31", "did you mean 'dorset'?"),
    Broken("two rows for one", F, "dorset,285", "dorset,284,38,Old,2026-01-31\ndorset,285", "E413", f"{F}:3:1", "dorset,285,38,Service figures,2027-01-31", "which is right"),
    Broken("a figure that is no number", F, "285", "about 300", "E414", f"{F}:2:8", "dorset,about 300,38,Service figures,2027-01-31", "write digits"),
    Broken("a figure without source", F, "Service figures", "", "E415", f"{F}:2:15", "dorset,285,38,,2027-01-31", "who counted"),
    Broken("a figure without a date", F, "2027-01-31", "recently", "E416", f"{F}:2:31", "dorset,285,38,Service figures,recently", "2027-01-31"),
    Broken("a figure named like a fact", F, "visited", "area", "E417", f"{F}:2:8", "dorset,285,38,Service figures,2027-01-31", "rename"),
    # pictures
    Broken("a picture that is not there", P, "media/poster.png", "media/postr.png", "E501", f"{P}:6:13", "  - {file: \"media/postr.png\", alt: \"Poster: help is there\"}", "did you mean 'poster.png'?"),
    Broken("a picture from outside", P, "media/poster.png", "../../../etc/passwd", "E502", f"{P}:6:13", "  - {file: \"../../../etc/passwd\", alt: \"Poster: help is there\"}", "copy the picture"),
    Broken("no alt text", P, ', alt: "Poster: help is there"', "", "E507", f"{P}:6:12", "  - {file: \"media/poster.png\"}", "add alt:"),
    Broken("empty alt text", P, '"Poster: help is there"', '""', "E507", f"{P}:6:12", "  - {file: \"media/poster.png\", alt: \"\"}", "add alt:"),
    # accounts and people
    Broken("an address without TLS", ACCOUNTS, "https://social", "http://social", "E603", f"{ACCOUNTS}:11:60", "      mastodon: {handle: \"@dorset@social.example\", server: \"http://social.example\", token: \"env:DORSET_M\"}", "write https://"),
    Broken("an account on an unknown platform", ACCOUNTS, "bluesky:", "bluesk:", "E604", f"{ACCOUNTS}:10:7", "      bluesk: {handle: \"dorset.example\", token: \"env:DORSET_B\"}", "did you mean 'bluesky'?"),
    Broken("groups that hold each other", ACCOUNTS, "forces: [dorset]", "forces: [dorset, all]", "E605", f"{ACCOUNTS}:19:9", "  all: [forces, charity]", "take one of them out"),
    Broken("an unknown member", ACCOUNTS, "forces: [dorset]", "forces: [dorest]", "E606", f"{ACCOUNTS}:18:12", "  forces: [dorest]", "did you mean 'dorset'?"),
    Broken("a group named everyone", ACCOUNTS, "  forces: [dorset]", "  everyone: [dorset]\n  forces: [dorset]", "E607", f"{ACCOUNTS}:18:3", "  everyone: [dorset]", "choose another"),
    Broken("a person of nowhere", ACCOUNTS, "org: charity", "org: charty", "E608", f"{ACCOUNTS}:22:33", "  p.shah: {name: Pat Shah, org: charty, roles: [approver]}", "did you mean 'charity'?"),
    Broken("an unknown role", ACCOUNTS, "roles: [approver]", "roles: [aprover]", "E116", f"{ACCOUNTS}:22:50", "  p.shah: {name: Pat Shah, org: charity, roles: [aprover]}", "did you mean 'approver'?"),
    Broken("Mastodon without a server", ACCOUNTS, 'server: "https://social.example", ', "", "E610", f"{ACCOUNTS}:11:7", "      mastodon: {handle: \"@dorset@social.example\", token: \"env:DORSET_M\"}", "add server:"),
    Broken("an unknown zone", ACCOUNTS, "Europe/London", "Europe/Lundun", "E611", f"{ACCOUNTS}:2:7", "zone: Europe/Lundun", "Europe/London"),
    Broken("one user for two persons", ACCOUNTS, "roles: [approver]}", "roles: [approver], os_user: jdoyle}", "E612", f"{ACCOUNTS}:22:70", "  p.shah: {name: Pat Shah, org: charity, roles: [approver], os_user: jdoyle}", "one user, one person"),
    Broken("one profile for two organisations", ACCOUNTS, "@charity.example", "@dorset.example", "E614", f"{ACCOUNTS}:16:7", "      x: {handle: \"@dorset.example\", token: \"env:CHARITY_X\"}", "delete one"),
    # what the platforms would refuse
    Broken("too long for X", P, "::: without", f"::: x\n{_long(60)}\n::: without", "E701", f"{P}:11:1", "word word", "::: x"),
    Broken("too long for Bluesky", P, "::: without", f"::: bluesky\n{_long(63)}\n::: without", "E701", f"{P}:11:1", "word word", "::: bluesky"),
    Broken("too long for Mastodon", P, "::: without", f"::: mastodon\n{_long(110)}\n::: without", "E701", f"{P}:11:1", "word word", "::: mastodon"),
]  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    (tmp_path / "posts/spring/media").mkdir()
    Image.new("RGB", (120, 68), "navy").save(tmp_path / "posts/spring/media/poster.png")
    return tmp_path


def run(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """`launchday check` in this process: its exit code and everything it prints."""
    monkeypatch.setattr(sys, "argv", ["launchday", "-C", str(root), "check"])
    with pytest.raises(SystemExit) as left:
        main()
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert "should not have happened" not in out + err
    return int(left.value.code or 0), out


def the_problem(out: str, code: str, place: str) -> str:
    """The printed block of this code at this place."""
    blocks = [b for b in out.split("\n\n") if f"error[{code}]" in b and f"--> {place}\n" in b]
    assert blocks, f"no {code} at {place} in:\n{out}"
    return blocks[0]


def test_the_workspace_that_is_broken_below_is_whole_before(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(workspace, monkeypatch, capsys)
    assert code == 0, out
    assert "error[" not in out


@pytest.mark.parametrize("broken", BROKEN, ids=lambda b: b.story)
def test_it_names_the_place_shows_the_line_and_says_what_to_do(
    broken: Broken, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = workspace / broken.file
    text = file.read_text(encoding="utf-8")
    assert broken.old in text
    # The last of several, so that what changes is the line that the story tells of.
    before, _, after = text.rpartition(broken.old) if broken.code == "E116" else text.partition(broken.old)
    file.write_text(before + broken.new + after, encoding="utf-8")
    code, out = run(workspace, monkeypatch, capsys)
    assert code == 3
    problem = the_problem(out, broken.code, broken.place)
    assert broken.line.rstrip() in problem
    assert broken.remedy in problem.partition("= help: ")[2]
    assert "^" in problem


def test_a_secret_is_refused_and_never_repeated(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "AAAAAAAAAAAAAAAAAAAAAMLheAAAAAAA0"
    file = workspace / ACCOUNTS
    file.write_text(file.read_text().replace("env:DORSET_X", secret))
    code, out = run(workspace, monkeypatch, capsys)
    assert code == 3
    problem = the_problem(out, "E601", f"{ACCOUNTS}:8:45")
    assert secret not in out
    assert "revoke it" in problem
    assert 'x: {handle: "@dorset.example", token: ****' in problem


@pytest.mark.parametrize(
    "line",
    [
        'x: {handle: @dorset, token: "SECRETWORD"}',
        "x: {handle: d, tokne: SECRETWORD}",
        "x: {handle: d, password: SECRETWORD, token: [}",
        "x: {handle: d, token: [SECRETWORD]}",
        "x: {handle: d, token: {a: SECRETWORD}}",
        "x: {handle: d, server: 'https://me:SECRETWORD@x.example'}",
        "x: {handle: d, token: SECRETWORD, token: SECRETWORD}",
        "x: {handle: d, token: !!str SECRETWORD}",
        "x: {handle: d, token: &a SECRETWORD}",
        "x: {handle: d, token: env: SECRETWORD}",
        "x: {handle: d, token: 'env:A SECRETWORD'}",
    ],
)
def test_no_other_fault_in_its_line_brings_a_secret_out(
    line: str, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = workspace / ACCOUNTS
    text = file.read_text()
    secret = "s3cr3tS3CR3Tq9"
    old = 'x: {handle: "@dorset.example", token: "env:DORSET_X"}'
    file.write_text(text.replace(old, line.replace("SECRETWORD", secret)))
    code, out = run(workspace, monkeypatch, capsys)
    assert code == 3
    assert secret not in out


def test_ten_megabytes_of_yaml_are_not_read(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / C).write_text("name: Spring\n" + "# filler\n" * 1_200_000)
    code, out = run(workspace, monkeypatch, capsys)
    assert code == 3
    assert "MB" in the_problem(out, "E112", f"{C}:1:1")


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_symlinked_picture_is_refused(
    link: str, workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    media = workspace / "posts/spring/media"
    moved = workspace / "elsewhere"
    media.rename(moved)
    if link == "folder":
        media.symlink_to(moved)
    else:
        media.mkdir()
        (media / "poster.png").symlink_to(moved / "poster.png")
    code, out = run(workspace, monkeypatch, capsys)
    assert code == 3
    assert "symbolic link" in the_problem(out, "E503", f"{P}:6:13")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "E504"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "E504"),
        (b"%PDF-1.7", "E504"),
        (b"\0" * 20_000_001, "E505"),
    ],
    ids=["empty", "cut", "a PDF", "huge"],
)
def test_a_picture_that_is_none_is_refused(
    raw: bytes,
    code: str,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (workspace / "posts/spring/media/poster.png").write_bytes(raw)
    exit_code, out = run(workspace, monkeypatch, capsys)
    assert exit_code == 3
    the_problem(out, code, f"{P}:6:13")


def test_a_picture_of_too_many_pixels_is_not_unpacked(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("1", (20_000, 20_000)).save(workspace / "posts/spring/media/poster.png")
    code, out = run(workspace, monkeypatch, capsys)
    assert code == 3
    the_problem(out, "E506", f"{P}:6:13")


@pytest.mark.parametrize(
    ("path", "raw", "code", "place"),
    [
        (C, b"name: Caf\xe9\n", "E103", f"{C}:1:10"),
        (C, b"name: a\0b\n", "E114", f"{C}:1:8"),
        (C, b"", "E115", f"{C}:1:1"),
        (C, b"# only a comment\n", "E115", f"{C}:1:1"),
        (C, b"- a\n- list\n", "E109", f"{C}:1:1"),
        (P, b"", "E115", f"{P}:1:1"),
        (P, b"---\n---\nWords.\n", "E115", f"{P}:2:1"),
        (F, b"", "E115", f"{F}:1:1"),
        (F, b"\xef\xbb\xbforganisation,visited,source,as_at\n", "E119", f"{F}:1:1"),
        (ACCOUNTS, b"\xff\xfem\0o\0d\0e\0", "E103", f"{ACCOUNTS}:1:1"),
        (ACCOUNTS, b"organisations: {}\n", "E108", f"{ACCOUNTS}:1:1"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_text_are_named(
    path: str,
    raw: bytes,
    code: str,
    place: str,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (workspace / path).write_bytes(raw)
    exit_code, out = run(workspace, monkeypatch, capsys)
    assert exit_code == 3
    the_problem(out, code, place)


def test_a_folder_in_the_place_of_a_file_is_named(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / C).unlink()
    (workspace / C).mkdir()
    code, out = run(workspace, monkeypatch, capsys)
    assert code == 3
    assert "is a folder" in the_problem(out, "E102", f"{C}:1:1")


def test_a_pipe_in_the_place_of_a_file_does_not_hang_it(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / F).unlink()
    os.mkfifo(workspace / F)
    code, out = run(workspace, monkeypatch, capsys)
    assert code == 3
    the_problem(out, "E102", f"{F}:1:1")


def test_a_campaign_without_its_file_and_a_wrong_folder_name_are_named(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / C).unlink()
    (workspace / "posts/Summer!").mkdir()
    code, out = run(workspace, monkeypatch, capsys)
    assert code == 3
    the_problem(out, "E100", f"{C}:1:1")
    the_problem(out, "E311", "posts/Summer!:1:1")


def test_two_posts_of_one_id_are_named(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / "posts/spring/02-again.md").write_text((workspace / P).read_text())
    code, out = run(workspace, monkeypatch, capsys)
    assert code == 3
    the_problem(out, "E306", "posts/spring/02-again.md:2:1")


def test_many_faults_are_reported_at_once(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, old, new in (
        (ACCOUNTS, "mode: simulation", "mode: test"),
        (C, "window: 10m", "windw: 10m"),
        (F, "285", "many"),
        (P, "aim: help", "aim: hepl"),
    ):
        (workspace / path).write_text((workspace / path).read_text().replace(old, new))
    code, out = run(workspace, monkeypatch, capsys)
    assert code == 3
    assert [c for c in ("E116", "E104", "E414", "E310") if c not in out] == []


def test_the_real_command_leaves_with_three_and_without_a_traceback(workspace: Path) -> None:
    (workspace / C).write_text("name: [\n")
    done = subprocess.run(
        [sys.executable, "-m", "scheduler", "-C", str(workspace), "check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert f"--> {C}:1:8" in done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_no_workspace_is_a_question_of_usage(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scheduler", "-C", str(tmp_path), "check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "launchday init" in done.stderr
