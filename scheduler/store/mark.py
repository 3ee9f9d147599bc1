"""The high-water mark: how far the posting log had come, kept in a file outside the database.

Two lines, written in turn, each with a generation and a checksum: a write that is cut short spoils one line,
and the other still says what was true before it. The file has its full length from its first second, so that
a full disk does not stop it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select

from scheduler.errors import StoreError
from scheduler.store.tables import Control, EntryRow, table_of

_LINE = 100  # bytes of a line: generation, next number, hash, checksum
_control = table_of(Control)
_entries = table_of(EntryRow)


@dataclass(frozen=True, slots=True)
class Mark:
    """The log's next number, and the SHA-256 of its last entry ("" where there is none)."""

    next_seq: int
    digest: str


def path_in(folder: Path) -> Path:
    """Where a state folder keeps it."""
    return folder / "high-water"


def of(conn: Connection) -> Mark:
    """The mark that the database deserves now."""
    next_seq: int = conn.execute(select(_control.c.next_seq)).scalar_one()
    return Mark(next_seq, _digest(conn, next_seq - 1))


def _digest(conn: Connection, seq: int) -> str:
    leaf = conn.execute(select(_entries.c.leaf).where(_entries.c.seq == seq)).scalar()
    return "" if leaf is None else hashlib.sha256(bytes(leaf)).hexdigest()


def behind(conn: Connection, mark: Mark) -> str:
    """Why the database is not the one that the mark was taken of, nor a later state of it ("" = it is)."""
    have = of(conn).next_seq
    if have < mark.next_seq:
        return f"its log ends at entry {have - 1}, but {mark.next_seq - 1} were written"
    if mark.digest and _digest(conn, mark.next_seq - 1) != mark.digest:
        return f"entry {mark.next_seq - 1} of its log is not the one that was written"
    return ""


def read(path: Path) -> Mark | None:
    """The mark, or None where there never was one. Raises StoreError where the file is damaged."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(
            f"the high-water mark cannot be read: {error.strerror}",
            help=f"make {path} readable for this user; nothing is sent meanwhile",
        ) from error
    return _newest(raw, path)[1]


def _newest(raw: bytes, path: Path) -> tuple[int, Mark, int]:
    """Generation, mark and line (0 or 1) of the newest whole line."""
    found = [(*line, n) for n in (0, 1) if (line := _parsed(raw[n * _LINE : (n + 1) * _LINE]))]
    if not found:
        raise StoreError("the high-water mark is damaged", help=f"launchday status says more; see {path}")
    return max(found, key=lambda one: one[0])


def _parsed(line: bytes) -> tuple[int, Mark] | None:
    words = line.decode("ascii", "replace").split()
    if len(words) != 4 or words[3] != f"{zlib.crc32(' '.join(words[:3]).encode()):08x}":
        return None
    return int(words[0]), Mark(int(words[1]), words[2].strip("-"))


def _line(generation: int, mark: Mark) -> bytes:
    words = f"{generation:012d} {mark.next_seq:012d} {mark.digest or '-' * 64}"
    return f"{words} {zlib.crc32(words.encode()):08x}\n".encode()


def advance(conn: Connection, path: Path) -> bool:
    """Move it to where the database is; False, and nothing written, where the database is behind it.

    On disk when this returns. A crash before that leaves the mark behind the database, which is no alarm:
    nothing that the mark does not cover has been sent, as senders call this before their first byte.
    """
    wanted = of(conn)
    if not path.exists():
        _create(path, wanted)
        return True
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        generation, mark, line = _newest(file.read(), path)
        if behind(conn, mark):
            return False
        if wanted.next_seq > mark.next_seq:
            _write(file.fileno(), generation + 1, wanted, 1 - line)
    return True


def set_back(conn: Connection, path: Path) -> None:
    """Take the database as it is for the truth from now on: safe mode has begun, and is on disk in it."""
    wanted = of(conn)
    if not path.exists():
        _create(path, wanted)
        return
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            generation, _, line = _newest(file.read(), path)
        except StoreError:
            generation, line = 0, 1
        _write(file.fileno(), generation + 1, wanted, 1 - line)


def _write(fd: int, generation: int, mark: Mark, line: int) -> None:
    # A crash here spoils this line at most; the other one keeps the mark before it.
    os.pwrite(fd, _line(generation, mark), line * _LINE)
    os.fdatasync(fd)


def _create(path: Path, mark: Mark) -> None:
    """A whole file or none: one that is empty or half written is never ours, and so is an alarm."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, _line(1, mark) + b" " * (_LINE - 1) + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make new names in the folder survive a power cut."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
