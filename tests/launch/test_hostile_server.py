"""A hostile server behind every account: whatever it answers, nothing goes twice and nothing untrue is said.

One wave of some three hundred deliveries through the real daemon and its senders; each account's server
plays its own trick once, at the step that is tried, and behaves from then on.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from launch.nasty import LIMITED, TRICKS, Front, Trick
from scheduler.app import open_app
from scheduler.domain.delivery import Delivery, State
from scheduler.publishers.simulated import ledger
from scheduler.services import clock as clocks
from scheduler.store import log, outbox
from tests import postgres as pg
from tests.prove.life import ENDED, LAUNCH, PLATFORMS, TIMING, queued, workspace
from tests.prove.zygote import zygote

SPANS = {**TIMING, "arm_lead": 7.0, "connect_lead": 1.0, "reply_within": 3.0, "settle": 1.0}
FRIEND = "friend"
MADE: dict[str, tuple[Trick, bool]] = {name: (trick, True) for name, trick in TRICKS.items()}
NOT_MADE: dict[str, tuple[Trick, bool]] = {name: (trick, False) for name, trick in (TRICKS | LIMITED).items()}
SAMPLE = {n: MADE[n] for n in ("reset", "stall", "gzip-bomb", "r307", "ok-error", "id-half", "retry-4")}
WAVES: dict[str, tuple[str, str, Mapping[str, tuple[Trick, bool]]]] = {
    "made": ("publish", "sqlite", MADE),
    "not made": ("publish", "sqlite", NOT_MADE),
    "arming": ("arm", "sqlite", MADE),
    "looking": ("look", "sqlite", MADE),
    "made, PostgreSQL": ("publish", "postgresql", SAMPLE),
}


@dataclass
class Wave:
    """What became of it."""

    deliveries: Mapping[str, Delivery]
    posts: Counter[str]
    trapped: list[bytes]
    talk: str
    verified: bool
    untried: list[str]


@pytest.fixture(scope="module", params=list(WAVES))
def wave(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Wave:
    step, database, tricks = WAVES[request.param]
    root = tmp_path_factory.mktemp("hostile")
    environ = {}
    if database == "postgresql":
        server: pg.Postgres = request.getfixturevalue("postgres")
        server.run("create database hostile")
        environ = {"LAUNCHDAY_DATABASE_URL": server.url("hostile")}
    return _launch(root, step, tricks, environ)


def _launch(root: Path, step: str, tricks: Mapping[str, tuple[Trick, bool]], environ: dict[str, str]) -> Wave:
    everyone = (FRIEND, *tricks)
    app = open_app(workspace(root, everyone=everyone), "simulation", environ=environ)
    clocks.move_to(app.db, app.clock, LAUNCH - timedelta(hours=2))
    queued(app, everyone, held="")
    front = Front(root / "front", tricks, step)
    try:
        _in_place_of_the_platforms(app.folder / "platforms", front)
        with zygote(timing=SPANS) as forks:
            clocks.move_to(app.db, app.clock, LAUNCH - timedelta(seconds=9))
            argv = ["-C", str(root), "run"]
            talk = root / "daemon.txt"
            forks.start("hostile", "scheduler", argv, talk=talk, env=_env(environ), cwd=root).close()
            end = time.monotonic() + 120
            while time.monotonic() < end:
                with app.db.read() as conn:
                    found = outbox.find(conn)
                if all(d.state in ENDED for d in found):
                    break
                time.sleep(0.3)
            forks.kill("hostile", "everything")
        with app.db.read() as conn:
            verified = log.verify(conn) > 0
        made = Counter(p.account for p in ledger.read(root / "front/behind") if not p.deleted)
        said = (root / "daemon.txt").read_text("utf-8", "replace")
        untried = [o for o in tricks if not any(a.startswith(f"{o}/") for a in front.struck)]
        return Wave({d.account: d for d in found}, made, front.trap_hits, said, verified, untried)
    finally:
        front.stop()
        app.close()


def _env(more: Mapping[str, str]) -> dict[str, str]:
    from launch.desk import environment

    return environment(**more)


def _in_place_of_the_platforms(folder: Path, front: Front) -> None:
    """The daemon finds the front where it looks for platforms; the lock is held by the real ones."""
    folder.mkdir(parents=True)
    (folder / "lock").hardlink_to(front.folder / "behind/lock")
    told = {"pid": front.behind.pid, "servers": front.servers}
    (folder / "ready.json").write_text(json.dumps(told), "utf-8")


def test_every_trick_was_played(wave: Wave) -> None:
    assert wave.untried == []


def test_no_trick_makes_a_second_post(wave: Wave) -> None:
    assert {account: n for account, n in wave.posts.items() if n > 1} == {}


def test_no_trick_leaves_a_delivery_without_an_end(wave: Wave) -> None:
    stuck = {a: f"{d.state}: {d.reason}" for a, d in wave.deliveries.items() if d.state not in ENDED}
    assert stuck == {}


def test_what_is_said_to_be_out_is_out_and_what_is_said_not_to_be_is_not(wave: Wave) -> None:
    untrue = {
        account: f"{d.state}, {wave.posts[account]} there: {d.reason}"
        for account, d in wave.deliveries.items()
        if (d.state in (State.PUBLISHED, State.VERIFIED)) != bool(wave.posts[account])
        and d.state is not State.ASKING
    }
    assert untrue == {}


def test_the_accounts_beside_them_are_published(wave: Wave) -> None:
    states = {p: wave.deliveries[f"{FRIEND}/{p}"].state for p in PLATFORMS}
    assert set(states.values()) <= {State.PUBLISHED, State.VERIFIED}


def test_no_redirect_is_followed_with_a_token_or_words(wave: Wave) -> None:
    assert wave.trapped == []


def test_nothing_breaks_and_the_log_verifies(wave: Wave) -> None:
    bad = [line for line in wave.talk.splitlines() if "Traceback" in line or "broke" in line]
    assert bad == []
    assert wave.verified


def test_few_tricks_need_a_person(wave: Wave) -> None:
    asked = {a: d.reason for a, d in wave.deliveries.items() if d.state is State.ASKING}
    assert len(asked) < len(wave.deliveries) * 0.1, asked
