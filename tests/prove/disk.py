"""A disk with a volatile cache, as a VFS of SQLite: what was not synchronised may be gone after a power cut.

A file's writes since its last fsync may at a cut be lost, kept, torn at the edges of sectors, or overtaken by
one another. That a file was made or deleted is certain only after its folder was synchronised: SQLite's own
VFS does so at the first fsync of a new journal or WAL, and on a deletion only where SQLite asks for it.
Bytes beside those that were written stay as they were (SQLite counts on that, POWERSAFE_OVERWRITE).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import apsw

SECTOR = 512
NEW_NAMES = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL | apsw.SQLITE_OPEN_WAL
_NUMBERS = itertools.count(1)


@dataclass
class Inode:
    """A file's bytes: what is certainly on the platters, what a reader sees, and the writes between."""

    durable: bytes = b""
    seen: bytearray = field(default_factory=bytearray)
    cached: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: truncated to that length

    def write(self, offset: int, data: bytes) -> None:
        self.cached.append((offset, data))
        _apply(self.seen, offset, data)

    def truncate(self, size: int) -> None:
        self.cached.append((size, None))
        _apply(self.seen, size, None)

    def sync(self) -> None:
        if self.cached:
            self.durable, self.cached = bytes(self.seen), []

    def after_cut(self, chance: random.Random, how: str) -> bytes:
        """What is found when the power is back. `how`: nothing, all, ordered or any of the cached writes."""
        if how == "nothing" or not self.cached:
            return self.durable
        if how == "all":
            return bytes(self.seen)
        kept = self.cached
        if how == "ordered":  # a part of them in their order, the last one torn
            kept = self.cached[: chance.randint(1, len(self.cached))]
        return _torn(self.durable, kept, chance, whole=len(kept) - 1 if how == "ordered" else 0)


def _apply(body: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del body[offset:]
        body.extend(bytes(offset - len(body)))
        return
    body.extend(bytes(max(0, offset - len(body))))
    body[offset : offset + len(data)] = data


def _torn(
    durable: bytes, writes: Sequence[tuple[int, bytes | None]], chance: random.Random, whole: int
) -> bytes:
    """The first `whole` writes are there; of the others, each sector has any version it ever had."""
    body = bytearray(durable)
    for offset, data in writes[:whole]:
        _apply(body, offset, data)
    found, sizes, versions = bytearray(body), [len(body)], dict[int, list[bytes]]()
    for offset, data in writes[whole:]:
        end = max(len(body), offset) if data is None else offset + len(data)
        touched = range(offset // SECTOR, -(-end // SECTOR))
        for one in touched:
            versions.setdefault(one, [_sector(body, one)])
        _apply(body, offset, data)
        sizes.append(len(body))
        for one in touched:
            versions[one].append(_sector(body, one))
    for one, had in versions.items():
        _apply(found, one * SECTOR, chance.choice(had))
    _apply(found, chance.choice(sizes), None)
    return bytes(found)


def _sector(body: bytearray, number: int) -> bytes:
    return bytes(body[number * SECTOR : (number + 1) * SECTOR]).ljust(SECTOR, b"\0")


class Off(apsw.IOError):
    """The power is gone: nothing is read or written any more."""


class Disk(apsw.VFS):
    """The disk of one machine. `cut_at`: at which write, fsync or deletion from now the power goes."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.name = f"launchday-disk-{next(_NUMBERS)}"
        super().__init__(self.name, "")
        self.certain = {n: Inode(b, bytearray(b)) for n, b in files.items()}
        self.names: dict[str, Inode] = dict(self.certain)
        self.renamed: dict[str, list[Inode | None]] = {}  # what names were since the folder was synchronised
        self.steps = 0
        self.cut_at = 0
        self.off = False
        self.syncs = 0

    def step(self) -> None:
        """One thing that changes the disk is about to be done; the power may go instead."""
        self.reading()
        self.steps += 1
        if self.steps == self.cut_at:
            self.off = True
        self.reading()

    def reading(self) -> None:
        if self.off:
            raise Off("the power is gone")

    def rename(self, name: str, inode: Inode | None) -> None:
        """The name means another file from now on (None: none)."""
        self.renamed.setdefault(name, []).append(inode)
        if inode is None:
            del self.names[name]
        else:
            self.names[name] = inode

    def sync_folder(self) -> None:
        self.certain, self.renamed = dict(self.names), {}

    def after_cut(self, chance: random.Random) -> dict[str, bytes]:
        """The files that are found when the power is back."""
        how = chance.choice(("nothing", "all", "ordered", "any", "any"))
        found = dict(self.certain)
        for name, meant in self.renamed.items():
            was = self.certain.get(name)
            now = {"nothing": was, "all": meant[-1]}.get(how, chance.choice([was, *meant]))
            found.pop(name, None)
            if now is not None:
                found[name] = now
        return {name: inode.after_cut(chance, how) for name, inode in found.items()}

    # what SQLite calls

    def xOpen(self, name: object, flags: list[int]) -> File:  # noqa: N802 - because SQLite names it
        self.reading()
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        flags[1] = flags[0]
        if path is None:
            return File(self, Inode(), temporary=True)
        known = self.names.get(str(path))
        if known is None:
            if not flags[0] & apsw.SQLITE_OPEN_CREATE:
                raise apsw.CantOpenError(f"no such file: {path}")
            self.step()
            known = Inode()
            self.rename(str(path), known)
            return File(self, known, new_name=bool(flags[0] & NEW_NAMES))
        return File(self, known)

    def xDelete(self, name: str, sync: bool) -> None:  # noqa: N802 - because SQLite names it
        self.step()
        if name in self.names:
            self.rename(name, None)
        if sync:
            self.step()
            self.sync_folder()

    def xAccess(self, name: str, flags: int) -> bool:  # noqa: N802 - because SQLite names it
        self.reading()
        return name in self.names

    def xFullPathname(self, name: str) -> str:  # noqa: N802 - because SQLite names it
        return name


class File:
    """An open file. One connection at a time: locks always succeed."""

    def __init__(self, disk: Disk, inode: Inode, *, new_name: bool = False, temporary: bool = False) -> None:
        self.disk, self.inode = disk, inode
        self.new_name, self.temporary = new_name, temporary

    def _step(self) -> None:
        if not self.temporary:
            self.disk.step()

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - because SQLite names it
        self.disk.reading()
        return bytes(self.inode.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - because SQLite names it
        self.disk.reading()
        # Also where the power goes just now: the write was on its way, and may be there in part.
        self.inode.write(offset, bytes(data))
        self._step()

    def xTruncate(self, size: int) -> None:  # noqa: N802 - because SQLite names it
        self.disk.reading()
        self.inode.truncate(size)
        self._step()

    def xSync(self, flags: int) -> None:  # noqa: N802 - because SQLite names it
        self._step()
        self.disk.syncs += 1
        self.inode.sync()
        if self.new_name:
            self.disk.sync_folder()
            self.new_name = False

    def xFileSize(self) -> int:  # noqa: N802 - because SQLite names it
        self.disk.reading()
        return len(self.inode.seen)

    def xLock(self, level: int) -> None:  # noqa: N802 - because SQLite names it
        self.disk.reading()

    def xUnlock(self, level: int) -> None:  # noqa: N802 - because SQLite names it
        """Nobody else is there."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802 - because SQLite names it
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:  # noqa: N802 - because SQLite names it
        return False

    def xSectorSize(self) -> int:  # noqa: N802 - because SQLite names it
        return SECTOR

    def xDeviceCharacteristics(self) -> int:  # noqa: N802 - because SQLite names it
        return int(apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE)

    def xClose(self) -> None:  # noqa: N802 - because SQLite names it
        """What it wrote stays in the cache."""
