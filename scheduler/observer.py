"""The independent observer: sees a dead daemon, a late wave, a broken database, and tells people itself.

It needs neither the daemon nor the database: what it has told is remembered in a file beside them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from scheduler import notifier
from scheduler.app import App, Mode, last_good, open_app, read_directory, state_folder
from scheduler.domain.account import Directory
from scheduler.domain.content import instant, parse_instant
from scheduler.domain.message import Message, Told
from scheduler.domain.recipients import recipients
from scheduler.errors import LaunchdayError, TryLater
from scheduler.evidence.entry import ulid
from scheduler.services import observe
from scheduler.services.notify import REACHED
from scheduler.services.observe import Condition
from scheduler.store import beat, lock

CODES = (8, 7, 6, 4, 1)  # where several apply, the first of these
_BLOCK = 4096  # bytes; the memory is written in place, so that a full disk does not make us forgetful


@dataclass(frozen=True, slots=True)
class Seen:
    """A condition as it is remembered. `told`: somebody was reached; `over`: it has ended."""

    id: str
    at: str
    topic: str
    said: str
    told: bool = False
    over: bool = False


@dataclass(slots=True)
class Observer:
    """Looks at one workspace in one mode; `say` prints a line for people."""

    root: Path
    mode: Mode
    say: Callable[[str], None]
    environ: Mapping[str, str]
    _unwritten: dict[str, Seen] | None = field(default=None, init=False)  # what no file could remember

    @property
    def folder(self) -> Path:
        """The state folder of this mode."""
        return state_folder(self.root, self.mode)

    def round(self) -> int:
        """Look once, tell what is new, changed or over; returns the exit code that says how it stands.

        Raises TryLater where another observer of this workspace is at work, and FilesWrong where
        accounts.yaml is wrong and no daemon kept a good one.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._alone():
            kept = self._accounts()
            directory = read_directory(kept or self.root)
            found = {c.name: c for c in self._conditions(directory, kept)}
            self._tell(directory, found)
        return next((code for code in CODES if code in {c.code for c in found.values()}), 0)

    def _alone(self) -> AbstractContextManager[object]:
        """Two at once would tell twice. A disk that cannot be written to is no reason to tell nobody."""
        try:
            return lock.Lock(self.folder / "observer.lock", "an observer looks at this workspace")
        except OSError:
            return nullcontext()

    def _accounts(self) -> Path | None:
        """Where to read accounts.yaml: the daemon's copy, while the file itself is wrong."""
        try:
            read_directory(self.root)
        except LaunchdayError:
            return last_good(self.root, self.mode)
        return None

    # Looking

    def _conditions(self, directory: Directory, kept: Path | None) -> Iterator[Condition]:
        """Everything that is wrong. A look that fails is a condition itself, and costs no other look."""
        needed, found = "whether anything waits cannot be read", list[Condition]()
        try:
            app = open_app(self.root, self.mode, environ=self.environ, accounts=kept)
        except Exception as error:
            found.append(_unusable(error))
        else:
            try:
                needed = observe.waits(app.db, directory, app.clock)
                found += self._in_database(app)
            except Exception as error:
                found.append(_unusable(error))
            finally:
                app.close()
        live = self.mode == "live"
        look = partial(observe.daemon, self.folder, beat.read(self.folder), needed, observe.wall(), live=live)
        yield from found
        yield from look()
        yield from observe.disk(self.folder)
        if live:
            yield from observe.secrets(directory, notifier.reader(self.root, self.environ))

    def _in_database(self, app: App) -> Iterator[Condition]:
        yield from observe.database(app.db)
        yield from observe.safe_mode(app.db)
        yield from observe.deliveries(app.db, app.directory, app.clock)
        if app.directory.has_channel:
            # What waits to be told though it is due: no daemon runs, or it has not read the channels yet.
            with suppress(TryLater), lock.Lock(self.folder / "notifier.lock", "people are being told"):
                for line in notifier.tell_due(app):
                    self.say(line)
        yield from observe.untold(app.db, app.directory, app.clock)

    # Telling

    def _tell(self, directory: Directory, found: Mapping[str, Condition]) -> None:
        """Each condition once; again when its words change, and when it is over."""
        memory = self._remembered()
        for name, condition in found.items():
            before = memory.get(name)
            if before is None or before.said != condition.said or before.over:
                memory[name] = _new(condition)
                self.say(f"wrong       {condition.said}")
        for name, before in list(memory.items()):
            if name not in found and not before.over:
                self.say(f"over        {before.said}")
                ended = replace(before, id=ulid(observe.wall()), told=False, over=True)
                # What nobody was told of needs no "it is over".
                memory[name] = ended if before.told else replace(ended, told=True)
        # A crash after this tells the same again under the same key.
        self._remember(memory)
        waiting = {name: one for name, one in memory.items() if not one.told}
        if waiting:
            for name in self._send(directory, waiting):
                memory[name] = replace(memory[name], told=True)
        self._remember({name: one for name, one in memory.items() if not (one.over and one.told)})

    def _send(self, directory: Directory, waiting: Mapping[str, Seen]) -> list[str]:
        """Tell who looks after the machine; the names of those that reached somebody."""
        if not directory.has_channel:
            self.say(f"{'not told':12}nobody can be told: no channel is set (notify: in accounts.yaml)")
            return []
        messages = [self._message(directory, one) for one in waiting.values()]
        made = notifier.teller(directory, self.mode, notifier.reader(self.root, self.environ))
        try:
            outcomes = made.tell([(message, ()) for message in messages])
        finally:
            made.transport.close()
        for message, outcome in zip(messages, outcomes, strict=True):
            for line in notifier.said(message, outcome):
                self.say(line)
        told = zip(waiting, outcomes, strict=True)
        return [name for name, outcome in told if any(how in REACHED for how in outcome.values())]

    def _message(self, directory: Directory, one: Seen) -> Message:
        return Message(
            id=one.id,
            topic=one.topic,
            severity="info" if one.over else "now",
            organisations=(),
            whose=(),
            people=recipients(directory, "", 0, observe.wall()),
            notices=(Told(one.id, "", f"Over: {one.said}" if one.over else one.said),),
            at=parse_instant(one.at),
            mode=self.mode,
            over=one.over,
            answerable=False,
        )

    # Remembering

    def _remembered(self) -> dict[str, Seen]:
        if self._unwritten is not None:
            return dict(self._unwritten)
        try:
            found = json.loads((self.folder / "observer.json").read_text("utf-8"))
            return {name: Seen(**one) for name, one in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # nothing yet, or torn by a crash: then people are told once more

    def _remember(self, memory: Mapping[str, Seen]) -> None:
        text = json.dumps({name: asdict(one) for name, one in memory.items()}, ensure_ascii=False)
        raw = text.encode()
        raw += b" " * (-len(raw) % _BLOCK)
        self._unwritten = dict(memory)
        with suppress(OSError):
            number = os.open(self.folder / "observer.json", os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(number, "wb") as stream:
                stream.write(raw)
                stream.truncate()
            self._unwritten = None


def _new(condition: Condition) -> Seen:
    now = observe.wall()
    return Seen(ulid(now), instant(now), condition.topic, condition.said)


def _unusable(error: Exception) -> Condition:
    """The database as a condition; only words of ours, or the first line of the library's."""
    said = error.message if isinstance(error, LaunchdayError) else str(error).partition("\n")[0][:200]
    return Condition("database", f"The database cannot be used: {said}")
