"""The disk: how much is free, how much must be, and how its end looks in a database's errors."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError

RESERVE = 200 * 1024 * 1024  # bytes; a launch writes a few MB, a full disk stops intents from being stored


def free(folder: Path) -> int:
    """Bytes that an ordinary user may still write where the folder is."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def is_full(error: BaseException) -> bool:
    """Whether a database could not write because there is no room: waiting a moment does not help."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, OSError):
        return cause.errno in (errno.ENOSPC, errno.EDQUOT)
    if getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return True
    return getattr(cause, "sqlstate", "") == "53100"
