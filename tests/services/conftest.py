"""A house on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.services.clock import Clock
from scheduler.store.database import Database
from tests.conftest import Hands

from .house import House


@pytest.fixture
def house(db: Database, clock: Clock, hands: Hands, tmp_path: Path) -> Iterator[House]:
    made = House(db, clock, hands, tmp_path / "senders")
    yield made
    made.transport.close()
