"""Power cuts: the gate, the sending and the settling go on until the power goes, and then the disk is read.

An intent whose gate had returned must be there (its request may have left), an outcome whose settling had
returned too, and none by half. The controls run with settings that are known to be too weak, and must lose.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
from sqlalchemy.exc import DBAPIError

from scheduler.domain.delivery import State
from scheduler.errors import LogBroken, StoreError
from scheduler.services.clock import Clock
from scheduler.store import log, outbox
from scheduler.store.database import Database, open_database
from scheduler.transport.http import Transport
from tests.conftest import NOON, Hands
from tests.services.house import LAUNCH, House, rendered

from .disk import Disk
from .driver import Driver, PowerCut

WAVES = 4
ACCOUNTS = ("dorset/record", "wiltshire/listing", "charity/key")
FAULTS = ("ok", "ok", "ok", "lost_but_done", "rejected", "not_sent")
# What an attempt's state means for its delivery and for the log; another combination is half an outcome.
MEANS = {
    "intent": State.PUBLISHING,
    "accepted": State.PUBLISHED,
    "unknown": State.UNCONFIRMED,
    "rejected": State.FAILED,
    "not_sent": State.SCHEDULED,
}
TOLD = {
    "accepted": "publish.accepted",
    "unknown": "publish.unknown",
    "rejected": "publish.failed",
    "not_sent": "publish.deferred",
}
DAMAGED = (StoreError, LogBroken, DBAPIError)


@dataclass(frozen=True)
class Setting:
    """A journal, as the store chooses it for a version of SQLite, and what a control weakens."""

    name: str
    version: tuple[int, int, int]
    instead: Mapping[str, str] = field(default_factory=dict)


def _weakened(to: str) -> dict[str, str]:
    return {"PRAGMA synchronous=EXTRA": f"PRAGMA synchronous={to}"}


DELETE, WAL = (3, 40, 1), (3, 54, 1)
SETTINGS = (Setting("DELETE", DELETE), Setting("WAL", WAL))
CONTROLS = (
    Setting("WAL, NORMAL", WAL, _weakened("NORMAL")),
    Setting("DELETE, FULL", DELETE, _weakened("FULL")),
    Setting("DELETE, OFF", DELETE, _weakened("OFF")),
)


@dataclass
class Known:
    """What the world saw: attempts whose gate had returned, and those whose settling had."""

    left: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)


def run(*, quick: bool, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Cut the power again and again; returns the figures by the issue's names."""
    cuts = 100 if quick else 1_000
    found = sum((_cut(one, cuts // len(SETTINGS), seed, say) for one in SETTINGS), Counter[str]())
    controls = {one.name: _cut(one, cuts // 10, seed, say)["lost"] for one in CONTROLS}
    return {
        "power_cuts": found["cuts"],
        "lost_intents": found["lost"],
        "lost_outcomes": found["forgotten"],
        "half_outcomes": found["half"],
        "damaged_databases": found["damaged"],
        "control_lost": controls["WAL, NORMAL"],
        "controls_lost": controls,
        "power_cuts_on": f"SQLite {apsw.sqlitelibversion()} on a simulated disk, journals DELETE and WAL",
    }


def _cut(setting: Setting, cuts: int, seed: int, say: Callable[[str], None]) -> Counter[str]:
    with closing(Bench(setting, seed)) as bench:
        found = sum((bench.cut() for _ in range(cuts)), Counter[str]())
    kind = " (a control)" if setting.instead else ""
    say(f"{setting.name:12} {cuts:4} power cuts, {found['lost']} intents lost{kind}")
    return found


class Bench:
    """One setting's database: launched, cut, read, and launched on from what survived, or anew."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self.setting = setting
        self.chance = random.Random(f"{setting.name} {seed}")
        self.cuts = 0
        self.folder = tempfile.TemporaryDirectory(prefix="launchday-cuts-")
        self.transport = Transport()
        try:
            self.template = self._template()
            self.steps = self._whole_launch()
        except BaseException:
            self.close()
            raise
        self.files, self.known = self.template, Known()

    def close(self) -> None:
        self.transport.close()
        self.folder.cleanup()

    def cut(self) -> Counter[str]:
        """One launch until the power goes, and what is found when it is back."""
        if self.cuts % 4 == 0:
            self.files, self.known = self.template, Known()
        disk = Disk(self.files)
        disk.cut_at = self.chance.randint(1, self.steps * (4 - self.cuts % 4) // 4)
        self._until_cut(disk, self._launch)
        self.cuts += 1
        self.files = disk.after_cut(self.chance)
        if self.chance.random() < 0.25:  # and once more, while the database recovers
            disk = Disk(self.files)
            disk.cut_at = self.chance.randint(1, 12)
            self._until_cut(disk, lambda house: None)
            self.files = disk.after_cut(self.chance)
        disk = Disk(self.files)
        try:
            with self._house(disk) as house:
                found = self._read(house)
        except DAMAGED:
            found = Counter(damaged=1)
        # What the reading itself did (a rollback of a torn transaction) is on the disk.
        self.files = {name: bytes(inode.seen) for name, inode in disk.names.items()}
        if found["damaged"] or found["lost"]:
            self.files, self.known = self.template, Known()
        return found + Counter(cuts=1)

    def _until_cut(self, disk: Disk, work: Callable[[House], None]) -> None:
        try:
            with self._house(disk) as house:
                work(house)
                disk.off = True  # at the latest when everything is done, before anything is closed
        except PowerCut:
            pass
        except DAMAGED:
            if not self.setting.instead:
                raise

    def _launch(self, house: House) -> None:
        """Gate, send and settle each wave that waits, remembering what the world has seen."""
        with house.db.read() as conn:
            waves = [at for at, _ in outbox.waves(conn)]
        for at in waves:
            passed = house.gate(house.arm(at), at)
            self.known.left |= set(passed.attempts.values())
            house.fire(passed, at, lambda d: self.chance.choice(FAULTS))
            self.known.settled |= set(passed.attempts.values())

    def _read(self, house: House) -> Counter[str]:
        """What is not as it must be."""
        found = Counter[str]()
        with house.db.read() as conn:
            if conn.exec_driver_sql("pragma quick_check").scalar() != "ok":
                return Counter(damaged=1)
            log.verify(conn)
            deliveries = outbox.find(conn)
            attempts = outbox.attempts_of(conn, [d.id for d in deliveries])
            said = Counter((e.body["delivery"], e.body["type"]) for e in log.read(conn, type="publish"))
        states = {a.id: a.state for tries in attempts.values() for a in tries}
        found["lost"] = len(self.known.left - set(states))
        found["forgotten"] = sum(states.get(i) == "intent" for i in self.known.settled)
        for one in deliveries:
            tries = [a.state for a in attempts.get(one.id, [])]
            told = Counter({"publish.attempted": len(tries)}) + Counter(TOLD[t] for t in tries if t in TOLD)
            logged = Counter({type: n for (name, type), n in said.items() if name == one.name})
            found["half"] += told != logged or one.state != MEANS[tries[-1] if tries else "not_sent"]
        return found

    def _template(self) -> dict[str, bytes]:
        """The disk of a database with its waves queued and approved, whole and synchronised."""
        disk = Disk({})
        with self._house(disk) as house:
            whens = [(f"p{n}", LAUNCH + timedelta(minutes=n)) for n in range(WAVES)]
            house.queue(*[rendered(a, post=post, due=due) for post, due in whens for a in ACCOUNTS])
            house.approve_all()
        return {name: bytes(inode.seen) for name, inode in disk.names.items()}

    def _whole_launch(self) -> int:
        """How many steps a launch without a cut takes."""
        disk, self.known = Disk(self.template), Known()
        with self._house(disk) as house:
            self._launch(house)
        return disk.steps

    @contextmanager
    def _house(self, disk: Disk) -> Iterator[House]:
        driver = Driver(disk, self.setting.version, self.setting.instead)
        url = f"sqlite:///{self.folder.name}/launchday.db"
        db: Database | None = None
        try:
            db = open_database(url, "simulation", NOON, driver)
            hands = Hands(NOON)
            yield House(
                db, Clock(source=hands), hands, Path(self.folder.name) / "senders", transport=self.transport
            )
            if driver.replaced != set(self.setting.instead):
                raise RuntimeError(f"the control '{self.setting.name}' weakened nothing")
        finally:
            if db:
                db.close()
            for one in driver.open:
                one.close()
            disk.unregister()
