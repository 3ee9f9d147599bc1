"""`rehearse`: the main job in one command, with crashes and with faults, and nothing left behind."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from launch.conftest import Rehearsals
from launch.desk import must

FIGURES = {
    "deliveries",
    "published",
    "failed",
    "unconfirmed",
    "asking",
    "duplicates",
    "lost",
    "spread_ms",
    "p99_ms",
    "earliest_ms",
    "in_doubt_after_crash",
}


def _nothing_twice_nothing_lost(figures: dict[str, Any]) -> None:
    assert figures["schema"] == "launchday.rehearse/1"
    assert set(figures) >= FIGURES
    assert figures["deliveries"] == 28
    assert (figures["duplicates"], figures["lost"]) == (0, 0)
    assert figures["earliest_ms"] >= 0
    assert figures["published"] + figures["failed"] + figures["unconfirmed"] + figures["asking"] == 28


def test_a_rehearsal_publishes_all_28_and_lists_every_delivery_of_the_log(rehearsals: Rehearsals) -> None:
    said = rehearsals.plain.result()
    assert said.code == 0, said.err
    assert "28 published   0 failed   0 unconfirmed" in said.out
    assert "duplicates 0   lost 0" in said.out
    receipts = [line for line in said.out.splitlines() if line.count("\t") == 3 and "/launch" in line]
    assert len(receipts) == 28
    assert all(line.split("\t")[3].startswith("http") for line in receipts)
    assert "SIMULATION. Nothing here can reach a real account." in said.err
    assert "\x1b[" not in said.out + said.err


def test_a_second_rehearsal_in_the_same_workspace_works_and_leaves_git_clean(rehearsals: Rehearsals) -> None:
    assert rehearsals.plain.result().code == 0
    assert rehearsals.crash.result().code == 0, rehearsals.crash.result().err
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=rehearsals.root, check=True, capture_output=True, text=True
    )
    assert status.stdout == ""


def test_a_crash_in_mid_launch_leaves_doubts_and_then_neither_a_duplicate_nor_a_loss(
    rehearsals: Rehearsals,
) -> None:
    figures = rehearsals.crash.result().json
    _nothing_twice_nothing_lost(figures)
    assert figures["in_doubt_after_crash"] > 0
    assert figures["published"] == 28


def test_platforms_that_misbehave_cost_neither_a_duplicate_nor_a_loss(rehearsals: Rehearsals) -> None:
    _nothing_twice_nothing_lost(rehearsals.faults.result().json)


def test_the_last_rehearsal_can_be_looked_at_and_its_log_verifies(rehearsals: Rehearsals) -> None:
    rehearsals.crash.result()
    assert "28 published" in must(rehearsals.root, "--rehearsal", "log", "verify").out
    found = must(rehearsals.root, "--rehearsal", "list", "--post", "launch", "--json").json
    assert {i["state"] for i in found["items"]} <= {"published", "verified"}
    # The simulation that people work in has none of it.
    assert json.loads(must(rehearsals.root, "list", "--json").out)["items"] == []
