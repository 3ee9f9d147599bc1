"""Reading a text file so that every fault in it has a place: the lines, and the problems found."""

from __future__ import annotations

import difflib
import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from scheduler.errors import FilesWrong, Problem, Severity, Source
from scheduler.files.hidden import hidden

LARGEST = 1_000_000  # bytes of one text file
MANY = 20  # faults of one kind reported per file; the rest would only scroll the first away


class Findings:
    """The problems found so far, each once, in the order they were found."""

    def __init__(self) -> None:
        self._problems: dict[tuple[str, Source, str], Problem] = {}

    def add(self, problem: Problem) -> None:
        """Remember a problem; the same one found again counts once."""
        self._problems.setdefault((problem.code, problem.at, problem.message), problem)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._problems.values())

    def __len__(self) -> int:
        return len(self._problems)

    @property
    def errors(self) -> bool:
        """Whether any of them is more than a warning."""
        return any(p.severity == "error" for p in self)

    def sorted(self) -> tuple[Problem, ...]:
        """By file, line and column."""
        return tuple(sorted(self, key=lambda p: (p.at.path, p.at.line, p.at.col)))

    def raise_errors(self) -> None:
        """Raise FilesWrong with everything found if any of it is an error."""
        if self.errors:
            raise FilesWrong(self.sorted())


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A text file as lines, `path` relative to the workspace; `secret` files are echoed masked."""

    path: str
    lines: tuple[str, ...]
    secret: bool = False

    @property
    def text(self) -> str:
        """The whole text, LF line ends."""
        return "\n".join(self.lines)

    def line(self, number: int) -> str:
        """The line as it may be shown: what could be a secret is masked."""
        text = self.lines[number - 1] if 0 < number <= len(self.lines) else ""
        return mask(text) if self.secret else text

    def at(self, line: int, col: int = 1) -> Source:
        """A place in this file."""
        return Source(self.path, line, col)

    def problem(
        self,
        code: str,
        message: str,
        help: str,
        *,
        line: int = 1,
        col: int = 1,
        length: int = 1,
        severity: Severity = "error",
    ) -> Problem:
        """A problem at a place in this file, with its line."""
        text = self.line(line)
        if line > len(self.lines) and self.lines:
            line, col, text = len(self.lines), len(self.lines[-1]) + 1, self.line(len(self.lines))
        room = max(1, len(text) - col + 1)
        return Problem(code, message, self.at(line, col), help, text, max(1, min(length, room)), severity)


_KEY = re.compile(r"(?<![\w\"'])[\"']?(?P<key>[\w-]+)[\"']?\s*:(?=\s)\s*")
_REFERENCE = re.compile(r"(?P<q>[\"']?)(?:env|file|keyring|cred):[^\s\"',}]+(?P=q)\s*(?=[,}]|#|$)")
_SECRETIVE = ("token", "secret", "password", "passwd", "api_key", "access", "auth", "bearer")
_LONG_WORD = re.compile(r"(?<![\w:/.@-])(?=[\w~+/=.-]*[0-9])(?=[\w~+/=.-]*[A-Za-z])[\w~+/=.-]{16,}")
_BARE_WORD = re.compile(r"^\s+[^\s:#,\[\]{}-][^\s:]{7,}$")
_USERINFO = re.compile(r"(?<=://)[^/@\s\"']+(?=@)")


def mask(line: str) -> str:
    """The line with everything that could be a secret starred out, at the same width.

    It would rather hide too much: whatever follows a name like `token` and is not a whole reference.
    """
    for found in _KEY.finditer(line):
        if _secretive(found["key"]) and not _REFERENCE.match(line, found.end()):
            line = line[: found.end()] + "*" * (len(line) - found.end())
            break
    for pattern in (_USERINFO, _LONG_WORD, _BARE_WORD):
        line = pattern.sub(lambda m: "*" * len(m.group()), line)
    return line


def _secretive(key: str) -> bool:
    key = key.lower()
    known = any(word in key for word in _SECRETIVE)
    return known or bool(difflib.get_close_matches(key, _SECRETIVE, n=1, cutoff=0.7))


def read_source(root: Path, path: str, found: Findings, *, secret: bool = False) -> SourceFile | None:
    """The file's lines, or None with the reason among the findings."""
    empty = SourceFile(path, (), secret)
    try:
        raw = read_regular(root / path, LARGEST)
    except Unreadable as why:
        found.add(empty.problem(why.code, f"{path} {why.message}", why.help))
        return None
    return _decode(raw, path, found, secret)


class Unreadable(Exception):
    """A file that cannot be read as one: the code, the reason and the remedy."""

    def __init__(self, code: str, message: str, help: str) -> None:
        super().__init__(message)
        self.code, self.message, self.help = code, message, help


def read_regular(path: Path, cap: int, *, follow: bool = True) -> bytes:
    """The bytes of a regular file of at most `cap` bytes; raises Unreadable."""
    try:
        # O_NONBLOCK: a pipe in the place of a file must not hang us.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        handle = os.open(path, flags)
    except FileNotFoundError:
        raise Unreadable("E100", "does not exist", "make the file, or look for a slip in its name") from None
    except OSError as error:
        raise _unreadable(error) from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            kind = "folder" if stat.S_ISDIR(found.st_mode) else "device or pipe"
            raise Unreadable("E102", f"is a {kind}, not a file", "move it away and put the file in its place")
        if found.st_size > cap:
            size = f"is {found.st_size / 1e6:.1f} MB; at most {cap / 1e6:g} MB are read"
            raise Unreadable("E112", size, "is it the right file? make it smaller")
        return _read(handle, cap)
    except OSError as error:
        raise _unreadable(error) from None
    finally:
        os.close(handle)


def _read(handle: int, cap: int) -> bytes:
    """Everything up to the cap; a file that grew meanwhile is cut there and fails later."""
    parts = []
    while cap > 0 and (part := os.read(handle, min(cap, 1 << 20))):
        parts.append(part)
        cap -= len(part)
    return b"".join(parts)


def _unreadable(error: OSError) -> Unreadable:
    reason = "is a symbolic link" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
    return Unreadable("E102", reason, "check the file's permissions: ls -l shows them")


def _decode(raw: bytes, path: str, found: Findings, secret: bool) -> SourceFile | None:
    bom = raw.startswith(b"\xef\xbb\xbf")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        col = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        lines = _lines(raw.decode("utf-8", "backslashreplace"))
        found.add(
            SourceFile(path, lines, secret).problem(
                "E103",
                f"byte 0x{raw[error.start]:02x} is not UTF-8",
                "save the file as UTF-8 (in Excel: 'CSV UTF-8'; in Notepad: Save as, Encoding UTF-8)",
                line=line,
                col=col,
            )
        )
        return None
    file = SourceFile(path, _lines(text), secret)
    if bom:
        found.add(
            file.problem("E119", "the file begins with a byte order mark", "save it as UTF-8 without BOM")
        )
    return file if _visible(file, found) else None


def _lines(text: str) -> tuple[str, ...]:
    lines = text.replace("\r\n", "\n").split("\n")
    return tuple(lines[:-1] if lines[-1] == "" else lines)


def _visible(file: SourceFile, found: Findings) -> bool:
    """Report hidden characters; a file with tabs or worse is not read further."""
    # Not all of them: a file of nothing but tabs would have a million.
    problems = list(islice(_hidden_in(file), MANY))
    for problem in problems:
        found.add(problem)
    return not problems


def _hidden_in(file: SourceFile) -> Iterable[Problem]:
    for number, line in enumerate(file.lines, 1):
        for index, what in hidden(line):
            if line[index] == "\t":
                yield file.problem("E107", "a tab", "use spaces instead", line=number, col=index + 1)
            else:
                yield file.problem(
                    "E114",
                    f"a character that nobody can see: {what}",
                    "delete it (type the line again rather than pasting it)",
                    line=number,
                    col=index + 1,
                )
