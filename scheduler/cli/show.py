"""How things are printed: tables on a terminal, complete TSV when piped, one JSON object with --json."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from scheduler.errors import Problem

if TYPE_CHECKING:
    from rich.console import Console

json_option: Callable[[Any], Any] = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
yes_option: Callable[[Any], Any] = click.option("--yes", is_flag=True, help="Do not ask.")
quiet_option: Callable[[Any], Any] = click.option("-q", "--quiet", is_flag=True, help="Say nothing but data.")
no_input_option: Callable[[Any], Any] = click.option("--no-input", is_flag=True, help="Never ask a question.")
as_option: Callable[[Any], Any] = click.option(
    "--as", "actor", default="", metavar="PERSON", help="Act as this person (simulation only)."
)


def visible(text: str) -> str:
    """Control, bidi and zero-width characters as `<U+202E>`: shown, not passed to the terminal."""
    return "".join(c if not _hidden(c) else f"<U+{ord(c):04X}>" for c in text)


def _hidden(c: str) -> bool:
    if c == "\n":
        return False
    return unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and c != "\u200d"


def console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A rich console that never reads text as markup, emoji codes or links."""
    from rich.console import Console

    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def on_terminal() -> bool:
    """Whether stdout is a terminal: decides between a table and TSV."""
    return sys.stdout.isatty()


def document(schema: str, **fields: Any) -> None:
    """One JSON object with its schema, `launchday.<schema>/1`."""
    click.echo(json.dumps({"schema": f"launchday.{schema}/1", **fields}, ensure_ascii=False, indent=1))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """A table on a terminal, else tab-separated lines with a header, complete and unshortened."""
    if not on_terminal():
        click.echo("\t".join(columns))
        for row in rows:
            click.echo("\t".join(_cell(c) for c in row))
        return
    every = [[visible(c) for c in row] for row in rows]
    if every:  # a head without a body says nothing to people; what there is not is said by the command
        _grid(columns, every, title)


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    """Nothing is cut off and no address is broken: columns that have no room stand below their row."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    if title:
        out.print(Text(title, style="bold"))
    widths = [max(len(c) for c in column) for column in zip(columns, *rows, strict=True)]
    # The last column is the talkative one: it may wrap between words, and needs room for its longest.
    longest = max(len(word) for row in rows for word in ["-" * 16, *row[-1].split()])
    if sum(w + 2 for w in widths[:-1]) + min(longest, widths[-1]) <= out.width:
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for name in columns[:-1]:
            grid.add_column(name, no_wrap=True)
        grid.add_column(columns[-1], overflow="fold")
        for row in rows:
            grid.add_row(*(Text(c) for c in row))
        out.print(grid)
        return
    beside = len(columns) - 1
    while beside > 1 and sum(w + 2 for w in widths[:beside]) - 2 > out.width:
        beside -= 1
    for row in (columns, *rows):
        click.echo("  ".join(c.ljust(w) for c, w in zip(row[:beside], widths, strict=False)).rstrip())
        if rest := "  ".join(c for c in row[beside:] if c):
            click.echo(wrapped(f"    {rest}", sys.stdout))


def _cell(text: str) -> str:
    return visible(text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n"))


def items(
    schema: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, Callable[[Mapping[str, Any]], str]],
    *,
    as_json: bool,
    **more: Any,
) -> None:
    """The same facts as JSON (`items`) or as a table whose columns are computed from each item."""
    if as_json:
        document(schema, items=list(rows), **more)
    else:
        table(list(columns), ([cell(row) for cell in columns.values()] for row in rows))


def say(text: str, *, quiet: bool = False) -> None:
    """Talk: goes to stderr."""
    if not quiet:
        click.echo(wrapped(visible(text), sys.stderr), err=True)


def put(text: str) -> None:
    """A line of data: goes to stdout; on a terminal it is broken between words, never within one."""
    click.echo(wrapped(visible(text), sys.stdout))


def wrapped(text: str, stream: TextIO) -> str:
    """The text as it is, or for a terminal broken between words and indented below its beginning."""
    if not stream.isatty():
        return text
    import shutil
    import textwrap

    width = max(40, shutil.get_terminal_size().columns)
    found = []
    for line in text.split("\n"):
        if len(line) <= width:
            found.append(line)
            continue
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        # Only blanks break a line: a name or an address that is cut in two cannot be copied.
        found += textwrap.wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    return "\n".join(found)


def problems(found: Iterable[Problem], *, to_stderr: bool = False) -> None:
    """Each problem with its place, its line, a caret and what to do."""
    from scheduler.files.problems import lines

    for problem in found:
        click.echo("\n".join(lines(problem)) + "\n", err=to_stderr)


def confirm(question: str, *, yes: bool, no_input: bool = False) -> bool:
    """Ask on a terminal; without one (or with --no-input) the answer is no unless --yes was given."""
    if yes:
        return True
    if no_input or not sys.stdin.isatty():
        from scheduler.errors import UsageError

        raise UsageError(f"{question} There is no terminal to ask at.", help="give --yes to go ahead")
    return click.confirm(question, err=True)
