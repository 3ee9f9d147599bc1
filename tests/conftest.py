"""What all tests share: both databases, a clock that stands still, and the line saying what ran where."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

# `tests.postgres` is found from the root, also where pytest is started bare.
sys.path.insert(0, str(Path(__file__).parents[1]))

from scheduler.services.clock import Clock
from scheduler.store.database import Database, open_database
from tests import postgres as pg

NOON = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
_NUMBERS = itertools.count(1)
DATABASES = ("sqlite", "postgresql")
TABLES = ", ".join(
    f"launchday_simulation.{t}"
    for t in (
        "disclosures",
        "entries",
        "media",
        "holds",
        "decisions",
        "notices",
        "late_evidence",
        "attempts",
        "deliveries",
        "leases",
        "control",
    )
)
VERSION = pytest.StashKey[str]()


class Hands:
    """The hands of a clock that moves only when a test moves it."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at.timestamp()


@pytest.fixture
def hands() -> Hands:
    return Hands(NOON)


@pytest.fixture
def clock(hands: Hands) -> Clock:
    return Clock(source=hands)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[pg.Postgres]:
    """A real PostgreSQL. Where it cannot be started its tests fail, unless LAUNCHDAY_TEST_POSTGRES=0."""
    if os.environ.get("LAUNCHDAY_TEST_POSTGRES") == "0":
        pytest.skip("PostgreSQL: LAUNCHDAY_TEST_POSTGRES=0")
    try:
        server = pg.start()
    except pg.NotStarted as why:
        pytest.fail(
            f"PostgreSQL could not be started, so nothing is proved on it: {why}. "
            "Set LAUNCHDAY_TEST_POSTGRES=0 to leave these tests out knowingly.",
            pytrace=False,
        )
    request.config.stash[VERSION] = server.version
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    open_database(f"sqlite:///{path}", "simulation", NOON).close()
    return path


@pytest.fixture(scope="session")
def _postgres_ready(postgres: pg.Postgres) -> pg.Postgres:
    # A test that stops itself fails soon instead of waiting for ever.
    postgres.run("alter role launchday set lock_timeout = '20s'")
    postgres.run("create database suite")
    open_database(postgres.url("suite"), "simulation", NOON).close()
    return postgres


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    """Which database the test runs on."""
    return str(request.param)


@pytest.fixture
def empty_url(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database that nobody has opened yet."""
    if database == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: pg.Postgres = request.getfixturevalue("postgres")
    name = f"empty_{next(_NUMBERS)}"
    server.run(f"create database {name}")
    yield server.url(name)
    server.run(f"drop database {name} with (force)")


@pytest.fixture
def url(database: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database of mode `simulation` that is ready and empty."""
    if database == "sqlite":
        # In memory where the machine has such a disk: the settings stay, only waiting for the disk goes.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="launchday-", dir=memory) as folder:
            path = shutil.copy(request.getfixturevalue("_sqlite_template"), Path(folder) / "launchday.db")
            yield f"sqlite:///{path}"
        return
    server: pg.Postgres = request.getfixturevalue("_postgres_ready")
    server.run(f"truncate {TABLES} restart identity", "suite")
    yield server.url("suite")


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    """An empty database of mode `simulation`, on each of the two kinds."""
    opened = open_database(url, "simulation", NOON)
    yield opened
    opened.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the database it runs on, so that the summary can count."""
    for item in items:
        which = getattr(getattr(item, "callspec", None), "params", {}).get("database")
        if which:
            item.user_properties.append(("database", which))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests ran on which database: a bare machine must not leave one out silently."""
    ran = dict.fromkeys(DATABASES, 0)
    left_out = 0
    for kind in ("passed", "failed", "skipped", "error"):
        for report in terminalreporter.stats.get(kind, []):
            which = dict(getattr(report, "user_properties", ())).get("database")
            if which and kind in ("passed", "failed") and report.when == "call":
                ran[which] += 1
            elif which and kind == "skipped":
                left_out += 1
    if not sum(ran.values()) and not left_out:
        return
    said = f"databases: {ran['sqlite']} tests on SQLite, {ran['postgresql']} on PostgreSQL"
    if version := terminalreporter.config.stash.get(VERSION, ""):
        said += f" ({version})"
    if left_out:
        said += f", {left_out} LEFT OUT (LAUNCHDAY_TEST_POSTGRES=0)"
    terminalreporter.write_line(said)
