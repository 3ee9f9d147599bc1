"""The benchmark runs, and its last line is the JSON object that is promised."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_last_line_of_the_benchmark_is_one_json_object_with_ratios() -> None:
    command = [sys.executable, "-m", "tests.bench", "--accounts", "6,12", "--rounds", "5"]
    extra = ["--with", "again=tests.bench.methods:volley"]
    done = subprocess.run([*command, *extra], cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    for size in (6, 12):
        assert found[f"raw_ratio_{size}"] > 0
        assert found[f"pool_ratio_{size}"] > 0
        assert found[f"again_ratio_{size}"] > 0
        assert found[f"raw_p99_ms_{size}"] > 0
    assert found["rounds"] == 5
    assert found["earliest_ms"] >= 0
