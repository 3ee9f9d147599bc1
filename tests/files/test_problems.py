"""A printed problem keeps its caret below the fault and passes nothing unprintable on."""

from __future__ import annotations

from scheduler.errors import Problem, Source
from scheduler.files.problems import lines
from scheduler.files.source import mask


def printed(text: str, col: int, length: int) -> list[str]:
    return lines(
        Problem("E104", "unknown field 'platfroms'", Source("a.md", 5, col), "did you mean?", text, length)
    )


def test_it_looks_as_the_walkthrough_says() -> None:
    assert printed("platfroms: [x, facebook]", 1, 9) == [
        "error[E104]: unknown field 'platfroms'",
        " --> a.md:5:1",
        "  |",
        "5 | platfroms: [x, facebook]",
        "  | ^^^^^^^^^",
        "  = help: did you mean?",
    ]


def test_the_caret_stands_right_below_wide_characters_tabs_and_marks() -> None:
    assert printed("警察 fault", 4, 5)[4] == "  |      ^^^^^"
    assert printed("\tfault", 2, 5)[4] == "  |     ^^^^^"
    assert printed("e\u0301 fault", 4, 5)[4] == "  |   ^^^^^"


def test_a_hidden_character_is_shown_and_underlined_whole() -> None:
    shown = printed("a\u202eb", 2, 1)
    assert shown[3] == "5 | a<U+202E>b"
    assert shown[4] == "  |  ^^^^^^^^"


def test_escape_sequences_in_a_line_message_or_path_do_not_reach_the_terminal() -> None:
    problem = Problem("E104", "bad \x1b[31m", Source("a\x1b.md", 1, 1), "help \x07", "x \x1b[2J", 1)
    assert "\x1b" not in "".join(lines(problem))
    assert "\x07" not in "".join(lines(problem))


def test_a_very_long_line_is_cut_around_the_fault() -> None:
    shown = printed("a" * 5000 + "FAULT" + "b" * 5000, 5001, 5)
    assert "FAULT" in shown[3]
    assert len(shown[3]) < 200
    assert shown[3].index("FAULT") == shown[4].index("^")


def test_a_warning_says_so() -> None:
    problem = Problem("W301", "m", Source("a"), "h", severity="warning")
    assert lines(problem) == ["warning[W301]: m", " --> a:1:1", "  = help: h"]


def test_masking_hides_what_could_be_a_secret_and_keeps_references_readable() -> None:
    assert mask('x: {handle: "@a", token: "env:A_TOKEN"}') == 'x: {handle: "@a", token: "env:A_TOKEN"}'
    assert mask("token: hunter2") == "token: *******"
    assert "hunter2" not in mask("  passwrd: hunter2")
    assert "hunter2" not in mask('{"token" : "hunter2"}')
    assert "hunter2" not in mask("token: env:A hunter2")
    assert "abc123abc123abc123" not in mask("note: abc123abc123abc123")
    assert mask("page: 100000000000003") == "page: 100000000000003"
