"""The spill file of a sender: outcomes that the database cannot take, on disk that was taken beforehand.

A receipt in hand is never lost to a full disk: the file is written full of zeros before the gate, an outcome
is put into it in place, and the next start records it before it looks for anything.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy.exc import IntegrityError

from scheduler import errors
from scheduler.domain.content import instant, parse_instant
from scheduler.domain.publisher import Receipt
from scheduler.errors import OutcomeUnknown, PublishError, RefusedTransition, RetryLater
from scheduler.services.clock import Clock
from scheduler.services.settle import Outcome, keep, settle
from scheduler.services.tell import tell
from scheduler.store import late as late_evidence
from scheduler.store import lock
from scheduler.store.database import Database

SMALLEST = 64 * 1024  # bytes
EACH = 1024  # bytes set aside for each delivery of a large wave; an outcome takes some 300
_HEAD = struct.Struct(">II")  # length and CRC-32 of the record that follows
_MOST = 2000  # characters of a text within a record


class Spill:
    """Room for the outcomes of one wave. Raises OSError where there is none: then nothing may be sent."""

    def __init__(self, path: Path, deliveries: int) -> None:
        self.path = path
        self.kept = 0
        self._at = 0
        self._size = max(SMALLEST, EACH * deliveries)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            # Zeros and not only a length: a disk that is full later has given these blocks already.
            os.pwrite(self._fd, bytes(self._size), 0)
            os.fsync(self._fd)
        except OSError:
            self.close()
            raise

    def keep(self, outcomes: Sequence[Outcome]) -> None:
        """Put them on disk. One that finds no room is left to be looked for.

        A crash in the middle leaves a record whose checksum does not fit: it and its delivery are looked for.
        """
        for one in outcomes:
            raw = json.dumps(_plain(one)).encode()
            record = _HEAD.pack(len(raw), zlib.crc32(raw)) + raw
            if self._at + len(record) > self._size:
                sys.stderr.write("the spill file is full; what is not in it is looked for\n")
                break
            os.pwrite(self._fd, record, self._at)
            self._at += len(record)
            self.kept += 1
        os.fdatasync(self._fd)

    def close(self) -> None:
        """At the sender's end; a file that holds nothing goes."""
        os.close(self._fd)
        if not self.kept:
            self.path.unlink(missing_ok=True)


def replay(db: Database, clock: Clock, senders: Path) -> int:
    """Record what dead senders had to spill; returns how many outcomes. Before anything is looked for.

    Raises where the database still cannot take them: the files stay for the next start.
    """
    done = 0
    for path in sorted(senders.glob("*.spill")):
        if lock.holder(path.with_suffix(".lock")) is not None:
            continue  # its sender lives
        outcomes = list(_read(path))
        with db.read() as conn:
            known = late_evidence.states(conn, [o.attempt_id for o in outcomes])
        ours = [o for o in outcomes if o.attempt_id in known]
        _record(db, clock, ours)
        done += len(ours)
        # A crash before this replays it once more: what is recorded already is late evidence that changes
        # nothing.
        if len(ours) < len(outcomes):
            _keep_for_a_person(db, clock, path, len(outcomes) - len(ours))
        else:
            path.unlink()
    return done


def _keep_for_a_person(db: Database, clock: Clock, path: Path, strange: int) -> None:
    """Of another database, or of this one before it was put back: what it says may be out all the same."""
    kept = path.with_suffix(".unmatched")
    said = f"{strange} outcomes in {kept.name} are of attempts that this database does not know"
    with db.write() as conn:
        tell(conn, clock.now(), "spill", path.name, f"{said}: read it, what it names may be out already.")
    # A crash before this tells it once more, in the same words: nothing is said twice.
    path.rename(kept)


def _record(db: Database, clock: Clock, outcomes: Sequence[Outcome]) -> None:
    try:
        settle(db, clock, outcomes)
    except (RefusedTransition, IntegrityError, ArithmeticError, ValueError, TypeError):
        if len(outcomes) == 1:
            keep(db, clock, outcomes[0])
            return
        for one in outcomes:
            _record(db, clock, [one])


def _plain(one: Outcome) -> dict[str, Any]:
    result = one.result
    said: dict[str, Any]
    if isinstance(result, Receipt):
        said = {"receipt": [result.remote_id[:_MOST], result.url[:_MOST], dict(result.extra)]}
    else:
        at = instant(result.at) if isinstance(result, RetryLater) and result.at else ""
        said = {"error": [type(result).__name__, result.code[:80], result.detail[:500], at]}
    return {"delivery": one.delivery_id, "attempt": one.attempt_id, "sent_us": one.sent_us, **said}


def _read(path: Path) -> Iterator[Outcome]:
    """Every whole record, up to the first that is none."""
    raw, at = path.read_bytes(), 0
    while at + _HEAD.size <= len(raw):
        length, check = _HEAD.unpack_from(raw, at)
        body = raw[at + _HEAD.size : at + _HEAD.size + length]
        if not length or len(body) < length or zlib.crc32(body) != check:
            return
        at += _HEAD.size + length
        with suppress(ValueError, KeyError, TypeError):
            yield _outcome(json.loads(body))


def _outcome(body: dict[str, Any]) -> Outcome:
    result: Receipt | PublishError
    if "receipt" in body:
        remote_id, url, extra = body["receipt"]
        result = Receipt(remote_id, url, extra)
    else:
        name, code, detail, at = body["error"]
        kind = getattr(errors, name, OutcomeUnknown)
        if kind is RetryLater:
            result = RetryLater(code, detail, at=parse_instant(at) if at else None)
        elif isinstance(kind, type) and issubclass(kind, PublishError):
            result = kind(code, detail)
        else:
            result = OutcomeUnknown(code, detail)
    return Outcome(body["delivery"], body["attempt"], result, body["sent_us"])
