"""stdout is data: one JSON object, complete TSV with the same facts, and nothing a terminal would obey."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from launch.desk import environment, inside, launchday, must, small

from cli.story import Story

COMMANDS = {
    ("check",): "check",
    ("plan",): "plan",
    ("queue", "--yes"): "queue",
    ("list",): "list",
    ("timeline",): "timeline",
    ("status",): "status",
    ("log",): "log",
    ("watch",): "watch",
    ("doctor",): "doctor",
    ("preview",): "preview",
    ("explain",): "explain",
}
TABLES = {
    ("plan",): lambda i: i["delivery"],
    ("list",): lambda i: i["delivery"],
    ("timeline",): lambda i: i["due_shown"],
    ("log",): lambda i: str(i["seq"]),
    ("watch",): lambda i: i["delivery"],
    ("preview",): lambda i: i["delivery"],
    ("explain",): lambda i: i["code"],
}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_json_is_exactly_one_object_with_its_schema_and_items(story: Story, command: tuple[str, ...]) -> None:
    said = inside(story.root, *command, "--json")
    found = json.loads(said.out)  # one object and nothing else, or this fails
    assert found["schema"] == f"launchday.{COMMANDS[command]}/1"
    assert isinstance(found["items"], list)
    assert "\x1b" not in said.out + said.err


def test_show_json_is_one_object_with_the_whole_delivery(story: Story) -> None:
    found = must(story.root, "show", "swrocu/x/launch", "--json").json
    assert found["schema"] == "launchday.show/1"
    item = found["item"]
    assert item["state"] in ("published", "verified")
    assert [a["person"] for a in item["approvals"] if a["verdict"] == "granted"] == [
        "t.fernsby",
        "n.ashpenny",
    ]
    assert [t["state"] for t in item["tries"]] == ["accepted"]
    told = [e["type"] for e in item["log"] if e["type"] != "publish.verified"]  # may have come
    assert told[-1] == "publish.accepted"


def test_show_for_people_says_the_same(story: Story) -> None:
    item = must(story.root, "show", "swrocu/x/launch", "--json").json["item"]
    said = must(story.root, "show", "swrocu/x/launch").out
    for fact in (item["state"], item["due_shown"], item["url"], item["content_sha256"], item["text"]):
        assert fact in said


@pytest.mark.parametrize("command", TABLES, ids=" ".join)
def test_piped_tables_are_complete_tsv_with_the_same_rows_as_json(
    story: Story, command: tuple[str, ...]
) -> None:
    items = json.loads(inside(story.root, *command, "--json").out)["items"]
    said = inside(story.root, *command).out
    head, *rows = [line.split("\t") for line in said.removesuffix("\n").split("\n")]
    assert len(rows) == len(items) > 0
    assert {len(row) for row in rows} == {len(head)}
    assert all(TABLES[command](item) in row for item, row in zip(items, rows, strict=True))
    assert "…" not in {cell[-1:] for row in rows for cell in row[:3]}
    assert "\x1b" not in said


def test_list_says_the_same_in_both_forms(story: Story) -> None:
    items = must(story.root, "list", "--json").json["items"]
    head, *rows = [line.split("\t") for line in must(story.root, "list").out.splitlines()]
    assert head == ["delivery", "state", "due", "words", "what about it"]
    assert [row[:4] for row in rows] == [
        [i["delivery"], i["state"], i["due_shown"], i["content_sha256"][:7]] for i in items
    ]
    assert all(
        i["url"] == row[4]
        for i, row in zip(items, rows, strict=True)
        if i["state"] in ("published", "verified")
    )


def test_status_says_the_same_in_both_forms(story: Story) -> None:
    found, said = inside(story.root, "status", "--json"), inside(story.root, "status")
    assert found.code == said.code == 7
    counts = found.json["counts"]
    out = counts.get("published", 0) + counts.get("verified", 0)
    assert f"{out} published   0 in doubt   {counts['scheduled']} waiting" in said.out
    assert found.json["daemon"]["said"].startswith("DAEMON STOPPED")
    assert f"Next: {found.json['next']}" in said.err


def test_log_verify_has_json_of_its_own(story: Story) -> None:
    found = must(story.root, "log", "verify", "--json").json
    assert found["schema"] == "launchday.log-verify/1"
    assert found["whole"] is True
    assert found["published"] == 28


def test_a_reader_that_goes_away_is_no_error(story: Story) -> None:
    done = subprocess.run(
        f"{sys.executable} -m scheduler -C {story.root} log | head -1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[1] == "0"


HOSTILE = "[bold red]Not markup[/bold red] :smile: \x1b]0;title\x07 \u202eevil\u202c a\u200bb"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose note and approvals hold what a terminal would obey, and a post with rich's markup."""
    root = small(tmp_path_factory.mktemp("hostile"))
    post = root / "posts/spring/01-launch.md"
    post.write_text(post.read_text("utf-8").replace("Come", "[bold red]Come[/bold red] :smile:"), "utf-8")
    must(root, "queue", "--yes", "--as", "a.hart")
    must(root, "approve", "--as", "j.doyle", "--org", "dorset", "--note", HOSTILE)
    must(root, "hold", "--org", "charity", "--as", "p.shah", "--note", HOSTILE)
    return root


def _on_a_terminal(root: Path, *arguments: str, columns: int = 80, **environ: str) -> str:
    """What the command prints at a real terminal (a pseudo-terminal of this many columns)."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "scheduler", "-C", str(root), *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm-256color", COLUMNS=str(columns), LINES="24", **environ),
    )
    os.close(theirs)
    found = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not more:
            break
        found += more
    os.close(ours)
    child.wait()
    return found.decode("utf-8").replace("\r\n", "\n")


@pytest.mark.parametrize("command", [("show", "dorset/x/launch"), ("preview", "launch")], ids=" ".join)
def test_the_words_of_a_post_are_never_markup(hostile: Path, command: tuple[str, ...]) -> None:
    for said in (inside(hostile, *command).out, _on_a_terminal(hostile, *command)):
        assert "[bold red]Come[/bold red] :smile:" in said


@pytest.mark.parametrize("command", [("log",), ("status",), ("show", "dorset/x/launch")], ids=" ".join)
def test_control_and_bidi_and_zero_width_characters_are_shown_and_not_passed(
    hostile: Path, command: tuple[str, ...]
) -> None:
    for said in (inside(hostile, *command).out, _on_a_terminal(hostile, *command)):
        assert "<U+202E>" in said
        assert "<U+200B>" in said
        assert "<U+001B>" in said
        assert not {"\u202e", "\u200b", "\x07"} & set(said)
        assert "\x1b]" not in said


def test_what_was_said_is_whole_in_json(hostile: Path) -> None:
    (entry,) = must(hostile, "log", "--type", "hold.started", "--json").json["items"]
    assert entry["reason_text"] == HOSTILE


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize(
    "command", [("list", "--post", "launch"), ("log", "--type", "publish")], ids=" ".join
)
def test_a_narrow_terminal_cuts_neither_names_nor_addresses(
    story: Story, command: tuple[str, ...], columns: int
) -> None:
    said = _on_a_terminal(story.root, *command, columns=columns)
    items = must(story.root, "list", "--post", "launch", "--json").json["items"]
    assert all(i["delivery"] in said for i in items)
    assert all(i["url"] in said for i in items)
    assert "…" not in said


def test_no_color_is_honoured(story: Story) -> None:
    said = _on_a_terminal(story.root, "list", "--post", "launch", columns=160, NO_COLOR="1")
    assert "\x1b[3" not in said
    assert "\x1b[9" not in said


def test_at_a_terminal_queue_asks_and_no_changes_nothing(tmp_path: Path) -> None:
    root = small(tmp_path)
    ours, theirs = pty.openpty()
    os.write(ours, b"n\n")
    done = subprocess.run(
        [sys.executable, "-m", "scheduler", "-C", str(root), "queue"],
        stdin=theirs,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0
    assert "Queue 12 changes?" in done.stderr
    assert "Nothing was queued." in done.stderr
    assert launchday(root, "plan", "--exit-code").code == 10


def test_a_closed_stdout_is_no_error(tmp_path: Path) -> None:
    words = [
        "sh",
        "-c",
        'exec "$0" -m scheduler -C "$1" list --json >&-',
        sys.executable,
        str(small(tmp_path)),
    ]
    said = subprocess.run(words, capture_output=True, text=True, check=False, env=environment())
    assert (said.returncode, said.stderr) == (0, "")
